//! The frames between the preload library and the agent.
//!
//! One request, one reply, over a fresh `SOCK_SEQPACKET` Unix connection, so that a frame is one
//! message: there is nothing to reassemble and nothing to keep. Integers are little-endian, since
//! both ends are on one machine; ports are host numbers. Encoding writes to a caller's array and
//! allocates nothing: it runs inside `connect()` of other people's programs.
//!
//! A request is `magic, version, kind, token, body`; a reply is `kind, body`. A frame that is too
//! short, too long, or of unknown kind is an error, never a guess.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The version of this format. It is part of the agent's address (one agent per version), so that
/// an upgraded library never speaks to an old agent.
pub const VERSION: u8 = 1;
/// No frame of either direction is longer, in bytes.
pub const MAX_FRAME: usize = 512;
/// The longest host name on the wire, in bytes (RFC 1035 section 3.1; RFC 1928 has one length byte).
pub const MAX_NAME: usize = 255;

const MAGIC: [u8; 3] = *b"UPs";

/// What a frame may be wrong in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The frame ends before its fields do.
    Short,
    /// Bytes follow the last field.
    Trailing,
    /// Not our magic or not our version.
    Foreign,
    /// A kind or an enumerated field with an unknown value.
    Unknown,
    /// A field out of its range.
    Range,
}

/// The token that names a session: the one secret that a program carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 16]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Which addresses a name is wanted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `AF_UNSPEC`
    Any,
    /// `AF_INET`
    V4,
    /// `AF_INET6`
    V6,
}

/// What a hook asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// "Connect the socket that comes with this frame (`SCM_RIGHTS`, exactly one) to this address."
    Connect {
        /// As the program gave it; it may be a fake address.
        address: SocketAddr,
        /// An epoll set of the program may watch the socket already: hand-off would show it a
        /// connection to the proxy too early.
        watched: bool,
        /// The port of the hold listener at which the library has put the socket into `SYN_SENT`
        /// itself, or 0. The library does not wait for an answer then.
        held_at: u16,
    },
    /// On the connection of a waiting [`Request::Connect`]: the program's wait was interrupted, go
    /// on without it.
    Convert,
    /// "What became of the connection attempt of the socket with this cookie?" The answer is given once.
    Outcome {
        /// `SO_COOKIE` of the program's socket.
        cookie: u64,
    },
    /// "Whom did the socket with this cookie want to reach?"
    Peer {
        /// `SO_COOKIE` of the program's socket.
        cookie: u64,
    },
    /// "Which addresses stand for this name?"
    Resolve {
        /// Host name as the program gave it, 1 to [`MAX_NAME`] bytes.
        name: &'a [u8],
        /// Which addresses are of use.
        family: Family,
    },
    /// "Which name does this (fake) address stand for?"
    NameOf {
        /// The address; only fake addresses and the hosts file are answered.
        ip: IpAddr,
    },
}

/// What the agent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// Make the real call.
    Direct,
    /// The call fails with this errno; nothing was done to the socket.
    Refuse {
        /// A positive errno value.
        errno: i32,
    },
    /// The socket is held in `SYN_SENT` and will be completed or failed.
    Held {
        /// Whether the program's socket is in blocking mode, so that `connect()` has to wait.
        blocking: bool,
        /// The port on 127.0.0.1 at which the library may hold the next socket itself, or 0.
        port: u16,
    },
    /// The socket is connected through the upstream and now the program's alone.
    HandedOff,
    /// Answer to [`Request::Outcome`]: an errno, or 0 where nothing is known to have failed.
    Outcome {
        /// A positive errno value or 0.
        errno: i32,
    },
    /// Answer to [`Request::Peer`].
    Peer {
        /// What the program asked for.
        peer: SocketAddr,
        /// The local address of the connection that really goes out, where it is known.
        local: Option<SocketAddr>,
    },
    /// Answer to [`Request::Resolve`]: at least one address.
    Resolved {
        /// IPv4 address.
        v4: Option<Ipv4Addr>,
        /// IPv6 address.
        v6: Option<Ipv6Addr>,
    },
    /// Answer to [`Request::NameOf`].
    Name {
        /// 1 to [`MAX_NAME`] bytes.
        name: &'a [u8],
    },
    /// There is no answer: no such name, address or cookie.
    Unknown,
    /// Try later: the table of fake addresses is full, or a look-up did not end.
    TryAgain,
}

