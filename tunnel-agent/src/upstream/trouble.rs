//! What connect(2) to a first hop has failed by: it may speak against the hop, or this machine is short of something.

use std::io;
use std::net::SocketAddr;

use underpass_core::failure::{Failure, errno, reason};

use crate::socket::source_towards;

/// The kernel gives a pair of ends to one connection, and ports are used up, or the program has bound its socket to one
/// that is connected there already.
pub(crate) const NO_PORT: Failure =
    Failure::Socket("no local port is free for a connection to the proxy (see ip_local_port_range)");

/// The first hop cannot be connected to. A time-out is one; anything else says nothing about the
/// destination.
pub(super) fn unreachable(error: &io::Error) -> Failure {
    if let Some(shortage) = shortage(error) {
        return shortage;
    }
    match error.raw_os_error() {
        Some(errno::ETIMEDOUT) => Failure::TimedOut,
        // Only who has accepted can reset.
        Some(errno::ECONNRESET) => Failure::UpstreamClosed,
        _ => Failure::UpstreamUnreachable(reason(error)),
    }
}

/// This machine has nothing left to connect with: that speaks against no hop.
pub(super) fn shortage(error: &io::Error) -> Option<Failure> {
    match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => {
            Some(Failure::Socket("the agent has no descriptor left (see ulimit -n)"))
        }
        libc::ENOMEM | libc::ENOBUFS => {
            Some(Failure::Socket("the kernel has no memory left for a connection"))
        }
        libc::EADDRNOTAVAIL | libc::EADDRINUSE => Some(NO_PORT),
        _ => None,
    }
}

/// What connecting to `to` has failed by. Also where it has no address to go there from (as for `::1` without IPv6), and not
/// only where no port is free, the kernel says `EADDRNOTAVAIL`.
pub(super) fn at(to: SocketAddr, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno::EADDRNOTAVAIL) if source_towards(to).is_none() => {
            io::Error::from_raw_os_error(errno::ENETUNREACH)
        }
        _ => error,
    }
}
