//! What the library asks.

use std::net::{IpAddr, SocketAddr};

use super::frame::{Reader, put_name};
use super::{Family, Frame, MAGIC, Token, VERSION, WireError, kind};

/// What is refused by the library itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Barred {
    /// A raw socket of IP.
    Raw = 1,
    /// A socket below IP.
    Packets = 2,
    /// An ICMP socket.
    Icmp = 3,
    /// SCTP, DCCP, UDP-Lite, SMC …
    Transport = 4,
    /// Joining a multicast group.
    Groups = 5,
    /// Binding a datagram socket to a device.
    Device = 6,
    /// Datagram sockets under guard, on a system that gives no network of its own for them.
    Datagrams = 7,
}

impl Barred {
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        use Barred::*;
        let all = [Raw, Packets, Icmp, Transport, Groups, Device, Datagrams];
        all.into_iter().find(|what| *what as u8 == byte).ok_or(WireError::Unknown)
    }
}

/// What a program does with an address for its datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// It sends there, and may be kept waiting.
    Send = 0,
    /// It sends there with `MSG_DONTWAIT`.
    SendAtOnce = 1,
    /// It connects its socket.
    Connect = 2,
}

impl Purpose {
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        use Purpose::*;
        let all = [Send, SendAtOnce, Connect];
        all.into_iter().find(|purpose| *purpose as u8 == byte).ok_or(WireError::Unknown)
    }
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
    /// [`Request::Connect`] by the supervisor of the guard tier, whose sockets cannot leave by themselves: it is held
    /// whatever its way is, or handed off to a proxy on this machine. Where the socket is blocking, the answer to a held
    /// one is [`super::Reply::Outcome`].
    Supervised {
        /// Whose socket it is.
        process: u32,
        /// That has other threads, which may see the socket meanwhile.
        watched: bool,
        /// As the program gave it; it may be a fake address.
        address: SocketAddr,
    },
    /// [`Request::Supervised`] for a program in a network of its own. A second descriptor comes with it, by which the agent
    /// completes: a socket of that network, bound to the address at which the program's is to be held. Loopback is the
    /// program's own, unless a route names it.
    Sealed {
        /// Whose socket it is.
        process: u32,
        /// As the program gave it; it may be a fake address.
        address: SocketAddr,
    },
    /// [`Request::Datagram`] by a supervisor, which carries a program's datagrams by the socket that comes with this frame,
    /// and connects it.
    SupervisedDatagram {
        /// Who sends them; 0 if it does not live any more, or nobody knows.
        process: u32,
        /// As the program gave it; it may be a fake address.
        address: SocketAddr,
        /// The file that it runs, or has run when it made its socket, as /proc had it; nothing where nobody knows.
        program: &'a [u8],
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
        /// Host name as the program gave it, 1 to [`super::MAX_NAME`] bytes.
        name: &'a [u8],
        /// Which addresses are of use.
        family: Family,
    },
    /// "Which name does this (fake) address stand for?"
    NameOf {
        /// The address; only fake addresses and the hosts file are answered.
        ip: IpAddr,
    },
    /// "Where do datagrams of the socket that comes with this frame go, when they are for this address?"
    Datagram {
        /// As the program gave it; it may be a fake address.
        address: SocketAddr,
        /// What for.
        purpose: Purpose,
    },
    /// "For whom does this address of [`super::Reply::Via`] stand?"
    Source {
        /// An address of this machine, from which a datagram has come.
        at: SocketAddr,
    },
    /// "Is what listens there exposed elsewhere?" [`super::Reply::Via`] names the address of this machine to bind it to;
    /// [`super::Reply::Direct`]: it is not.
    Bind {
        /// `SO_COOKIE` of the program's socket.
        cookie: u64,
        /// As the program gave it.
        address: SocketAddr,
        /// `IPV6_V6ONLY`.
        v6_only: bool,
    },
    /// "Where is the socket that comes with this frame exposed?" It is from now on, if it was bound so
    /// ([`Request::Bind`]); the answer is [`super::Reply::Peer`], or [`super::Reply::Unknown`] where it was not.
    Listen {
        /// It listens by now, or is about to. If not, it may yet connect.
        listens: bool,
    },
    /// "Who is at the other end of a connection that came from the agent?"
    Accepted {
        /// Where it has come from.
        from: SocketAddr,
        /// The program's end of it.
        at: SocketAddr,
    },
    /// Told, not asked: a call was refused, for the log.
    Barred(Barred),
    /// "What would a resolver answer to this?" The answer is no [`super::Reply`]: see [`super::read_answer`].
    Query {
        /// A DNS message (RFC 1035 section 4), 1 to [`super::MAX_QUESTION`] bytes.
        message: &'a [u8],
    },
}

