//! Relays, our encrypted hops, as their client.
//!
//! A relay is spoken to as a proxy of HTTP inside TLS that knows its clients by their keys. Where others come after
//! it, it is one hop of a tunnel (HTTP/1.1, [`super::path`]). Where it is the last relay of a path, connections go
//! through it as streams of one HTTP/2 session, which they share.
//!
//! The path of one connection:
//!
//! 1. [`sessions`] looks for a session with the last relay of the path: one for each path and, if the configuration
//!    asks for it, for each program or host. A chain has its own, since its hops know it by their keys.
//! 2. If there is none that is well, one is made, for all who wait for it: `path::open_session`, with CONNECT and
//!    the TLS of the next relay in [`one_flight`].
//! 3. [`session`] asks ([`request`]) for a connection to the destination, or to the next hop that is no relay, or for
//!    its datagrams (connect-udp), and reads the answer: a status and `Proxy-Status`, as for other proxies.
//! 4. What is granted is a [`muxed`] stream, relayed by `splice::muxed`, or by `datagram::streamed`.
//!
//! Beside that, [`session`]'s task asks for signs of life ([`vitals`]) and sets windows ([`window`]). [`noting`]
//! keeps what TLS says when a session ends.

pub(crate) mod muxed;
mod noting;
pub(crate) mod one_flight;
pub(crate) mod request;
mod session;
pub(crate) mod sessions;
mod vitals;
mod window;
