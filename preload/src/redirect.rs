//! What becomes of a call: redirect, pass or refuse. No pointers, no system calls: the world is
//! [`Socket`], and the tests play it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use libc::{
    EADDRINUSE, EALREADY, ECONNREFUSED, EINPROGRESS, EINTR, EINVAL, EISCONN, ENETUNREACH, EPIPE, c_int,
};
use underpass_core::destination::{DNS_PORT, canonical, is_local};

use crate::address::Given;

/// What a hook does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The call succeeded.
    Done,
    /// Make the real call; the reason is for whoever reads the code or a debugger.
    Pass(Bypass),
    /// The call fails with this errno.
    Fail(c_int),
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
    /// An inet socket that is not carried: datagrams, raw, SCTP, MPTCP …
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
    /// Asks the agent to connect the socket.
    fn ask(&self, address: SocketAddr) -> Connected;
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
        Err(_) => match not_tcp(socket) {
            Outcome::Fail(ENETUNREACH) if stub => Outcome::Fail(ECONNREFUSED),
            outcome => outcome,
        },
    }
}

/// A datagram, or a TCP Fast Open, to an explicit address: sendto(2) and its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// Make the real call.
    Pass(Bypass),
    /// Connect first (tcp(7), `MSG_FASTOPEN`), then send.
    ConnectFirst(SocketAddr),
    /// The call fails with this errno.
    Fail(c_int),
}

/// Judges a send with an explicit address.
pub(crate) fn send(socket: &impl Socket, given: Given, fast_open: bool) -> Send {
    let address = match given {
        Given::Inet(address) | Given::Unspecified(Some(address)) => address,
        Given::Nothing | Given::Malformed | Given::Unspecified(None) => return Send::Pass(Bypass::Malformed),
        Given::Foreign => return Send::Pass(Bypass::NotInet),
    };
    let local = is_local(canonical(address).ip());
    let stub = local && address.port() == DNS_PORT;
    if local && !stub && !(fast_open && socket.loopback_is_routed()) {
        return Send::Pass(Bypass::Loopback);
    }
    match socket.state() {
        // Without Fast Open a TCP socket ignores the address (send(2)).
        Ok(_) if !fast_open => Send::Pass(Bypass::NotInet),
        Ok(_) => Send::ConnectFirst(address),
        Err(_) if local && !stub => Send::Pass(Bypass::Loopback),
        Err(_) => match not_tcp(socket) {
            Outcome::Fail(ENETUNREACH) if stub => Send::Fail(ECONNREFUSED),
            Outcome::Fail(errno) => Send::Fail(errno),
            _ => Send::Pass(Bypass::NotInet),
        },
    }
}

