//! `connect()`: what becomes of it, and what the agent's answers mean.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use libc::{EACCES, EINPROGRESS, ENETUNREACH, SO_DOMAIN, SO_ERROR, SO_PROTOCOL, SOL_SOCKET, c_int};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, socket_timeout};
use underpass_core::destination::{DNS_PORT, canonical, is_local};
use underpass_core::wire::{Reply, Request};

use super::kernel;
use super::link::{Link, Session};
use super::memory::{self, Given};
use super::notification::{Answer, Notification};
use super::sealed::Here;

/// net/tcp_states.h
const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;

/// A `connect()` that waits for the agent.
#[derive(Debug)]
pub(crate) struct Connecting {
    /// A copy of the program's socket, to undo what was begun if the agent is lost.
    copy: OwnedFd,
    /// When SO_SNDTIMEO ends the program's wait.
    pub(crate) until: Option<Instant>,
    /// Sealed: what is done if the agent leaves it to the program.
    here: Option<Box<[u8]>>,
}

/// What a socket is, as far as anything depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// TCP of this network, in state CLOSE, or in another one.
    Closed,
    Tcp,
    /// An internet socket of this network that is not TCP: nobody here has made it.
    Foreign,
    /// Neither can it leave by an internet address nor is it ours to judge.
    Other,
}

pub(crate) fn kind(session: &Session, socket: &OwnedFd) -> Kind {
    let int = |name| kernel::option::<c_int>(socket, SOL_SOCKET, name).ok();
    if !matches!(int(SO_DOMAIN), Some(libc::AF_INET | libc::AF_INET6)) || !session.is_here(socket) {
        return Kind::Other;
    }
    if int(SO_PROTOCOL) != Some(libc::IPPROTO_TCP) {
        return Kind::Foreign;
    }
    if is_in(socket, CLOSE) { Kind::Closed } else { Kind::Tcp }
}

/// The state is the first byte of `struct tcp_info`.
fn is_in(socket: &OwnedFd, state: u8) -> bool {
    kernel::option::<u8>(socket, libc::IPPROTO_TCP, libc::TCP_INFO) == Ok(state)
}

/// A copy of the program's descriptor. An error is what the call is answered.
pub(crate) fn copy(call: &Notification, number: c_int) -> Result<OwnedFd, Answer> {
    let copied =
        kernel::process_of(call.thread).and_then(|process| kernel::descriptor_of(process.as_fd(), number));
    copied.map_err(|error| match error {
        // The kernel says so itself.
        Errno::BADF => Answer::Continue,
        Errno::PERM => Answer::Fail(EACCES),
        _ => Answer::Fail(ENETUNREACH),
    })
}

/// Judges the call. What waits for the agent has a link.
pub(crate) fn begin(
    session: &Session,
    call: &Notification,
    still_waits: impl Fn() -> bool,
) -> Result<(Link, Connecting), Answer> {
    let address = match memory::address(call, call.pointer(1), call.int(2)) {
        Ok(Given::Inet(address)) => address,
        // The kernel meets the same fault.
        Ok(Given::Other) | Err(Errno::FAULT) => return Err(Answer::Continue),
        // A program that does not let itself be looked at (prctl(2), PR_SET_DUMPABLE).
        Err(_) => return Err(Answer::Fail(EACCES)),
    };
    let ip = canonical(address).ip();
    // Loopback is direct where no route names it, but for the stub resolver's port, where the agent answers.
    if is_local(ip) && !session.loopback && address.port() != DNS_PORT {
        return Err(Answer::Continue);
    }
    let copy = copy(call, call.int(0))?;
    if !still_waits() {
        return Err(Answer::Later);
    }
    match kind(session, &copy) {
        Kind::Closed => {}
        // EALREADY, EISCONN or a wait, by the kernel itself; another family or network: its refusal.
        Kind::Tcp | Kind::Other => return Err(Answer::Continue),
        Kind::Foreign if is_local(ip) => return Err(Answer::Continue),
        Kind::Foreign => return Err(Answer::Fail(ENETUNREACH)),
    }
    let process = call.thread.as_raw_nonzero().get().unsigned_abs();
    match session.ask(&Request::Supervised { process, address }, Some(copy.as_fd())) {
        Ok(link) => Ok((link, Connecting::new(copy, None))),
        Err(_) => Err(Answer::Fail(ENETUNREACH)),
    }
}

impl Connecting {
    pub(super) fn new(copy: OwnedFd, here: Option<Box<[u8]>>) -> Self {
        Self { copy, until: None, here }
    }

    /// What the agent's reply comes to; `None`: another one follows.
    pub(crate) fn replied(&mut self, reply: Option<Reply<'_>>) -> Option<Answer> {
        match reply {
            Some(Reply::Direct) => match self.here.take().map(|address| (address, self.copy.try_clone())) {
                None => Some(Answer::Continue),
                Some((address, Ok(copy))) => Some(Answer::Here(Here::new(copy, address))),
                Some((_, Err(_))) => Some(Answer::Fail(ENETUNREACH)),
            },
            Some(Reply::Held { blocking: false, .. }) => Some(Answer::Fail(EINPROGRESS)),
            Some(Reply::Held { blocking: true, .. }) => {
                let patience = socket_timeout(&self.copy, Timeout::Send).ok().flatten();
                self.until = patience.map(|patience: Duration| Instant::now() + patience);
                None
            }
            Some(Reply::Outcome { errno: 0 }) => {
                // As the end of a connect(2) that has waited: the next one says EISCONN.
                if is_in(&self.copy, ESTABLISHED) {
                    kernel::settle(&self.copy);
                }
                Some(Answer::Done)
            }
            Some(Reply::Refuse { errno } | Reply::Outcome { errno }) => {
                // What is told here is not told again by SO_ERROR.
                self.clear_error();
                Some(Answer::Fail(errno))
            }
            _ => {
                kernel::dissolve(&self.copy);
                self.clear_error();
                Some(Answer::Fail(ENETUNREACH))
            }
        }
    }

    fn clear_error(&self) {
        let _ = kernel::option::<c_int>(&self.copy, SOL_SOCKET, SO_ERROR);
    }
}
