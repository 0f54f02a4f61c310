//! `connect()`: what becomes of it, and what the agent's answers mean.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use libc::{
    EACCES, EINPROGRESS, ENETUNREACH, SO_COOKIE, SO_DOMAIN, SO_ERROR, SO_PROTOCOL, SOL_SOCKET, c_int,
};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, socket_timeout};
use underpass_core::destination::{DNS_PORT, canonical, is_local};
use underpass_core::wire::{Reply, Request};

use super::begun::Begun;
use super::kept::Found;
use super::kernel;
use super::link::{Link, Session};
use super::memory::{self, Given};
use super::notification::{Answer, Notification};
use super::sealed::Here;
use super::sockets::Sockets;
use super::supervisor::What;
use super::truth::Asking;

/// net/tcp_states.h
pub(crate) const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;

/// A `connect()` that waits for the agent.
#[derive(Debug)]
pub(crate) struct Connecting {
    /// A copy of the program's socket, to undo what was begun if the agent is lost.
    pub(crate) copy: OwnedFd,
    cookie: u64,
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

/// The kernel's name for the socket.
pub(crate) fn cookie(socket: &OwnedFd) -> Result<u64, Errno> {
    kernel::option(socket, SOL_SOCKET, SO_COOKIE)
}

/// The state is the first byte of `struct tcp_info`.
pub(crate) fn is_in(socket: &OwnedFd, state: u8) -> bool {
    kernel::option::<u8>(socket, libc::IPPROTO_TCP, libc::TCP_INFO) == Ok(state)
}

/// Judges the call. What waits for the agent has a link.
pub(crate) fn begin(
    session: &Session,
    begun: &mut Begun,
    sockets: &mut Sockets,
    call: &Notification,
    still_waits: impl Fn() -> bool,
) -> Result<(Link, What), Answer> {
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
        sockets.let_go(call);
        return Err(Answer::Continue);
    }
    let copy = match sockets.take(call)? {
        Found::Copy(copy) => copy,
        // EALREADY, EISCONN or a wait, by the kernel itself.
        Found::Begun(known) if known.is_open() => return Err(Answer::Continue),
        Found::Begun(known) => {
            let link = session.ask(&Request::Outcome { cookie: known.cookie }, None);
            let asking = What::Truth(Asking::Again);
            return link.map(|link| (link, asking)).map_err(|_| Answer::Fail(ENETUNREACH));
        }
    };
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
    let Ok(cookie) = cookie(&copy) else { return Err(Answer::Fail(ENETUNREACH)) };
    begun.note(cookie);
    let process = call.thread.as_raw_nonzero().get().unsigned_abs();
    let watched = !has_one_thread(process);
    let until = ends(&copy);
    match session.ask(&Request::Supervised { process, watched, address }, Some(copy.as_fd())) {
        Ok(link) => {
            sockets.is_begun(&copy);
            Ok((link, What::Connect(Connecting { copy, cookie, until, here: None })))
        }
        Err(_) => Err(Answer::Fail(ENETUNREACH)),
    }
}

/// When SO_SNDTIMEO ends a wait. Of a socket that does not block the outcome comes before.
fn ends(socket: &OwnedFd) -> Option<Instant> {
    let patience: Option<Duration> = socket_timeout(socket, Timeout::Send).ok().flatten();
    patience.map(|patience| Instant::now() + patience)
}

/// Whether no other thread of its process can see a socket meanwhile. Each thread is a directory.
fn has_one_thread(thread: u32) -> bool {
    const WITH_ITSELF_AND_ITS_PARENT: u64 = 3;
    let threads = rustix::fs::stat(format!("/proc/{thread}/task"));
    threads.is_ok_and(|threads| threads.st_nlink == WITH_ITSELF_AND_ITS_PARENT)
}

impl Connecting {
    /// Of a program that is sealed: `here` is the address, for what is left to us.
    pub(super) fn sealed(copy: OwnedFd, cookie: u64, here: Box<[u8]>) -> Self {
        let until = ends(&copy);
        Self { copy, cookie, until, here: Some(here) }
    }

    /// What the agent's reply comes to; `None`: another one follows.
    pub(crate) fn replied(&mut self, begun: &mut Begun, reply: Option<Reply<'_>>) -> Option<Answer> {
        if let Some(Reply::Outcome { .. } | Reply::HandedOff) = reply {
            begun.told(self.cookie);
        }
        match reply {
            // Blocking: another thread connects it as well, and this one waits with it.
            Some(Reply::Direct | Reply::Held { blocking: true, .. }) => {
                match self.here.take().map(|address| (address, self.copy.try_clone())) {
                    None => Some(Answer::Continue),
                    Some((address, Ok(copy))) => Some(Answer::Here(Here::new(copy, address))),
                    Some((_, Err(_))) => Some(Answer::Fail(ENETUNREACH)),
                }
            }
            Some(Reply::Held { blocking: false, .. }) => Some(Answer::Fail(EINPROGRESS)),
            Some(Reply::HandedOff | Reply::Outcome { errno: 0 }) => {
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
