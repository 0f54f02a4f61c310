//! The frames between the preload library and the agent.
//!
//! One request, one reply, over a fresh `SOCK_SEQPACKET` Unix connection, so that a frame is one
//! message: there is nothing to reassemble and nothing to keep. Integers are little-endian, since
//! both ends are on one machine; ports are host numbers. Encoding writes to a caller's array and
//! allocates nothing: it runs inside `connect()` of other people's programs.
//!
//! # Layout
//!
//! - `request`, `reply`: what is asked and answered; `frame`: how a field is written and read
//! - `addresses`: the list of addresses in a reply; `answer`: a DNS answer, the one long message
//!
//! A request is `magic, version, kind, token, body`; a reply is `kind, body`. A frame that is too
//! short, too long, or of unknown kind is an error, never a guess.

use std::net::Ipv4Addr;

mod addresses;
mod answer;
mod frame;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use addresses::{Addresses, MAX_ADDRESSES};
pub use answer::{MAX_ANSWER, MAX_QUESTION, answer, is_answer, read_answer};
pub use frame::Frame;
pub use reply::Reply;
pub use request::{Barred, Purpose, Request};

/// The version of this format. It is part of the agent's address (one agent per version), so that
/// an upgraded library never speaks to an old agent.
pub const VERSION: u8 = 1;
/// No frame of either direction is longer, in bytes.
pub const MAX_FRAME: usize = 512;
/// The longest host name on the wire, in bytes (RFC 1035 section 3.1; RFC 1928 has one length byte).
pub const MAX_NAME: usize = 255;

/// The address of this machine at which the agent takes datagrams for IPv4, and sends the answers from: of
/// loopback, and not one that programs use among themselves, so that a source which is none is known without
/// a question. For IPv6 there is only `::1`.
pub const AT: Ipv4Addr = Ipv4Addr::new(127, 117, 112, 1);

/// The address of this machine from which the agent connects to a program that is exposed elsewhere, for the same reason.
pub const FROM: Ipv4Addr = Ipv4Addr::new(127, 117, 112, 2);

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

mod kind {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const CONVERT: u8 = 2;
    pub(super) const OUTCOME: u8 = 3;
    pub(super) const PEER: u8 = 4;
    pub(super) const RESOLVE: u8 = 5;
    pub(super) const NAME_OF: u8 = 6;
    pub(super) const DATAGRAM: u8 = 7;
    pub(super) const SOURCE: u8 = 8;
    pub(super) const QUERY: u8 = 9;
    pub(super) const BARRED: u8 = 10;
    pub(super) const SUPERVISED: u8 = 11;
    pub(super) const SEALED: u8 = 12;
    pub(super) const BIND: u8 = 13;
    pub(super) const LISTEN: u8 = 14;
    pub(super) const ACCEPTED: u8 = 15;
    pub(super) const SUPERVISED_DATAGRAM: u8 = 16;

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
    pub(super) const NO_ADDRESS: u8 = 0x8a;
    pub(super) const VIA: u8 = 0x8b;
    pub(super) const ANSWER: u8 = 0x8c;
}