/// Datagrams and every other inet socket are refused: their packets would go round the tunnel.
fn not_tcp(socket: &impl Socket) -> Outcome {
    match socket.kind() {
        Ok(Kind::OtherInet) => Outcome::Fail(ENETUNREACH),
        // Not a socket at all included: the kernel says so itself.
        Ok(Kind::NotInet) | Err(_) => Outcome::Pass(Bypass::NotInet),
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
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    struct Fake {
        state: Result<State, c_int>,
        kind: Result<Kind, c_int>,
        blocking: bool,
        loopback: bool,
        answer: Connected,
        failure: Option<c_int>,
        dissolved: Cell<bool>,
        asked: RefCell<Vec<SocketAddr>>,
    }

    impl Default for Fake {
        fn default() -> Self {
            Self {
                state: Ok(State::Closed),
                kind: Ok(Kind::OtherInet),
                blocking: true,
                loopback: false,
                answer: Connected::HandedOff,
                failure: None,
                dissolved: Cell::default(),
                asked: RefCell::default(),
            }
        }
    }

    impl Socket for Fake {
        fn state(&self) -> Result<State, c_int> {
            self.state
        }
        fn kind(&self) -> Result<Kind, c_int> {
            self.kind
        }
        fn is_blocking(&self) -> bool {
            self.blocking
        }
        fn loopback_is_routed(&self) -> bool {
            self.loopback
        }
        fn ask(&self, address: SocketAddr) -> Connected {
            self.asked.borrow_mut().push(address);
            self.answer
        }
        fn dissolve(&self) {
            self.dissolved.set(true);
        }
        fn clear_error(&self) {}
        fn failure(&self) -> Option<c_int> {
            self.failure
        }
    }

    fn inet(text: &str) -> Given {
        Given::Inet(text.parse().unwrap())
    }

    const UDP: Result<State, c_int> = Err(libc::ENOPROTOOPT);

    #[test]
    fn loopback_passes_unless_it_is_dns() {
        let fake = Fake::default();
        for address in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.9.9.9]:80", "0.0.0.0:80"] {
            assert_eq!(connect(&fake, inet(address)), Outcome::Pass(Bypass::Loopback));
        }
        assert!(fake.asked.borrow().is_empty());
        let udp = Fake { state: UDP, ..Fake::default() };
        for address in ["127.0.0.53:53", "[::1]:53", "[::ffff:127.0.0.1]:53"] {
            assert_eq!(connect(&fake, inet(address)), Outcome::Done);
            assert_eq!(connect(&udp, inet(address)), Outcome::Fail(ECONNREFUSED));
        }
        assert_eq!(fake.asked.borrow().len(), 3);
    }

    #[test]
    fn the_agent_is_asked_about_loopback_where_a_route_names_it() {
        let fake = Fake { loopback: true, ..Fake::default() };
        for address in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.9.9.9]:80", "0.0.0.0:80"] {
            assert_eq!(connect(&fake, inet(address)), Outcome::Done);
            let to = address.parse().unwrap();
            assert_eq!(send(&fake, inet(address), true), Send::ConnectFirst(to));
            assert_eq!(send(&fake, inet(address), false), Send::Pass(Bypass::Loopback));
        }
        assert_eq!(fake.asked.borrow().len(), 4);
        let udp = Fake { state: UDP, loopback: true, ..Fake::default() };
        assert_eq!(connect(&udp, inet("127.0.0.1:80")), Outcome::Pass(Bypass::Loopback));
        assert_eq!(send(&udp, inet("127.0.0.1:80"), true), Send::Pass(Bypass::Loopback));
        assert_eq!(send(&udp, inet("127.0.0.1:53"), true), Send::Fail(ECONNREFUSED));
    }

    #[test]
    fn what_the_agent_says_is_what_the_program_gets() {
        let table = [
            (Connected::Direct, Outcome::Pass(Bypass::Route)),
            (Connected::HandedOff, Outcome::Done),
            (Connected::Held { blocking: false }, Outcome::Fail(EINPROGRESS)),
            (Connected::Held { blocking: true }, Outcome::Wait(Waiting::First)),
            (Connected::Failed(libc::ETIMEDOUT), Outcome::Fail(libc::ETIMEDOUT)),
            (Connected::Interrupted, Outcome::Fail(EINTR)),
            (Connected::Lost, Outcome::Fail(ENETUNREACH)),
        ];
        for (answer, outcome) in table {
            let fake = Fake { answer, ..Fake::default() };
            assert_eq!(connect(&fake, inet("10.0.0.1:80")), outcome);
            assert_eq!(fake.dissolved.get(), answer == Connected::Lost);
        }
    }

    #[test]
    fn a_second_connect_follows_the_state_of_the_socket() {
        let address = inet("10.0.0.1:80");
        let connecting = Fake { state: Ok(State::Connecting), blocking: false, ..Fake::default() };
        assert_eq!(connect(&connecting, address), Outcome::Fail(EALREADY));
        let connected = Fake { state: Ok(State::Other), ..Fake::default() };
        assert_eq!(connect(&connected, address), Outcome::Wait(Waiting::Later));
        let blocking = Fake { state: Ok(State::Connecting), ..Fake::default() };
        assert_eq!(connect(&blocking, address), Outcome::Wait(Waiting::Later));
        assert!(connecting.asked.borrow().is_empty() && connected.asked.borrow().is_empty());
    }

    #[test]
    fn an_ended_wait_tells_the_true_errno() {
        use Waiting::{First, Later};
        let waited =
            |waiting, kernel, failure| waited(&Fake { failure, ..Fake::default() }, waiting, Err(kernel));
        assert_eq!(waited(First, EPIPE, Some(libc::EHOSTUNREACH)), Outcome::Fail(libc::EHOSTUNREACH));
        assert_eq!(waited(First, EPIPE, None), Outcome::Fail(ENETUNREACH));
        assert_eq!(waited(First, libc::ETIMEDOUT, None), Outcome::Fail(libc::ETIMEDOUT));
        assert_eq!(waited(First, EINTR, Some(1)), Outcome::Fail(EINTR));
        assert_eq!(waited(First, EALREADY, Some(1)), Outcome::Fail(EINPROGRESS));
        assert_eq!(waited(First, EISCONN, None), Outcome::Done);
        assert_eq!(waited(Later, EALREADY, None), Outcome::Fail(EALREADY));
        assert_eq!(waited(Later, EISCONN, None), Outcome::Fail(EISCONN));
    }

    #[test]
    fn datagrams_leave_only_to_loopback() {
        let udp = Fake { state: UDP, ..Fake::default() };
        assert_eq!(connect(&udp, inet("10.0.0.1:53")), Outcome::Fail(ENETUNREACH));
        assert_eq!(send(&udp, inet("10.0.0.1:9"), false), Send::Fail(ENETUNREACH));
        // A datagram socket takes AF_UNSPEC for AF_INET.
        let unspecified = Given::Unspecified(Some("10.0.0.1:9".parse().unwrap()));
        assert_eq!(send(&udp, unspecified, false), Send::Fail(ENETUNREACH));
        assert_eq!(send(&udp, inet("127.0.0.1:9"), false), Send::Pass(Bypass::Loopback));
        assert_eq!(send(&udp, inet("127.0.0.1:53"), false), Send::Fail(ECONNREFUSED));
    }

    #[test]
    fn other_sockets_and_families_pass() {
        let unix = Fake { state: Err(libc::EOPNOTSUPP), kind: Ok(Kind::NotInet), ..Fake::default() };
        assert_eq!(connect(&unix, inet("10.0.0.1:9")), Outcome::Pass(Bypass::NotInet));
        let no_socket = Fake { state: Err(libc::ENOTSOCK), kind: Err(libc::ENOTSOCK), ..Fake::default() };
        assert_eq!(connect(&no_socket, inet("10.0.0.1:9")), Outcome::Pass(Bypass::NotInet));
        assert_eq!(connect(&unix, Given::Foreign), Outcome::Pass(Bypass::NotInet));
        assert_eq!(connect(&unix, Given::Unspecified(None)), Outcome::Pass(Bypass::Disconnect));
        assert_eq!(send(&unix, Given::Foreign, false), Send::Pass(Bypass::NotInet));
    }

    #[test]
    fn fast_open_connects_first() {
        let tcp = Fake::default();
        let address = "10.0.0.1:80".parse().unwrap();
        assert_eq!(send(&tcp, Given::Inet(address), true), Send::ConnectFirst(address));
        assert_eq!(send(&tcp, Given::Inet(address), false), Send::Pass(Bypass::NotInet));
    }
}
