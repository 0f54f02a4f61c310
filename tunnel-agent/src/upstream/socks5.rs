//! The client's side of SOCKS5 (RFC 1928, RFC 1929), without I/O: bytes out, exact counts of bytes in.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Credentials;

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Send all of this.
    Send(&'a [u8]),
    /// Read exactly this many bytes, 1 to [`Handshake::MAX_READ`], and give them to [`Handshake::received`].
    Receive(usize),
    /// The stream is the program's.
    Done,
}

/// One handshake.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    state: State,
    /// Method selection, and behind it the authentication and the request, each sent in its turn.
    greeting: Vec<u8>,
    authentication: Option<Vec<u8>>,
    request: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Greet,
    AwaitMethod,
    Authenticate,
    AwaitVerdict,
    Request,
    /// The fixed part of the reply, and the first byte of the bound address.
    AwaitReply,
    /// The rest of the bound address and the port, of which nothing is used.
    AwaitAddress(usize),
    Done,
}

impl Handshake {
    /// The most that [`Step::Receive`] asks for: a bound name of 255 bytes and a port, less the
    /// length byte that was read before.
    pub(crate) const MAX_READ: usize = 255 + 2;

    /// A handshake for `destination`. Names are sent as names.
    pub(crate) fn new(destination: &Destination, credentials: Option<&Credentials>) -> Self {
        let mut request = vec![VERSION, CONNECT, 0];
        match destination {
            Destination::Address(address) => match address.ip().to_canonical() {
                IpAddr::V4(v4) => {
                    request.push(1);
                    request.extend(v4.octets());
                }
                IpAddr::V6(v6) => {
                    request.push(4);
                    request.extend(v6.octets());
                }
            },
            Destination::Name { host, .. } => {
                // `Destination` bounds names at 255 bytes.
                let host = &host.as_bytes()[..host.len().min(255)];
                request.push(3);
                request.push(host.len() as u8);
                request.extend(host);
            }
        }
        request.extend(destination.port().to_be_bytes());
        let greeting = match credentials {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_PASSWORD],
        };
        let authentication = credentials.map(|c| {
            // `Credentials` bounds both at 255 bytes.
            let mut bytes = vec![1, c.user.len() as u8];
            bytes.extend(&c.user);
            bytes.push(c.password.len() as u8);
            bytes.extend(&c.password);
            bytes
        });
        Self { state: State::Greet, greeting, authentication, request }
    }

    /// What to do next. A `Send` is taken as done.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, Failure> {
        Ok(match self.state {
            State::Greet => {
                self.state = State::AwaitMethod;
                Step::Send(&self.greeting)
            }
            State::Authenticate => {
                self.state = State::AwaitVerdict;
                Step::Send(self.authentication.as_deref().ok_or(Failure::NoAcceptableMethod)?)
            }
            State::Request => {
                self.state = State::AwaitReply;
                Step::Send(&self.request)
            }
            State::AwaitMethod | State::AwaitVerdict => Step::Receive(2),
            State::AwaitReply => Step::Receive(5),
            State::AwaitAddress(count) => Step::Receive(count),
            State::Done => Step::Done,
        })
    }

    /// Takes the bytes that the last [`Step::Receive`] asked for.
    pub(crate) fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.state = match (self.state, bytes) {
            (State::AwaitMethod, &[VERSION, NO_AUTHENTICATION]) => State::Request,
            (State::AwaitMethod, &[VERSION, USER_PASSWORD]) if self.authentication.is_some() => {
                State::Authenticate
            }
            (State::AwaitMethod, &[VERSION, NONE_ACCEPTABLE]) => return Err(Failure::NoAcceptableMethod),
            (State::AwaitMethod, &[VERSION, _]) => {
                return Err(Failure::Protocol("it chose an authentication method that was not offered"));
            }
            (State::AwaitMethod | State::AwaitReply, &[version, ..]) if version != VERSION => {
                return Err(Failure::Protocol("it does not answer with SOCKS version 5"));
            }
            // Some servers answer with version 5 here; RFC 1929 says 1. The verdict is what counts.
            (State::AwaitVerdict, &[1 | VERSION, 0]) => State::Request,
            (State::AwaitVerdict, &[1 | VERSION, _]) => return Err(Failure::Unauthorized),
            (State::AwaitVerdict, _) => {
                return Err(Failure::Protocol("its answer to the password has no known version"));
            }
            (State::AwaitReply, &[_, 0, _, kind, first]) => State::AwaitAddress(match kind {
                1 => 4 - 1 + 2,
                4 => 16 - 1 + 2,
                3 => usize::from(first) + 2,
                _ => return Err(Failure::Protocol("its reply has an unknown address type")),
            }),
            (State::AwaitReply, &[_, code, ..]) => return Err(Failure::Socks5(code)),
            (State::AwaitAddress(count), bytes) if bytes.len() == count => State::Done,
            _ => return Err(Failure::Protocol("its reply has a wrong length")),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `replies` as one stream; what was sent, and how it ended, and what was left unread.
    fn play(mut handshake: Handshake, mut replies: &[u8]) -> (Vec<Vec<u8>>, Result<(), Failure>, &[u8]) {
        let mut sent = Vec::new();
        loop {
            let count = match handshake.step() {
                Err(failure) => return (sent, Err(failure), replies),
                Ok(Step::Done) => return (sent, Ok(()), replies),
                Ok(Step::Send(bytes)) => {
                    sent.push(bytes.to_vec());
                    continue;
                }
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

    fn plain() -> Handshake {
        Handshake::new(&name("a.test"), None)
    }

    fn with_password() -> Handshake {
        Handshake::new(&name("a.test"), Some(&Credentials { user: b"u".to_vec(), password: b"pw".to_vec() }))
    }

    #[test]
    fn requests_carry_names_and_both_kinds_of_address() {
        let ok = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let request = |destination: &Destination| play(Handshake::new(destination, None), &ok).0[1].clone();
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
