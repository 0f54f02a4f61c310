//! Datagrams of SOCKS5, without I/O: the handshake of an association and the header of each datagram
//! (RFC 1928 sections 4 and 7).
//!
//! A chain has an association with each hop; a datagram then has a header for each, one inside the other.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

use super::handshake::{Handshake, Step};
use super::socks5::{self, Request};

/// Reserved bytes and the fragment number before the address, in bytes.
const FIXED: usize = 3;
/// No header is longer: a name of 255 bytes with its length, its kind and a port.
pub(crate) const MAX_HEADER: usize = FIXED + 1 + 1 + 255 + 2;

/// The handshake of an association: a request, and where its answer says that datagrams are taken.
#[derive(Clone, Debug)]
pub(crate) struct Associate {
    request: Request,
    bound: Option<Destination>,
}

impl Associate {
    pub(crate) fn new() -> Self {
        Self { request: Request::associate(), bound: None }
    }

    /// Where the proxy takes datagrams, once it has said so.
    pub(crate) fn bound(&self) -> Option<&Destination> {
        self.bound.as_ref()
    }
}

impl Handshake for Associate {
    fn step(&mut self) -> Result<Step<'_>, Failure> {
        self.request.step()
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.request.received(bytes)?;
        let said = self.request.bound();
        if said.is_empty() {
            return Ok(());
        }
        // Port 0 takes no datagrams.
        self.bound = told(said).filter(|bound| bound.port() != 0);
        match self.bound {
            Some(_) => Ok(()),
            None => Err(Failure::Protocol("its reply names no place for datagrams")),
        }
    }
}

/// Who has sent a datagram, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender<'a> {
    Address(SocketAddr),
    /// Not as RFC 1928 has it, but some proxies repeat the name.
    Name(&'a [u8], u16),
}

impl<'a> Sender<'a> {
    /// Reads kind, address and port; what follows them is the rest.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&kind, bytes) = bytes.split_first()?;
        let (ip, name, rest) = match kind {
            1 => {
                let (ip, rest) = bytes.split_first_chunk::<4>()?;
                (IpAddr::from(*ip), None, rest)
            }
            4 => {
                let (ip, rest) = bytes.split_first_chunk::<16>()?;
                (IpAddr::from(*ip).to_canonical(), None, rest)
            }
            3 => {
                let (&length, bytes) = bytes.split_first()?;
                let (name, rest) = bytes.split_at_checked(length.into())?;
                (IpAddr::V4(Ipv4Addr::UNSPECIFIED), Some(name), rest)
            }
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let port = u16::from_be_bytes(*port);
        Some(match name {
            None => (Self::Address((ip, port).into()), rest),
            Some(name) => (Self::Name(name, port), rest),
        })
    }

    /// Where it can be reached; `None` for a name that is none.
    fn destination(self) -> Option<Destination> {
        match self {
            Self::Address(address) => Some(Destination::Address(address)),
            Self::Name([], port) => Some(Destination::Address((Ipv4Addr::UNSPECIFIED, port).into())),
            Self::Name(name, port) => {
                let host = std::str::from_utf8(name).ok()?.to_owned();
                Some(Destination::Name { host, port })
            }
        }
    }

    /// Whether it is this one, as far as the header can say: a name is not compared with an address.
    pub(crate) fn can_be(&self, destination: &Destination) -> bool {
        match (self, destination) {
            (Self::Address(from), Destination::Address(to)) => from == to,
            (Self::Name(from, port), Destination::Name { host, port: to }) => {
                port == to && from.eq_ignore_ascii_case(host.as_bytes())
            }
            (Self::Address(_) | Self::Name(..), _) => true,
        }
    }
}

/// Kind, address and port of a reply.
pub(super) fn told(bound: &[u8]) -> Option<Destination> {
    Sender::read(bound).and_then(|(sender, _)| sender.destination())
}

/// The header of a datagram that goes to `destination`.
pub(crate) fn header(destination: &Destination) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_header(&mut bytes, destination);
    bytes
}

/// The same, behind other bytes.
pub(crate) fn put_header(bytes: &mut Vec<u8>, destination: &Destination) {
    bytes.extend([0; FIXED]);
    socks5::put_address(bytes, destination);
}

/// Takes the header off a datagram. Fragments are refused, as RFC 1928 allows, and so is everything else
/// that is not exactly a datagram's header.
pub(crate) fn open(datagram: &[u8]) -> Option<(Sender<'_>, &[u8])> {
    match datagram.split_first_chunk::<FIXED>()? {
        ([0, 0, 0], rest) => Sender::read(rest),
        _ => None,
    }
}

/// Takes off the headers of the hops before the last, which name the next hop's relay, and then the last.
pub(crate) fn open_nested<'a>(
    mut datagram: &'a [u8],
    relays: &[Destination],
) -> Option<(Sender<'a>, &'a [u8])> {
    for relay in relays {
        let (sender, inner) = open(datagram)?;
        if !sender.can_be(relay) {
            return None;
        }
        datagram = inner;
    }
    open(datagram)
}

#[cfg(test)]
mod tests;