impl<'a> Request<'a> {
    /// Encodes the request for the session of `token`.
    pub fn encode(&self, token: &Token) -> Frame {
        let kind = match self {
            Self::Connect { .. } => kind::CONNECT,
            Self::Supervised { .. } => kind::SUPERVISED,
            Self::Sealed { .. } => kind::SEALED,
            Self::SupervisedDatagram { .. } => kind::SUPERVISED_DATAGRAM,
            Self::Convert => kind::CONVERT,
            Self::Outcome { .. } => kind::OUTCOME,
            Self::Peer { .. } => kind::PEER,
            Self::Resolve { .. } => kind::RESOLVE,
            Self::NameOf { .. } => kind::NAME_OF,
            Self::Datagram { .. } => kind::DATAGRAM,
            Self::Source { .. } => kind::SOURCE,
            Self::Barred(_) => kind::BARRED,
            Self::Query { .. } => kind::QUERY,
            Self::Bind { .. } => kind::BIND,
            Self::Listen { .. } => kind::LISTEN,
            Self::Accepted { .. } => kind::ACCEPTED,
        };
        let frame = Frame::new().put(&MAGIC).put(&[VERSION, kind]).put(&token.0);
        match *self {
            Self::Connect { address, watched, held_at } => {
                frame.put(&[u8::from(watched)]).put(&held_at.to_le_bytes()).address(address)
            }
            Self::Supervised { process, watched, address } => {
                frame.put(&process.to_le_bytes()).put(&[u8::from(watched)]).address(address)
            }
            Self::Sealed { process, address } => frame.put(&process.to_le_bytes()).address(address),
            // A path that has no room is one that nobody knows.
            Self::SupervisedDatagram { process, address, program } => {
                frame.put(&process.to_le_bytes()).address(address).put(program)
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
            Self::Datagram { address, purpose } => frame.put(&[purpose as u8]).address(address),
            Self::Source { at } => frame.address(at),
            Self::Barred(what) => frame.put(&[what as u8]),
            Self::Query { message } => frame.put(message),
            Self::Bind { cookie, address, v6_only } => {
                frame.put(&cookie.to_le_bytes()).put(&[u8::from(v6_only)]).address(address)
            }
            Self::Listen { listens } => frame.put(&[u8::from(listens)]),
            Self::Accepted { from, at } => frame.address(from).address(at),
        }
    }

    /// Decodes one whole frame.
    pub fn decode(bytes: &'a [u8]) -> Result<(Token, Self), WireError> {
        let mut r = Reader::new(bytes)?;
        if r.array()? != MAGIC || r.u8()? != VERSION {
            return Err(WireError::Foreign);
        }
        let kind = r.u8()?;
        let token = Token(r.array()?);
        let request = match kind {
            kind::CONNECT => Self::Connect { watched: r.flag()?, held_at: r.u16()?, address: r.address()? },
            kind::SUPERVISED => {
                Self::Supervised { process: r.u32()?, watched: r.flag()?, address: r.address()? }
            }
            kind::SEALED => Self::Sealed { process: r.u32()?, address: r.address()? },
            kind::SUPERVISED_DATAGRAM => {
                Self::SupervisedDatagram { process: r.u32()?, address: r.address()?, program: r.all() }
            }
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
            kind::DATAGRAM => Self::Datagram { purpose: Purpose::from_byte(r.u8()?)?, address: r.address()? },
            kind::SOURCE => Self::Source { at: r.address()? },
            kind::BARRED => Self::Barred(Barred::from_byte(r.u8()?)?),
            kind::QUERY => Self::Query { message: r.rest()? },
            kind::BIND => Self::Bind { cookie: r.cookie()?, v6_only: r.flag()?, address: r.address()? },
            kind::LISTEN => Self::Listen { listens: r.flag()? },
            kind::ACCEPTED => Self::Accepted { from: r.address()?, at: r.address()? },
            _ => return Err(WireError::Unknown),
        };
        r.end((token, request))
    }
}
