//! The client's side of SOCKS4 and SOCKS4a, without I/O (Ying-Da Lee's two memos, "SOCKS: A protocol
//! for TCP proxy across firewalls" and "SOCKS 4A: A Simple Extension to SOCKS 4 Protocol").
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Credentials;

use super::handshake::{Handshake, Step};

const VERSION: u8 = 4;
const CONNECT: u8 = 1;
const GRANTED: u8 = 90;
/// Refusals: 91 rejected or failed, 92 and 93 about identd.
const REFUSALS: std::ops::RangeInclusive<u8> = 91..=93;
/// Version, code, port, address.
const REPLY: usize = 8;
/// Of SOCKS4a: an address that announces a name.
const NAME_FOLLOWS: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);
/// The longest name, and the longest user id, in bytes.
const LONGEST: usize = 255;
const NAME: &str = "the name is empty, longer than 255 bytes, or holds a zero byte";
const USER: &str = "the user name is longer than 255 bytes, or holds a zero byte";

/// One handshake.
#[derive(Clone)]
pub(crate) struct Connect {
    state: State,
    request: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Request,
    /// The first byte, which tells another protocol, whose answer may be shorter.
    AwaitVersion,
    AwaitReply,
    Done,
}

impl Connect {
    /// A handshake for `destination`: SOCKS4, or SOCKS4a if `names` are to be sent.
    ///
    /// SOCKS4 has only addresses of IPv4; [`Failure::Socks4Destination`] for anything else. SOCKS4a sends
    /// names as names, and so an address of IPv6 too, in its textual form: the protocol has no other
    /// place for it, and servers that resolve with `getaddrinfo` take it.
    pub(crate) fn new(
        destination: &Destination,
        credentials: Option<&Credentials>,
        names: bool,
    ) -> Result<Self, Failure> {
        let port = destination.port();
        match destination {
            Destination::Address(address) => match address.ip().to_canonical() {
                IpAddr::V4(v4) => Self::encode(v4, port, None, credentials),
                IpAddr::V6(v6) if names => {
                    Self::encode(NAME_FOLLOWS, port, Some(&v6.to_string()), credentials)
                }
                IpAddr::V6(_) => Err(Failure::Socks4Destination),
            },
            Destination::Name { host, .. } if names => {
                Self::encode(NAME_FOLLOWS, port, Some(host), credentials)
            }
            Destination::Name { .. } => Err(Failure::Socks4Destination),
        }
    }

    /// The password has no place in SOCKS4; the user name is the user id.
    fn encode(
        address: Ipv4Addr,
        port: u16,
        name: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<Self, Failure> {
        if let (None, [0, 0, 0, 1..=255]) = (name, address.octets()) {
            // The server would wait for a name for ever.
            return Err(Failure::Request("SOCKS4a takes addresses 0.0.0.1 to 0.0.0.255 to announce a name"));
        }
        let mut request = vec![VERSION, CONNECT];
        request.extend(port.to_be_bytes());
        request.extend(address.octets());
        terminated(&mut request, credentials.map_or(&[], |c| &c.user), Failure::Credentials(USER))?;
        if let Some(name) = name {
            if name.is_empty() {
                return Err(Failure::Request(NAME));
            }
            terminated(&mut request, name.as_bytes(), Failure::Request(NAME))?;
        }
        Ok(Self { state: State::Request, request })
    }
}

/// Appends `text` and the zero byte that ends it, if it can be ended so.
fn terminated(request: &mut Vec<u8>, text: &[u8], otherwise: Failure) -> Result<(), Failure> {
    if text.len() > LONGEST || text.contains(&0) {
        return Err(otherwise);
    }
    request.extend(text);
    request.push(0);
    Ok(())
}

impl Handshake for Connect {
    fn step(&mut self) -> Result<Step<'_>, Failure> {
        Ok(match self.state {
            State::Request => {
                self.state = State::AwaitVersion;
                Step::Send(&self.request)
            }
            State::AwaitVersion => Step::Receive(1),
            State::AwaitReply => Step::Receive(REPLY - 1),
            State::Done => Step::Done,
        })
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match (self.state, bytes) {
            // The version of the reply is 0; some servers repeat that of the request.
            (State::AwaitVersion, &[0 | VERSION]) => {
                self.state = State::AwaitReply;
                Ok(())
            }
            (State::AwaitVersion, &[_]) => Err(Failure::Protocol("it does not answer with SOCKS version 4")),
            // The address and the port are those of BIND.
            (State::AwaitReply, &[code, _, _, _, _, _, _]) => match code {
                GRANTED => {
                    self.state = State::Done;
                    Ok(())
                }
                code if REFUSALS.contains(&code) => Err(Failure::Socks4(code)),
                _ => Err(Failure::Protocol("its reply has a code that SOCKS4 does not know")),
            },
            _ => Err(Failure::Protocol("its reply has a wrong length")),
        }
    }
}