mod kind {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const CONVERT: u8 = 2;
    pub(super) const OUTCOME: u8 = 3;
    pub(super) const PEER: u8 = 4;
    pub(super) const RESOLVE: u8 = 5;
    pub(super) const NAME_OF: u8 = 6;

    pub(super) const DIRECT: u8 = 0x80;
    pub(super) const REFUSE: u8 = 0x81;
    pub(super) const HELD: u8 = 0x82;
    pub(super) const HANDED_OFF: u8 = 0x83;
    pub(super) const OUTCOME_IS: u8 = 0x84;
    pub(super) const PEER_IS: u8 = 0x85;
    pub(super) const RESOLVED: u8 = 0x86;
    pub(super) const NAME: u8 = 0x87;
    pub(super) const UNKNOWN: u8 = 0x88;
    pub(super) const TRY_AGAIN: u8 = 0x89;
}

/// A frame being written to an array of the caller.
#[derive(Debug)]
pub struct Frame {
    bytes: [u8; MAX_FRAME],
    len: usize,
}

impl Frame {
    fn new() -> Self {
        Self { bytes: [0; MAX_FRAME], len: 0 }
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Every body has a fixed bound well under [`MAX_FRAME`] except names, which are cut at
    /// [`MAX_NAME`] by the callers; what would not fit is dropped and decodes as `Short`.
    fn put(mut self, bytes: &[u8]) -> Self {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
        self
    }

    fn ip(self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => self.put(&[4]).put(&v4.octets()),
            IpAddr::V6(v6) => self.put(&[6]).put(&v6.octets()),
        }
    }

    fn address(self, address: SocketAddr) -> Self {
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        self.ip(address.ip()).put(&address.port().to_le_bytes()).put(&scope.to_le_bytes())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[b]| b)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Unknown),
        }
    }

    fn errno(&mut self, least: i32) -> Result<i32, WireError> {
        let errno = i32::from_le_bytes(self.array()?);
        // The kernel's own bound on errno values (MAX_ERRNO).
        if (least..=4095).contains(&errno) { Ok(errno) } else { Err(WireError::Range) }
    }

    fn cookie(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn ip(&mut self) -> Result<IpAddr, WireError> {
        match self.u8()? {
            4 => Ok(IpAddr::from(self.array::<4>()?)),
            6 => Ok(IpAddr::from(self.array::<16>()?)),
            _ => Err(WireError::Unknown),
        }
    }

    fn address(&mut self) -> Result<SocketAddr, WireError> {
        let ip = self.ip()?;
        let port = self.u16()?;
        let scope = u32::from_le_bytes(self.array()?);
        Ok(match ip {
            IpAddr::V4(_) if scope != 0 => return Err(WireError::Range),
            IpAddr::V4(v4) => SocketAddr::from((v4, port)),
            IpAddr::V6(v6) => std::net::SocketAddrV6::new(v6, port, 0, scope).into(),
        })
    }

    fn name(&mut self) -> Result<&'a [u8], WireError> {
        let len = usize::from(self.u8()?);
        if len == 0 { Err(WireError::Range) } else { self.take(len) }
    }

    fn end<T>(self, value: T) -> Result<T, WireError> {
        if self.0.is_empty() { Ok(value) } else { Err(WireError::Trailing) }
    }
}

/// A name with its length byte; longer ones than [`MAX_NAME`] cannot be sent.
fn put_name(frame: Frame, name: &[u8]) -> Frame {
    match u8::try_from(name.len()) {
        Ok(len) => frame.put(&[len]).put(name),
        Err(_) => frame,
    }
}

