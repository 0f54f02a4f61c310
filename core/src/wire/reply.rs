//! What the agent answers.

use std::net::SocketAddr;

use super::addresses::Addresses;
use super::frame::{Reader, put_name};
use super::{Frame, WireError, kind};

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
    /// Answer to [`super::Request::Outcome`]: an errno, or 0 where nothing is known to have failed.
    Outcome {
        /// A positive errno value or 0.
        errno: i32,
    },
    /// Answer to [`super::Request::Peer`].
    Peer {
        /// What the program asked for.
        peer: SocketAddr,
        /// The local address of the connection that really goes out, where it is known.
        local: Option<SocketAddr>,
    },
    /// Answer to [`super::Request::Resolve`]: at least one address.
    Resolved {
        /// In the order in which they are to be tried.
        addresses: Addresses,
        /// The canonical name, and other names behind it, with blanks between them; empty where the name
        /// that was asked for is the only one.
        canonical: &'a [u8],
    },
    /// Answer to [`super::Request::NameOf`].
    Name {
        /// 1 to [`super::MAX_NAME`] bytes; other names may follow, with blanks between them.
        name: &'a [u8],
    },
    /// There is no answer: no such name, address or cookie.
    Unknown,
    /// Try later: the table of fake addresses is full, or a look-up did not end.
    TryAgain,
    /// The name exists, and has no address of that family.
    NoAddress,
    /// Answer to [`super::Request::Datagram`]: an address of this machine at which the agent takes them, and
    /// from which the answers come.
    Via {
        /// On loopback; of the family that the socket can reach.
        at: SocketAddr,
        /// They have a way from there. If not, it is being made, and the next datagram asks again: there
        /// may be none.
        ready: bool,
    },
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
            Self::Resolved { addresses, canonical } => {
                let frame = frame.put(&[kind::RESOLVED, addresses.len() as u8]);
                put_name(addresses.iter().fold(frame, Frame::ip), canonical)
            }
            Self::Name { name } => put_name(frame.put(&[kind::NAME]), name),
            Self::Unknown => frame.put(&[kind::UNKNOWN]),
            Self::TryAgain => frame.put(&[kind::TRY_AGAIN]),
            Self::NoAddress => frame.put(&[kind::NO_ADDRESS]),
            Self::Via { at, ready } => frame.put(&[kind::VIA, u8::from(ready)]).address(at),
        }
    }

    /// Decodes one whole frame.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes)?;
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
                let count = r.u8()?;
                let mut addresses = Addresses::default();
                for _ in 0..count {
                    if !addresses.push(r.ip()?) {
                        return Err(WireError::Range);
                    }
                }
                if addresses.is_empty() {
                    return Err(WireError::Range);
                }
                Self::Resolved { addresses, canonical: r.name_or_none()? }
            }
            kind::NAME => Self::Name { name: r.name()? },
            kind::UNKNOWN => Self::Unknown,
            kind::TRY_AGAIN => Self::TryAgain,
            kind::NO_ADDRESS => Self::NoAddress,
            kind::VIA => Self::Via { ready: r.flag()?, at: r.address()? },
            _ => return Err(WireError::Unknown),
        };
        r.end(reply)
    }
}
