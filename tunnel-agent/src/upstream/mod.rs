//! What is dialled through.
//!
//! # Layout
//!
//! - [`chain`]: which path a connection takes; [`path`]: the way along one; [`hop`]: one hop and how it
//!   has fared; [`warm`]: connections kept ready; [`associate`]: associations for datagrams;
//!   [`bind`]: listeners for one connection.
//! - [`happy_eyeballs`]: which address of a first hop; [`trouble`]: what connecting to one fails by.
//! - [`flights`]: whether greeting and request may travel together.
//! - [`handshake`]: what a protocol is, without I/O; [`socks4`], [`socks5`], [`socks5_udp`], [`http`]: the
//!   protocols.
//! - [`relay`]: our relays, whose sessions connections share; [`again`]: what they have no time for.
//! - [`stream`]: what is spoken over; [`tls`], [`ssh`] and its [`door`], [`local`]: what is no proxy protocol.
//! - [`inside`]: `local:`, two relays in this process.

pub(crate) mod again;
pub(crate) mod associate;
pub(crate) mod bind;
pub(crate) mod chain;
pub(crate) mod door;
pub(crate) mod flights;
pub(crate) mod handshake;
pub(crate) mod happy_eyeballs;
pub(crate) mod hop;
pub(crate) mod http;
pub(crate) mod inside;
pub(crate) mod local;
pub(crate) mod path;
pub(crate) mod relay;
pub(crate) mod socks4;
pub(crate) mod socks5;
pub(crate) mod socks5_udp;
pub(crate) mod ssh;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod trouble;
pub(crate) mod warm;

use std::net::SocketAddr;

use stream::Stream;

/// A connection through a chain, ready for the program's bytes.
pub(crate) struct Far {
    pub(crate) stream: Stream,
    /// The address that it leaves this machine from, if it does.
    pub(crate) local: Option<SocketAddr>,
    /// The address that it leaves the last hop from, where that has said so.
    pub(crate) exit: Option<SocketAddr>,
    /// The last hop is to be greeted with the request.
    pub(crate) one_flight: bool,
}
