//! `connect()`: what becomes of it, and what the agent's answers mean.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use libc::{
    EACCES, EALREADY, ECONNRESET, EINPROGRESS, EISCONN, ENETUNREACH, ENOENT, SO_COOKIE, SO_DOMAIN, SO_ERROR,
    SO_PROTOCOL, SOL_SOCKET, c_int,
};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, socket_timeout};
use rustix::process::Pid;
use underpass_core::destination::{DNS_PORT, canonical, is_local};
use underpass_core::wire::{Reply, Request};

use super::begun::Begun;
use super::kept::Found;
use super::link::{Link, Session};
use super::memory::{self, Given};
use super::notification::{Answer, Notification};
use super::numbers::in_proc;
use super::pending::{handles_signal, has_signal};
use super::sealed::Here;
use super::sockets::Sockets;
use super::supervisor::What;
use super::truth::{Asking, UNROUTED};
use crate::kernel;

/// net/tcp_states.h
pub(crate) const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const SYN_RECV: u8 = 3;
pub(crate) const CLOSE: u8 = 7;
/// How often a program that waits is looked at. Most connections come about before.
const LOOK: Duration = Duration::from_millis(40);

/// A `connect()` that waits for the agent.
#[derive(Debug)]
pub(crate) struct Connecting {
    /// A copy of the program's socket, to undo what was begun if the agent is lost.
    pub(crate) copy: OwnedFd,
    pub(crate) cookie: u64,
    /// When SO_SNDTIMEO ends the program's wait.
    pub(crate) until: Option<Instant>,
    /// When it is to be seen whether a signal waits for the program, or another thread has ended it; `None` once one waits.
    look: Option<Instant>,
    /// Sealed: what is done if the agent leaves it to the program.
    here: Option<Box<[u8]>>,
    /// Sealed: a signal is handled first.
    restarts: bool,
    /// Sealed: how far it has come.
    way: Way,
}

/// How far a socket is seen to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// One that was never on its way anywhere, or that was.
    Before {
        fresh: bool,
    },
    Begun,
    /// It was seen closed.
    Ended,
}

/// What is to be done about one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Wait,
    /// The agent is told that the program waits in the kernel from now on.
    Interrupted,
    /// It has come to this, by another thread of the program's.
    Ended(c_int),
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

/// What the socket is; nobody may guess where the kernel does not say.
pub(crate) fn kind(session: &Session, socket: &OwnedFd) -> Result<Kind, Errno> {
    let int = |name| kernel::option::<c_int>(socket, SOL_SOCKET, name);
    match int(SO_DOMAIN) {
        Ok(libc::AF_INET | libc::AF_INET6) => {}
        Ok(_) | Err(Errno::NOTSOCK | Errno::BADF) => return Ok(Kind::Other),
        Err(error) => return Err(error),
    }
    if !session.is_here(socket)? {
        return Ok(Kind::Other);
    }
    if int(SO_PROTOCOL)? != libc::IPPROTO_TCP {
        return Ok(Kind::Foreign);
    }
    Ok(if state(socket)? == CLOSE { Kind::Closed } else { Kind::Tcp })
}

/// The kernel's name for the socket.
pub(crate) fn cookie(socket: &OwnedFd) -> Result<u64, Errno> {
    kernel::option(socket, SOL_SOCKET, SO_COOKIE)
}

pub(crate) fn is_in(socket: &OwnedFd, wanted: u8) -> bool {
    state(socket) == Ok(wanted)
}

/// The state is the first byte of `struct tcp_info`.
fn state(socket: &OwnedFd) -> Result<u8, Errno> {
    kernel::option(socket, libc::IPPROTO_TCP, libc::TCP_INFO)
}

/// Judges the call. What waits for the agent has a link.
pub(crate) fn begin(
    session: &Session,
    sockets: &mut Sockets,
    call: &Notification,
    still_waits: impl Fn() -> bool,
) -> Result<(Link, What), Answer> {
    let address = match memory::address(call, call.pointer(1), call.int(2)) {
        Ok(Given::Inet(address)) => address,
        // As where no such service is. Another thread may still put the name of one into what goes on in the kernel.
        Ok(Given::Resolver) if !session.asks_resolver => return Err(Answer::Fail(ENOENT)),
        // The kernel meets the same fault.
        Ok(Given::Other | Given::Resolver) | Err(Errno::FAULT) => {
            sockets.is_used(call);
            return Err(Answer::Continue);
        }
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
    match ask(session, call, address, &copy, still_waits) {
        Ok(link) => {
            sockets.is_begun(&copy);
            Ok((link, What::Connect(Connecting::new(copy, None))))
        }
        Err(answer) => {
            sockets.ended(copy, &answer);
            Err(answer)
        }
    }
}

/// Asks the agent to connect it, where that is to be done.
fn ask(
    session: &Session,
    call: &Notification,
    address: SocketAddr,
    copy: &OwnedFd,
    still_waits: impl Fn() -> bool,
) -> Result<Link, Answer> {
    if !still_waits() {
        return Err(Answer::Later);
    }
    let ip = canonical(address).ip();
    match kind(session, copy).map_err(|_| Answer::Fail(ENETUNREACH))? {
        Kind::Closed => {}
        // A signal has ended a wait, and it goes on.
        Kind::Tcp if waits(copy) => {}
        // EALREADY, EISCONN or a wait, by the kernel itself; another family or network: its refusal.
        Kind::Tcp | Kind::Other => return Err(Answer::Continue),
        Kind::Foreign if is_local(ip) => return Err(Answer::Continue),
        Kind::Foreign => return Err(Answer::Fail(ENETUNREACH)),
    }
    let process = call.thread.as_raw_nonzero().get().unsigned_abs();
    let watched = !has_one_thread(call.thread);
    let request = Request::Supervised { process, watched, address };
    session.ask(&request, Some(copy.as_fd())).map_err(|_| Answer::Fail(ENETUNREACH))
}

/// Whether no other thread of its process can see a socket meanwhile. Each thread is a directory.
fn has_one_thread(thread: Pid) -> bool {
    let threads = rustix::fs::stat(in_proc(thread) + "/task");
    // With itself and its parent; a literal, since the type of the number is the architecture's.
    threads.is_ok_and(|threads| threads.st_nlink == 3)
}

/// Whether it was never on its way anywhere.
fn has_no_route(socket: &OwnedFd) -> bool {
    kernel::option::<c_int>(socket, libc::IPPROTO_TCP, libc::TCP_MAXSEG) == Ok(UNROUTED)
}

/// Whether it is on its way, and `connect()` waits for it.
pub(crate) fn waits(socket: &OwnedFd) -> bool {
    is_in(socket, SYN_SENT) && blocks(socket)
}

fn blocks(socket: &OwnedFd) -> bool {
    rustix::fs::fcntl_getfl(socket).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK))
}

