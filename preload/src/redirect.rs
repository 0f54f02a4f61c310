//! What becomes of a call: redirect, pass or refuse. No pointers, no system calls: the world is
//! [`Socket`], and the tests play it.
#![forbid(unsafe_code)]

pub(crate) mod datagram;

use std::net::SocketAddr;

use libc::{EADDRINUSE, EALREADY, EINPROGRESS, EINTR, EINVAL, EISCONN, ENETUNREACH, ENOENT, EPIPE, c_int};
use underpass_core::destination::{DNS_PORT, canonical, is_local};
use underpass_core::wire::Purpose;

use crate::address::Given;
use datagram::Way;

/// What a hook does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The call succeeded.
    Done,
    /// Make the real call; the reason is for whoever reads the code or a debugger.
    Pass(Bypass),
    /// The call fails with this errno.
    Fail(c_int),
    /// Connect a datagram socket to the agent's.
    ConnectTo(SocketAddr),
    /// Wait for the connecting socket in the kernel, then [`waited`].
    Wait(Waiting),
}

/// Which `connect` waits: it decides what an end of the wait by `SO_SNDTIMEO` is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The one that has started the attempt: EINPROGRESS.
    First,
    /// A later one: EALREADY.
    Later,
}

/// Why a call passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bypass {
    /// Not an internet address, or not an internet socket.
    NotInet,
    /// `AF_UNSPEC`: ends an association, sends nothing.
    Disconnect,
    /// The kernel refuses such an address by itself.
    Malformed,
    /// This machine's loopback.
    Loopback,
    /// The agent's routes say so.
    Route,
}

/// The state of a TCP socket (net/tcp_states.h), as far as `connect` cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// `TCP_CLOSE`: fresh, failed, or dissolved.
    Closed,
    /// `TCP_SYN_SENT` or `TCP_SYN_RECV`.
    Connecting,
    /// Any other.
    Other,
}

impl State {
    pub(crate) fn from_kernel(state: u8) -> Self {
        match state {
            2 | 3 => Self::Connecting,
            7 => Self::Closed,
            _ => Self::Other,
        }
    }
}

/// What a socket that is not TCP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A UDP socket.
    Datagram,
    /// An inet socket that is not carried: raw, SCTP, MPTCP …
    OtherInet,
    /// Unix, netlink, …
    NotInet,
}

/// What came of asking the agent to connect a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    /// Route: direct.
    Direct,
    /// Held; the flag says whether the socket is blocking.
    Held { blocking: bool },
    /// Connected through the upstream.
    HandedOff,
    /// Failed, or refused by a route.
    Failed(c_int),
    /// A signal ended the wait; the connection goes on.
    Interrupted,
    /// No agent, or it died: the socket may be half connected.
    Lost,
}

/// The program's socket, and the agent as far as it speaks about this socket.
pub(crate) trait Socket {
    /// The TCP state, or the errno of a socket that is not TCP or not a socket.
    fn state(&self) -> Result<State, c_int>;
    /// What a socket without TCP state is.
    fn kind(&self) -> Result<Kind, c_int>;
    fn is_blocking(&self) -> bool;
    /// Whether the session's routes say something of loopback.
    fn loopback_is_routed(&self) -> bool;
    /// Whether names are for this machine's resolver.
    fn asks_resolver(&self) -> bool;
    /// Asks the agent to connect the socket.
    fn ask(&self, address: SocketAddr) -> Connected;
    /// Where datagrams for the address go, if that is known without asking.
    fn known_way(&self, address: SocketAddr) -> Option<Way>;
    /// Where they go; asks the agent.
    fn way(&self, address: SocketAddr, purpose: Purpose) -> Way;
    /// Makes a half-connected socket unconnected.
    fn dissolve(&self);
    fn clear_error(&self);
    /// The true errno of a failed attempt, told once.
    fn failure(&self) -> Option<c_int>;
}

/// `connect(2)`. Fails only with what connect(2) documents.
pub(crate) fn connect(socket: &impl Socket, given: Given) -> Outcome {
    let address = match given {
        Given::Inet(address) => address,
        Given::Unspecified(_) => return Outcome::Pass(Bypass::Disconnect),
        Given::Nothing | Given::Malformed => return Outcome::Pass(Bypass::Malformed),
        Given::Foreign => return Outcome::Pass(Bypass::NotInet),
        Given::Resolver => return resolver(socket),
    };
    let local = is_local(canonical(address).ip());
    let stub = local && address.port() == DNS_PORT;
    // Loopback is direct where no route names it, but for the stub resolver's port, through which names would
    // leave: the agent answers there.
    if local && !stub && !socket.loopback_is_routed() {
        return Outcome::Pass(Bypass::Loopback);
    }
    match socket.state() {
        Ok(State::Closed) => carry(socket, address),
        Ok(State::Connecting) if !socket.is_blocking() => Outcome::Fail(EALREADY),
        Ok(State::Connecting | State::Other) => Outcome::Wait(Waiting::Later),
        Err(_) if local && !stub => Outcome::Pass(Bypass::Loopback),
        Err(_) => datagram::connect(socket, address),
    }
}

