//! The client's side of SOCKS5 (RFC 1928, RFC 1929), without I/O. Greeting and request are two
//! handshakes: a connection that has been greeted can wait for its request.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Credentials;

use super::handshake::{Handshake, Step};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const BIND: u8 = 2;
const UDP_ASSOCIATE: u8 = 3;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// The most that [`Step::Receive`] asks for: a bound name of 255 bytes and a port, less the
/// length byte that was read before.
pub(crate) const MAX_READ: usize = 255 + 2;

/// Method selection and authentication. No `Debug`: it holds the password.
#[derive(Clone)]
pub(crate) struct Greeting {
    state: Greeted,
    greeting: Vec<u8>,
    authentication: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
enum Greeted {
    Greet,
    AwaitMethod,
    Authenticate,
    AwaitVerdict,
    Done,
}

impl Greeting {
    pub(crate) fn new(credentials: Option<&Credentials>) -> Self {
        let greeting = match credentials {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_PASSWORD],
        };
        let authentication = credentials.map(|c| {
            // Both are bounded at 255 bytes where they are read (core::upstream).
            let mut bytes = vec![1, c.user.len() as u8];
            bytes.extend(&c.user);
            bytes.push(c.password.len() as u8);
            bytes.extend(&c.password);
            bytes
        });
        Self { state: Greeted::Greet, greeting, authentication }
    }
}

impl Handshake for Greeting {
    fn step(&mut self) -> Result<Step<'_>, Failure> {
        Ok(match self.state {
            Greeted::Greet => {
                self.state = Greeted::AwaitMethod;
                Step::Send(&self.greeting)
            }
            Greeted::Authenticate => {
                self.state = Greeted::AwaitVerdict;
                Step::Send(self.authentication.as_deref().ok_or(Failure::NoAcceptableMethod)?)
            }
            Greeted::AwaitMethod | Greeted::AwaitVerdict => Step::Receive(2),
            Greeted::Done => Step::Done,
        })
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.state = match (self.state, bytes) {
            (Greeted::AwaitMethod, &[VERSION, NO_AUTHENTICATION]) => Greeted::Done,
            (Greeted::AwaitMethod, &[VERSION, USER_PASSWORD]) if self.authentication.is_some() => {
                Greeted::Authenticate
            }
            (Greeted::AwaitMethod, &[VERSION, NONE_ACCEPTABLE]) => return Err(Failure::NoAcceptableMethod),
            (Greeted::AwaitMethod, &[VERSION, _]) => {
                return Err(Failure::Protocol("it chose an authentication method that was not offered"));
            }
            (Greeted::AwaitMethod, _) => return Err(ANOTHER_VERSION),
            // Some servers answer with version 5 here; RFC 1929 says 1. The verdict is what counts.
            (Greeted::AwaitVerdict, &[1 | VERSION, 0]) => Greeted::Done,
            (Greeted::AwaitVerdict, &[1 | VERSION, _]) => return Err(Failure::Unauthorized),
            (Greeted::AwaitVerdict, _) => {
                return Err(Failure::Protocol("its answer to the password has no known version"));
            }
            _ => return Err(Failure::Protocol("its reply has a wrong length")),
        };
        Ok(())
    }
}

const ANOTHER_VERSION: Failure = Failure::Protocol("it does not answer with SOCKS version 5");

/// A request, for a connection unless said otherwise. Names are sent as names.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    state: Requested,
    request: Vec<u8>,
    bound: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Requested {
    Request,
    /// The fixed part of the reply, and the first byte of the bound address.
    AwaitReply,
    /// The rest of the bound address and the port.
    AwaitAddress(usize),
    Done,
}

impl Request {
    pub(crate) fn new(destination: &Destination) -> Self {
        Self::of(CONNECT, destination)
    }

    /// The request for an association. The client's own address is not told: who is behind a translator
    /// does not know it.
    pub(super) fn associate() -> Self {
        Self::of(UDP_ASSOCIATE, &Destination::Address((Ipv4Addr::UNSPECIFIED, 0).into()))
    }

    /// The request to listen for one connection, from `expected`.
    pub(super) fn bind(expected: &Destination) -> Self {
        Self::of(BIND, expected)
    }

