//! The client's side of SOCKS5 (RFC 1928, RFC 1929), without I/O. Greeting and request are two
//! handshakes: a connection that has been greeted can wait for its request.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Credentials;

use super::handshake::{Handshake, Step};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `replies` as one stream; what was sent, and how it ended, and what was left unread.
    fn play(
        handshakes: impl IntoIterator<Item = Box<dyn Handshake>>,
        mut replies: &[u8],
    ) -> (Vec<Vec<u8>>, Result<(), Failure>, &[u8]) {
        let mut sent = Vec::new();
        let mut handshakes = handshakes.into_iter();
        let Some(mut handshake) = handshakes.next() else { return (sent, Ok(()), replies) };
        loop {
            let count = match handshake.step() {
                Err(failure) => return (sent, Err(failure), replies),
                Ok(Step::Done) => match handshakes.next() {
                    Some(next) => {
                        handshake = next;
                        continue;
                    }
                    None => return (sent, Ok(()), replies),
                },
                Ok(Step::Send(bytes)) => {
                    sent.push(bytes.to_vec());
                    continue;
                }
                Ok(Step::ReceiveHead) => panic!("SOCKS has no head"),
                Ok(Step::Receive(count)) => count,
            };
            let Some((bytes, rest)) = replies.split_at_checked(count) else {
                return (sent, Err(Failure::UpstreamClosed), replies);
            };
            replies = rest;
            if let Err(failure) = handshake.received(bytes) {
                return (sent, Err(failure), replies);
            }
        }
    }

    fn name(host: &str) -> Destination {
        Destination::Name { host: host.into(), port: 443 }
    }

    fn handshakes(destination: &Destination, credentials: Option<&Credentials>) -> [Box<dyn Handshake>; 2] {
        [Box::new(Greeting::new(credentials)), Box::new(Request::new(destination))]
    }

    fn plain() -> [Box<dyn Handshake>; 2] {
        handshakes(&name("a.test"), None)
    }

    fn with_password() -> [Box<dyn Handshake>; 2] {
        let credentials = Credentials { user: b"u".to_vec(), password: b"pw".to_vec() };
        handshakes(&name("a.test"), Some(&credentials))
    }

    #[test]
    fn one_flight_sends_both_and_reads_both_answers() {
        let one = || [Box::new(OneFlight::new(&name("a.test"))) as Box<dyn Handshake>];
        let (sent, ended, left) = play(one(), b"\x05\0\x05\0\0\x01\0\0\0\0\0\0rest");
        assert_eq!(sent, [b"\x05\x01\0\x05\x01\0\x03\x06a.test\x01\xbb".to_vec()]);
        assert_eq!((ended, left), (Ok(()), &b"rest"[..]));
        assert_eq!(play(one(), b"\x05\xff").1, Err(Failure::NoAcceptableMethod));
        assert_eq!(play(one(), b"\x05\0\x05\x05\0\x01\0").1, Err(Failure::Socks5(5)));
    }

    #[test]
    fn requests_carry_names_and_both_kinds_of_address() {
        let ok = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let request = |destination: &Destination| play(handshakes(destination, None), &ok).0[1].clone();
        assert_eq!(request(&name("a.test")), b"\x05\x01\x00\x03\x06a.test\x01\xbb");
        let v4 = Destination::Address("10.1.2.3:80".parse().unwrap());
        assert_eq!(request(&v4), b"\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x50");
        let v6 = Destination::Address("[fd00::1]:80".parse().unwrap());
        assert_eq!(request(&v6), b"\x05\x01\x00\x04\xfd\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50");
        let mapped = Destination::Address("[::ffff:10.1.2.3]:80".parse().unwrap());
        assert_eq!(request(&mapped), request(&v4));
    }

    #[test]
    fn the_reply_is_read_to_its_last_byte_and_no_further() {
        let bound: [(&[u8], &str); 5] = [
            (&[1, 1, 2, 3, 4], "IPv4"),
            (&[4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], "IPv6"),
            (&[3, 1, b'x'], "a name"),
            (&[3, 0], "an empty name"),
            (&[&[3, 255][..], &[b'y'; 255]].concat(), "the longest name"),
        ];
        for (bound, what) in bound {
            let stream = [&[5, 0, 5, 0, 0][..], bound, &[0, 80], b"payload"].concat();
            let (_, ended, left) = play(plain(), &stream);
            assert_eq!((ended, left), (Ok(()), &b"payload"[..]), "{what}");
        }
    }

    #[test]
    fn what_the_reply_binds_has_nothing_to_do_with_what_was_asked_for() {
        let address = |text: &str| Destination::Address(text.parse().unwrap());
        let long = "n".repeat(255);
        for destination in [name("a.test"), name(&long), address("10.1.2.3:80"), address("[fd00::1]:80")] {
            let play = |bound: &[u8]| {
                let stream = [&[5, 0, 5, 0, 0][..], bound, &[0, 80], b"payload"].concat();
                let (_, ended, left) = play(handshakes(&destination, None), &stream);
                (ended, left.to_vec())
            };
            assert_eq!(play(&[&[1][..], &[9; 4]].concat()), (Ok(()), b"payload".to_vec()));
            assert_eq!(play(&[&[4][..], &[9; 16]].concat()), (Ok(()), b"payload".to_vec()));
            for length in 0..=255 {
                let bound = [&[3, length][..], &vec![b'b'; length.into()]].concat();
                assert_eq!(play(&bound), (Ok(()), b"payload".to_vec()), "a name of {length}");
            }
            for kind in (0..=255).filter(|kind| ![1, 3, 4].contains(kind)) {
                assert!(matches!(play(&[kind, 0, 0, 0, 0]).0, Err(Failure::Protocol(_))), "type {kind}");
            }
        }
    }

    #[test]
    fn an_answer_in_another_version_is_none() {
        for version in (0..=255).filter(|version| *version != VERSION) {
            for stream in [vec![version, 0], vec![5, 0, version, 0, 0, 1, 0, 0, 0, 0, 0, 80]] {
                let ended = play(plain(), &stream).1;
                assert!(matches!(ended, Err(Failure::Protocol(_))), "version {version}");
            }
        }
    }

    #[test]
    fn a_password_is_sent_when_it_is_asked_for_and_only_then() {
        let ok = [5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let (sent, ended, _) = play(with_password(), &ok);
        assert_eq!(ended, Ok(()));
        assert_eq!(sent[0], [5, 2, 0, 2]);
        assert_eq!(sent[1], b"\x01\x01u\x02pw");
        let (sent, ended, _) = play(with_password(), &[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!((sent.len(), ended), (2, Ok(())));
        assert_eq!(play(with_password(), &[5, 2, 1, 1]).1, Err(Failure::Unauthorized));
    }

    #[test]
    fn each_fault_of_the_proxy_has_its_failure() {
        assert_eq!(play(plain(), &[5, 0xff]).1, Err(Failure::NoAcceptableMethod));
        assert!(matches!(play(plain(), &[5, 2]).1, Err(Failure::Protocol(_))), "a method not offered");
        assert!(matches!(play(plain(), &[4, 0]).1, Err(Failure::Protocol(_))), "another version");
        assert!(matches!(play(plain(), b"HT").1, Err(Failure::Protocol(_))), "another protocol");
        assert!(
            matches!(play(plain(), &[5, 0, 5, 0, 0, 0x7f, 0]).1, Err(Failure::Protocol(_))),
            "address type"
        );
        for code in 1..=255 {
            assert_eq!(play(plain(), &[5, 0, 5, code, 0, 1, 0]).1, Err(Failure::Socks5(code)));
        }
    }

    #[test]
    fn no_prefix_of_an_answer_is_taken_for_one() {
        let stream = [5, 2, 1, 0, 5, 0, 0, 3, 4, b'n', b'a', b'm', b'e', 0, 80];
        for cut in 0..stream.len() {
            assert_eq!(play(with_password(), &stream[..cut]).1, Err(Failure::UpstreamClosed), "cut at {cut}");
        }
        assert_eq!(play(with_password(), &stream).1, Ok(()));
    }
}