/// Without the request, which holds the user name.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: [u8; 8] = [0, 90, 0, 0, 0, 0, 0, 0];

    /// Plays `replies` as one stream; what was sent, how it ended, and what was left unread.
    fn play(mut handshake: Connect, mut replies: &[u8]) -> (Vec<u8>, Result<(), Failure>, &[u8]) {
        let mut sent = Vec::new();
        loop {
            let count = match handshake.step() {
                Err(failure) => return (sent, Err(failure), replies),
                Ok(Step::Done) => return (sent, Ok(()), replies),
                Ok(Step::ReceiveHead) => panic!("SOCKS4 has no head"),
                Ok(Step::Send(bytes)) => {
                    sent.extend(bytes);
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

    fn address(text: &str) -> Destination {
        Destination::Address(text.parse().unwrap())
    }

    fn name(host: &str) -> Destination {
        Destination::Name { host: host.into(), port: 443 }
    }

    fn request(destination: &Destination, user: &[u8], names: bool) -> Result<Vec<u8>, Failure> {
        let credentials = Credentials { user: user.to_vec(), password: b"never sent".to_vec() };
        let credentials = (!user.is_empty()).then_some(&credentials);
        Connect::new(destination, credentials, names).map(|handshake| play(handshake, &OK).0)
    }

    fn plain() -> Connect {
        Connect::new(&address("10.1.2.3:80"), None, false).unwrap()
    }

    #[test]
    fn requests_carry_addresses_and_with_4a_names() {
        let table: [(Destination, &[u8], bool, &[u8]); 7] = [
            (address("10.1.2.3:80"), b"", false, b"\x04\x01\x00\x50\x0a\x01\x02\x03\x00"),
            (address("10.1.2.3:80"), b"", true, b"\x04\x01\x00\x50\x0a\x01\x02\x03\x00"),
            (address("10.1.2.3:80"), b"fred", false, b"\x04\x01\x00\x50\x0a\x01\x02\x03fred\x00"),
            (address("[::ffff:10.1.2.3]:80"), b"", false, b"\x04\x01\x00\x50\x0a\x01\x02\x03\x00"),
            (name("a.test"), b"", true, b"\x04\x01\x01\xbb\0\0\0\x01\x00a.test\x00"),
            (name("a.test"), b"fred", true, b"\x04\x01\x01\xbb\0\0\0\x01fred\x00a.test\x00"),
            (address("[fd00::1]:443"), b"", true, b"\x04\x01\x01\xbb\0\0\0\x01\x00fd00::1\x00"),
        ];
        for (destination, user, names, bytes) in table {
            assert_eq!(request(&destination, user, names).as_deref(), Ok(bytes), "{destination}, {names}");
        }
    }

    #[test]
    fn what_plain_socks4_cannot_say_is_refused_before_anything_is_sent() {
        for destination in [name("a.test"), name("10.1.2.3"), address("[fd00::1]:80")] {
            assert_eq!(request(&destination, b"", false), Err(Failure::Socks4Destination), "{destination}");
        }
    }

    #[test]
    fn names_and_users_that_would_shift_the_request_are_refused() {
        let refused = |destination: &Destination, user: &[u8]| {
            let refused = request(destination, user, true);
            let is_expected = match refused {
                Err(Failure::Request(_)) => user.is_empty(),
                Err(Failure::Credentials(_)) => !user.is_empty(),
                _ => false,
            };
            assert!(is_expected, "{destination:?}: {refused:?}");
        };
        for host in ["", "a\0b", &"x".repeat(256), &"x".repeat(65_535)] {
            refused(&name(host), b"");
        }
        for user in [&b"a\0b"[..], &[b'x'; 256]] {
            refused(&name("a.test"), user);
        }
        // Which would announce a name that does not come.
        for marker in ["0.0.0.1:80", "0.0.0.255:80"] {
            refused(&address(marker), b"");
        }
        assert!(request(&name(&"x".repeat(255)), &[b'x'; 255], true).is_ok());
        assert!(request(&address("0.0.0.0:80"), b"", true).is_ok());
    }

    #[test]
    fn the_reply_is_read_to_its_last_byte_and_no_further() {
        for version in [0, 4] {
            let stream = [&[version, 90, 0xff, 0xfe, 1, 2, 3, 4][..], b"payload"].concat();
            let (_, ended, left) = play(plain(), &stream);
            assert_eq!((ended, left), (Ok(()), &b"payload"[..]), "version {version}");
        }
    }

    #[test]
    fn each_code_has_its_failure() {
        for code in 0..=255 {
            let ended = play(plain(), &[0, code, 0, 0, 0, 0, 0, 0]).1;
            match code {
                90 => assert_eq!(ended, Ok(())),
                91..=93 => assert_eq!(ended, Err(Failure::Socks4(code))),
                _ => assert!(matches!(ended, Err(Failure::Protocol(_))), "code {code}"),
            }
        }
    }

    #[test]
    fn an_answer_in_another_version_or_protocol_is_none() {
        for version in (0..=255).filter(|version| ![0, 4].contains(version)) {
            let ended = play(plain(), &[version, 90, 0, 0, 0, 0, 0, 0]).1;
            assert!(matches!(ended, Err(Failure::Protocol(_))), "version {version}");
        }
        assert!(matches!(play(plain(), b"HTTP/1.1 200 OK\r\n\r\n").1, Err(Failure::Protocol(_))));
    }

    #[test]
    fn no_prefix_of_an_answer_is_taken_for_one() {
        for cut in 0..OK.len() {
            assert_eq!(play(plain(), &OK[..cut]).1, Err(Failure::UpstreamClosed), "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_were_not_asked_for_are_an_error() {
        let mut handshake = plain();
        assert!(handshake.received(&OK).is_err(), "before the request");
        handshake.step().unwrap();
        assert!(handshake.received(&OK).is_err(), "more than the first byte");
        assert!(handshake.received(&OK[..1]).is_ok());
        assert!(handshake.received(&OK[1..7]).is_err());
        assert!(handshake.received(&[&OK[1..], b"x"].concat()).is_err());
        assert!(handshake.received(&OK[1..]).is_ok());
        assert!(handshake.received(&OK[1..]).is_err(), "twice");
    }

    #[test]
    fn debug_shows_no_user() {
        let credentials = Credentials { user: b"secret".to_vec(), password: Vec::new() };
        let handshake = Connect::new(&name("a.test"), Some(&credentials), true).unwrap();
        let shown = format!("{handshake:?}");
        assert!(!shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
    }
}