impl<'a> Request<'a> {
    /// Encodes the request for the session of `token`.
    pub fn encode(&self, token: &Token) -> Frame {
        let kind = match self {
            Self::Connect { .. } => kind::CONNECT,
            Self::Convert => kind::CONVERT,
            Self::Outcome { .. } => kind::OUTCOME,
            Self::Peer { .. } => kind::PEER,
            Self::Resolve { .. } => kind::RESOLVE,
            Self::NameOf { .. } => kind::NAME_OF,
        };
        let frame = Frame::new().put(&MAGIC).put(&[VERSION, kind]).put(&token.0);
        match *self {
            Self::Connect { address, watched, held_at } => {
                frame.put(&[u8::from(watched)]).put(&held_at.to_le_bytes()).address(address)
            }
            Self::Convert => frame,
            Self::Outcome { cookie } | Self::Peer { cookie } => frame.put(&cookie.to_le_bytes()),
            Self::Resolve { name, family } => {
                let family = match family {
                    Family::Any => 0,
                    Family::V4 => 4,
                    Family::V6 => 6,
                };
                put_name(frame.put(&[family]), name)
            }
            Self::NameOf { ip } => frame.ip(ip),
        }
    }

    /// Decodes one whole frame.
    pub fn decode(bytes: &'a [u8]) -> Result<(Token, Self), WireError> {
        let mut r = Reader(bytes);
        if r.array()? != MAGIC || r.u8()? != VERSION {
            return Err(WireError::Foreign);
        }
        let kind = r.u8()?;
        let token = Token(r.array()?);
        let request = match kind {
            kind::CONNECT => Self::Connect { watched: r.flag()?, held_at: r.u16()?, address: r.address()? },
            kind::CONVERT => Self::Convert,
            kind::OUTCOME => Self::Outcome { cookie: r.cookie()? },
            kind::PEER => Self::Peer { cookie: r.cookie()? },
            kind::RESOLVE => {
                let family = match r.u8()? {
                    0 => Family::Any,
                    4 => Family::V4,
                    6 => Family::V6,
                    _ => return Err(WireError::Unknown),
                };
                Self::Resolve { family, name: r.name()? }
            }
            kind::NAME_OF => Self::NameOf { ip: r.ip()? },
            _ => return Err(WireError::Unknown),
        };
        r.end((token, request))
    }
}

impl<'a> Reply<'a> {
    /// Encodes the reply.
    pub fn encode(&self) -> Frame {
        let frame = Frame::new();
        match *self {
            Self::Direct => frame.put(&[kind::DIRECT]),
            Self::Refuse { errno } => frame.put(&[kind::REFUSE]).put(&errno.to_le_bytes()),
            Self::Held { blocking, port } => {
                frame.put(&[kind::HELD, u8::from(blocking)]).put(&port.to_le_bytes())
            }
            Self::HandedOff => frame.put(&[kind::HANDED_OFF]),
            Self::Outcome { errno } => frame.put(&[kind::OUTCOME_IS]).put(&errno.to_le_bytes()),
            Self::Peer { peer, local } => {
                let frame = frame.put(&[kind::PEER_IS]).address(peer);
                match local {
                    Some(local) => frame.put(&[1]).address(local),
                    None => frame.put(&[0]),
                }
            }
            Self::Resolved { v4, v6 } => {
                let frame = frame.put(&[kind::RESOLVED, u8::from(v4.is_some()), u8::from(v6.is_some())]);
                let frame = v4.iter().fold(frame, |f, v4| f.put(&v4.octets()));
                v6.iter().fold(frame, |f, v6| f.put(&v6.octets()))
            }
            Self::Name { name } => put_name(frame.put(&[kind::NAME]), name),
            Self::Unknown => frame.put(&[kind::UNKNOWN]),
            Self::TryAgain => frame.put(&[kind::TRY_AGAIN]),
        }
    }