/// What is asked there would leave by another process: ENOENT, as where there is none, since libc and the modules of the name
/// service then go on without.
fn resolver(socket: &impl Socket) -> Outcome {
    match socket.kind() {
        Ok(Kind::NotInet) if !socket.asks_resolver() => Outcome::Fail(ENOENT),
        // Another socket, or none: the kernel's own refusal.
        _ => Outcome::Pass(Bypass::NotInet),
    }
}

/// A datagram, or a TCP Fast Open, to an explicit address: sendto(2) and its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// Make the real call.
    Pass(Bypass),
    /// Connect first (tcp(7), `MSG_FASTOPEN`), then send.
    ConnectFirst(SocketAddr),
    /// Send to the agent's socket instead.
    Via(SocketAddr),
    /// The call fails with this errno.
    Fail(c_int),
}

/// Judges a send with an explicit address, and these flags of send(2).
pub(crate) fn send(socket: &impl Socket, given: Given, flags: c_int) -> Send {
    let fast_open = flags & libc::MSG_FASTOPEN != 0;
    let address = match given {
        Given::Inet(address) | Given::Unspecified(Some(address)) => address,
        Given::Nothing | Given::Malformed | Given::Unspecified(None) => return Send::Pass(Bypass::Malformed),
        // Resolvers take no datagrams.
        Given::Foreign | Given::Resolver => return Send::Pass(Bypass::NotInet),
    };
    let local = is_local(canonical(address).ip());
    let stub = local && address.port() == DNS_PORT;
    if local && !stub && !(fast_open && socket.loopback_is_routed()) {
        return Send::Pass(Bypass::Loopback);
    }
    if let Some(way) = socket.known_way(address) {
        return datagram::to_send(way);
    }
    match socket.state() {
        // Without Fast Open a TCP socket ignores the address (send(2)).
        Ok(_) if !fast_open => Send::Pass(Bypass::NotInet),
        Ok(_) => Send::ConnectFirst(address),
        Err(_) if local && !stub => Send::Pass(Bypass::Loopback),
        Err(_) => datagram::send(socket, address, flags),
    }
}

fn carry(socket: &impl Socket, address: SocketAddr) -> Outcome {
    match socket.ask(address) {
        Connected::Direct => Outcome::Pass(Bypass::Route),
        Connected::HandedOff => Outcome::Done,
        Connected::Held { blocking: false } => Outcome::Fail(EINPROGRESS),
        Connected::Held { blocking: true } => Outcome::Wait(Waiting::First),
        Connected::Interrupted => Outcome::Fail(EINTR),
        Connected::Failed(errno) => {
            // An error that the kernel still holds belongs to the attempt that is reported here.
            socket.clear_error();
            Outcome::Fail(errno)
        }
        Connected::Lost => {
            socket.dissolve();
            Outcome::Fail(ENETUNREACH)
        }
    }
}

/// What the kernel's wait has come to.
pub(crate) fn waited(socket: &impl Socket, waiting: Waiting, ended: Result<(), c_int>) -> Outcome {
    match (ended, waiting) {
        (Ok(()), _) | (Err(EISCONN), Waiting::First) => Outcome::Done,
        (Err(EINTR), _) => Outcome::Fail(EINTR),
        (Err(EISCONN), Waiting::Later) => Outcome::Fail(EISCONN),
        (Err(EALREADY | EINPROGRESS), Waiting::First) => Outcome::Fail(EINPROGRESS),
        (Err(EALREADY | EINPROGRESS), Waiting::Later) => Outcome::Fail(EALREADY),
        // The attempt has failed; what the kernel calls it comes from how it was ended. What is told
        // here is not told again by SO_ERROR.
        (Err(kernel), _) => {
            let noted = socket.failure();
            socket.clear_error();
            Outcome::Fail(noted.unwrap_or(match kernel {
                EPIPE | EINVAL | EADDRINUSE => ENETUNREACH,
                other => other,
            }))
        }
    }
}

#[cfg(test)]
mod tests;
