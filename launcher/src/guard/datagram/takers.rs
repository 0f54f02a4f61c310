//! Who takes a datagram on loopback: asked of the kernel, one by one (sock_diag(7)), in the very way in which it looks for
//! a socket itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use libc::{AF_INET, AF_INET6, AF_NETLINK, IPPROTO_UDP, SOCK_RAW};

use super::namespace::Namespace;
use super::netlink::{Answer, Message};
use super::packet::Ends;

/// linux/sock_diag.h, linux/netlink.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NETLINK_SOCK_DIAG: i32 = 4;

/// A socket, by the kernel's names for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taker {
    /// `SO_COOKIE`
    pub(super) cookie: u64,
    /// As /proc has it among a process's descriptors.
    pub(super) inode: u32,
}

impl Taker {
    /// From a `struct inet_diag_msg`.
    fn read(message: &[u8]) -> Option<Self> {
        let cookie = u64::from_ne_bytes(*message.get(44..)?.first_chunk()?);
        let inode = u32::from_ne_bytes(*message.get(68..)?.first_chunk()?);
        Some(Self { cookie, inode })
    }
}

/// The sockets of the namespace.
pub(super) struct Takers(OwnedFd);

impl Takers {
    pub(super) fn new(namespace: &Namespace) -> io::Result<Self> {
        namespace.socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG).map(Self)
    }

    /// Whether a socket takes what has these ends. Where the kernel does not tell, one does.
    pub(super) fn take(&self, ends: Ends) -> bool {
        !matches!(self.ask(ends), Ok(Answer::Errno(libc::ENOENT)))
    }

    /// The socket that does; else one of that address: from a connected one it can be sent to others than its peer. An error is
    /// that the kernel does not tell.
    pub(super) fn taker(&self, ends: Ends) -> io::Result<Option<Taker>> {
        match self.ask(ends)? {
            Answer::Other(bytes) => Ok(Taker::read(&bytes)),
            Answer::Errno(libc::ENOENT) => self.bound(ends.to),
            Answer::Errno(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn bound(&self, address: SocketAddr) -> io::Result<Option<Taker>> {
        let mut found = None;
        // One of IPv6 may have both.
        for family in [AF_INET, AF_INET6] {
            let mut request = of_family(family);
            request[8..10].copy_from_slice(&address.port().to_be_bytes());
            let each = |message: &[u8]| {
                let has_it = |ip: &IpAddr| ip.is_unspecified() || *ip == address.ip().to_canonical();
                if source(message).as_ref().is_some_and(has_it) {
                    found = found.or_else(|| Taker::read(message));
                }
            };
            match Message::new(SOCK_DIAG_BY_FAMILY, 0, &request).list(&self.0, each) {
                // There may be no IPv6.
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
        }
        Ok(found)
    }

    fn ask(&self, ends: Ends) -> io::Result<Answer> {
        Message::new(SOCK_DIAG_BY_FAMILY, 0, &request(ends)).asked(&self.0)
    }
}

/// `struct inet_diag_req_v2`. What it calls the source is the sender.
fn request(ends: Ends) -> [u8; 56] {
    let mut bytes = of_family(if ends.to.is_ipv4() { AF_INET } else { AF_INET6 });
    bytes[8..10].copy_from_slice(&ends.from.port().to_be_bytes());
    bytes[10..12].copy_from_slice(&ends.to.port().to_be_bytes());
    put(ends.from, &mut bytes[12..28]);
    put(ends.to, &mut bytes[28..44]);
    bytes
}

fn of_family(family: i32) -> [u8; 56] {
    let mut bytes = [0; 56];
    bytes[0] = family as u8;
    bytes[1] = IPPROTO_UDP as u8;
    // In all states.
    bytes[4..8].fill(0xff);
    // Without a cookie.
    bytes[48..].fill(0xff);
    bytes
}

/// Where the socket of a `struct inet_diag_msg` is bound.
fn source(message: &[u8]) -> Option<IpAddr> {
    let bytes: [u8; 16] = *message.get(8..)?.first_chunk()?;
    Some(match i32::from(*message.first()?) {
        AF_INET => IpAddr::from(*bytes.first_chunk::<4>()?),
        _ => IpAddr::from(bytes).to_canonical(),
    })
}

fn put(address: SocketAddr, room: &mut [u8]) {
    match address.ip() {
        IpAddr::V4(ip) => room[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => room.copy_from_slice(&ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    #[test]
    fn a_bound_socket_takes_datagrams_and_a_connected_one_those_of_its_peer() {
        let namespace = Namespace::new().unwrap();
        let takers = Takers::new(&namespace).unwrap();
        for (domain, host) in [(AF_INET, "127.0.0.1"), (AF_INET6, "[::1]")] {
            let address = |port: u16| format!("{host}:{port}").parse::<SocketAddr>().unwrap();
            let ends = Ends { from: address(40_000), to: address(5353) };
            assert!(!takers.take(ends));
            let socket = namespace.socket(domain, libc::SOCK_DGRAM, 0).unwrap();
            rustix::net::bind(&socket, &address(5353)).unwrap();
            assert!(takers.take(ends));
            let cookie = kernel::option::<u64>(&socket, libc::SOL_SOCKET, libc::SO_COOKIE).unwrap();
            let inode = rustix::fs::fstat(&socket).unwrap().st_ino as u32;
            assert_eq!(takers.taker(ends).unwrap(), Some(Taker { cookie, inode }));
            rustix::net::connect(&socket, &address(40_001)).unwrap();
            assert!(!takers.take(ends));
            assert!(takers.take(Ends { from: address(40_001), ..ends }));
            assert_eq!(
                takers.taker(ends).unwrap(),
                Some(Taker { cookie, inode }),
                "it can be sent elsewhere from it"
            );
            assert_eq!(takers.taker(Ends { to: address(5354), ..ends }).unwrap(), None);
        }
    }
}