    /// Decodes one whole frame.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader(bytes);
        let reply = match r.u8()? {
            kind::DIRECT => Self::Direct,
            kind::REFUSE => Self::Refuse { errno: r.errno(1)? },
            kind::HELD => Self::Held { blocking: r.flag()?, port: r.u16()? },
            kind::HANDED_OFF => Self::HandedOff,
            kind::OUTCOME_IS => Self::Outcome { errno: r.errno(0)? },
            kind::PEER_IS => {
                let peer = r.address()?;
                let local = if r.flag()? { Some(r.address()?) } else { None };
                Self::Peer { peer, local }
            }
            kind::RESOLVED => {
                let (has_v4, has_v6) = (r.flag()?, r.flag()?);
                if !has_v4 && !has_v6 {
                    return Err(WireError::Range);
                }
                let v4 = if has_v4 { Some(Ipv4Addr::from(r.array::<4>()?)) } else { None };
                let v6 = if has_v6 { Some(Ipv6Addr::from(r.array::<16>()?)) } else { None };
                Self::Resolved { v4, v6 }
            }
            kind::NAME => Self::Name { name: r.name()? },
            kind::UNKNOWN => Self::Unknown,
            kind::TRY_AGAIN => Self::TryAgain,
            _ => return Err(WireError::Unknown),
        };
        r.end(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token([7; 16]);

    fn requests() -> Vec<Request<'static>> {
        vec![
            Request::Connect { address: "10.1.2.3:443".parse().unwrap(), watched: false, held_at: 0 },
            Request::Connect { address: "[fe80::1%3]:53".parse().unwrap(), watched: true, held_at: 40_000 },
            Request::Convert,
            Request::Outcome { cookie: u64::MAX },
            Request::Peer { cookie: 1 },
            Request::Resolve { name: b"example.org", family: Family::V6 },
            Request::Resolve { name: &[b'a'; MAX_NAME], family: Family::Any },
            Request::NameOf { ip: "198.18.0.1".parse().unwrap() },
        ]
    }

    fn replies() -> Vec<Reply<'static>> {
        let v4 = Some(Ipv4Addr::new(198, 18, 0, 1));
        let v6 = Some("fd00::1".parse().unwrap());
        vec![
            Reply::Direct,
            Reply::Refuse { errno: 111 },
            Reply::Held { blocking: true, port: 65_535 },
            Reply::HandedOff,
            Reply::Outcome { errno: 0 },
            Reply::Peer { peer: "1.2.3.4:5".parse().unwrap(), local: None },
            Reply::Peer { peer: "[::1]:5".parse().unwrap(), local: Some("4.3.2.1:9".parse().unwrap()) },
            Reply::Resolved { v4, v6: None },
            Reply::Resolved { v4, v6 },
            Reply::Name { name: b"x" },
            Reply::Unknown,
            Reply::TryAgain,
        ]
    }

    #[test]
    fn requests_survive_the_round_trip_and_no_prefix_or_extension_does() {
        for request in requests() {
            let frame = request.encode(&TOKEN);
            let bytes = frame.as_bytes();
            assert_eq!(Request::decode(bytes), Ok((TOKEN, request)));
            for cut in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..cut]), Err(WireError::Short), "{request:?} cut at {cut}");
            }
            let longer = [bytes, &[0]].concat();
            assert_eq!(Request::decode(&longer), Err(WireError::Trailing));
        }
    }

    #[test]
    fn replies_survive_the_round_trip_and_no_prefix_or_extension_does() {
        for reply in replies() {
            let frame = reply.encode();
            let bytes = frame.as_bytes();
            assert_eq!(Reply::decode(bytes), Ok(reply));
            for cut in 0..bytes.len() {
                assert_eq!(Reply::decode(&bytes[..cut]), Err(WireError::Short), "{reply:?} cut at {cut}");
            }
            let longer = [bytes, &[0]].concat();
            assert_eq!(Reply::decode(&longer), Err(WireError::Trailing));
        }
    }

    #[test]
    fn other_versions_and_bad_fields_are_named() {
        let frame = Request::Convert.encode(&TOKEN);
        let mut bytes = frame.as_bytes().to_vec();
        bytes[3] = VERSION + 1;
        assert_eq!(Request::decode(&bytes), Err(WireError::Foreign));
        bytes[3] = VERSION;
        bytes[4] = 99;
        assert_eq!(Request::decode(&bytes), Err(WireError::Unknown));
        assert_eq!(Reply::decode(&[kind::REFUSE, 0, 0, 0, 0]), Err(WireError::Range));
        assert_eq!(Reply::decode(&[kind::RESOLVED, 0, 0]), Err(WireError::Range));
        assert_eq!(Reply::decode(&[kind::HELD, 2]), Err(WireError::Unknown));
    }
}