    /// What comes when somebody has connected; nothing is sent for it.
    pub(super) fn second_reply() -> Self {
        Self { state: Requested::AwaitReply, request: Vec::new(), bound: Vec::new() }
    }

    fn of(command: u8, destination: &Destination) -> Self {
        let mut request = vec![VERSION, command, 0];
        put_address(&mut request, destination);
        Self { state: Requested::Request, request, bound: Vec::new() }
    }

    /// What the reply says is bound: kind, address and port. Empty until then.
    pub(super) fn bound(&self) -> &[u8] {
        match self.state {
            Requested::Done => &self.bound,
            _ => &[],
        }
    }
}

/// Kind, address and port (RFC 1928 section 5).
pub(super) fn put_address(bytes: &mut Vec<u8>, destination: &Destination) {
    match destination {
        Destination::Address(address) => match address.ip().to_canonical() {
            IpAddr::V4(v4) => {
                bytes.push(1);
                bytes.extend(v4.octets());
            }
            IpAddr::V6(v6) => {
                bytes.push(4);
                bytes.extend(v6.octets());
            }
        },
        Destination::Name { host, .. } => {
            // `Destination` bounds names at 255 bytes.
            let host = &host.as_bytes()[..host.len().min(255)];
            bytes.push(3);
            bytes.push(host.len() as u8);
            bytes.extend(host);
        }
    }
    bytes.extend(destination.port().to_be_bytes());
}

impl Handshake for Request {
    fn step(&mut self) -> Result<Step<'_>, Failure> {
        Ok(match self.state {
            Requested::Request => {
                self.state = Requested::AwaitReply;
                Step::Send(&self.request)
            }
            Requested::AwaitReply => Step::Receive(5),
            Requested::AwaitAddress(count) => Step::Receive(count),
            Requested::Done => Step::Done,
        })
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.state = match (self.state, bytes) {
            (Requested::AwaitReply, &[version, ..]) if version != VERSION => return Err(ANOTHER_VERSION),
            (Requested::AwaitReply, &[_, 0, _, kind, first]) => {
                self.bound = vec![kind, first];
                Requested::AwaitAddress(match kind {
                    1 => 4 - 1 + 2,
                    4 => 16 - 1 + 2,
                    3 => usize::from(first) + 2,
                    _ => return Err(Failure::Protocol("its reply has an unknown address type")),
                })
            }
            (Requested::AwaitReply, &[_, code, ..]) => return Err(Failure::Socks5(code)),
            (Requested::AwaitAddress(count), bytes) if bytes.len() == count => {
                self.bound.extend(bytes);
                Requested::Done
            }
            _ => return Err(Failure::Protocol("its reply has a wrong length")),
        };
        Ok(())
    }

    fn leaves_from(&self) -> Option<SocketAddr> {
        let Destination::Address(address) = super::socks5_udp::told(self.bound())? else { return None };
        Some(address).filter(|address| !address.ip().is_unspecified())
    }
}

/// Greeting and request in one flight ([`super::flights`]). The proxy must let in whoever asks without a
/// password: with one, it would read a request where it expects the password.
#[derive(Clone)]
pub(crate) struct OneFlight {
    both: Option<Vec<u8>>,
    greeting: Greeting,
    request: Request,
}

impl OneFlight {
    pub(crate) fn new(destination: &Destination) -> Self {
        let (mut greeting, mut request) = (Greeting::new(None), Request::new(destination));
        let both = [&greeting.greeting[..], &request.request].concat();
        greeting.state = Greeted::AwaitMethod;
        request.state = Requested::AwaitReply;
        Self { both: Some(both), greeting, request }
    }
}

impl Handshake for OneFlight {
    fn step(&mut self) -> Result<Step<'_>, Failure> {
        if self.both.is_some() {
            // Kept until the step after, since the step borrows it.
            self.greeting.greeting = self.both.take().unwrap_or_default();
            return Ok(Step::Send(&self.greeting.greeting));
        }
        match self.greeting.state {
            Greeted::Done => self.request.step(),
            _ => self.greeting.step(),
        }
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.greeting.state {
            Greeted::Done => self.request.received(bytes),
            _ => self.greeting.received(bytes),
        }
    }

    fn leaves_from(&self) -> Option<SocketAddr> {
        self.request.leaves_from()
    }
}

#[cfg(test)]
mod tests;