impl Connecting {
    pub(super) fn new(copy: OwnedFd, here: Option<Box<[u8]>>) -> Self {
        // Of a socket that does not block the outcome comes before any end of a wait.
        let patience: Option<Duration> = socket_timeout(&copy, Timeout::Send).ok().flatten();
        let until = patience.map(|patience| Instant::now() + patience);
        let look = Some(Instant::now() + LOOK);
        let cookie = cookie(&copy).unwrap_or(0);
        let way = Way::Before { fresh: here.is_some() && has_no_route(&copy) };
        Self { copy, cookie, until, look, here, restarts: false, way }
    }

    /// When something is to be done about it, unless the agent says something before.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.until.into_iter().chain(self.look).min()
    }

    /// What is to be done about it now.
    pub(crate) fn look(&mut self, call: &Notification, now: Instant) -> Look {
        if self.look.is_none_or(|look| now < look) {
            return Look::Wait;
        }
        if self.here.is_some() && self.has_ended() {
            // As the kernel says it to who waits there (inet_wait_for_connect).
            let error = kernel::option::<c_int>(&self.copy, SOL_SOCKET, SO_ERROR);
            return Look::Ended(error.ok().filter(|&error| error != 0).unwrap_or(ECONNRESET));
        }
        // What the kernel does not go on with is ended: only by a signal that is this thread's.
        self.restarts = self.here.is_some() && handles_signal(call.thread);
        let interrupted = self.restarts || self.here.is_none() && has_signal(call.thread);
        self.look = (!interrupted).then(|| now + LOOK);
        if interrupted { Look::Interrupted } else { Look::Wait }
    }

    /// Whether another thread has ended it, by shutdown(2) or connect(2). Where it is the agent that has, it says so before the second
    /// look at which it is closed.
    fn has_ended(&mut self) -> bool {
        let closed = is_in(&self.copy, CLOSE);
        let was = self.way;
        self.way = match was {
            Way::Before { .. } if !closed => Way::Begun,
            Way::Before { fresh: true } if !has_no_route(&self.copy) => Way::Ended,
            Way::Begun if closed => Way::Ended,
            Way::Ended if !closed => Way::Begun,
            same => same,
        };
        (was, self.way) == (Way::Ended, Way::Ended)
    }

    /// The call is left to the kernel, or done here where nothing is left to it.
    fn goes_on(&mut self) -> Answer {
        if self.restarts {
            return Answer::Restart;
        }
        match self.here.take().map(|address| (address, self.copy.try_clone())) {
            None => Answer::Continue,
            Some((address, Ok(copy))) => Answer::Here(Here::new(copy, address)),
            Some((_, Err(_))) => Answer::Fail(ENETUNREACH),
        }
    }

    /// What the agent's reply comes to; `None`: another one follows.
    pub(crate) fn replied(&mut self, begun: &mut Begun, reply: Option<Reply<'_>>) -> Option<Answer> {
        if let Some(Reply::Outcome { .. } | Reply::HandedOff) = reply {
            begun.told(self.cookie);
        }
        match reply {
            Some(Reply::Direct) => Some(self.goes_on()),
            Some(Reply::Held { blocking: false, .. }) => Some(Answer::Fail(EINPROGRESS)),
            // Another thread connects it as well, or a signal has come: the kernel waits with this one.
            Some(Reply::Held { blocking: true, .. }) => Some(self.goes_on()),
            // The kernel finds the same state, and has its own word for it.
            Some(Reply::Refuse { errno: EALREADY | EISCONN }) => Some(self.goes_on()),
            Some(Reply::HandedOff | Reply::Outcome { errno: 0 }) => {
                // As the end of a connect(2) that has waited: the next one says EISCONN, also if the far end has closed by now.
                if state(&self.copy).is_ok_and(|state| !matches!(state, CLOSE | SYN_SENT | SYN_RECV)) {
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
