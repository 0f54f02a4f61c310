//! The processes of a guarded program.
//!
//! ```text
//! launcher (the front) ── supervisor ── program ── …
//! ```
//!
//! The front is what the caller has started: it passes signals on, stops and ends as the program does. The
//! supervisor is an ancestor of all that it supervises (Yama lets nobody else look at a process), and goes on for
//! what the program has left behind. The program has no descriptor of ours, our caller's signals and no right that it
//! did not have: `no_new_privs`, without which nobody may install a filter.

use std::borrow::Cow;
use std::ffi::{CStr, OsStr, OsString};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use libc::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH, c_int,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit};

use super::datagram::namespace::{Bare, Namespace};
use super::family::Family;
use super::link::Session;
use super::listener::{self, Listener};
use super::sealed::{self, Seal};
use super::sockets::Copies;
use super::stopped::is_stopped;
use super::supervisor::Supervisor;
use super::{filter, probe};
use crate::kernel::{self, Disposition, Forked, Signals};
use crate::messages::{CANNOT_EXECUTE, Failure, NOT_FOUND, Verbosity, failed, note, reason};
use crate::{exec, lookup};

/// What the front passes on. The others stay blocked.
const MIRRORED: [c_int; 10] =
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT, SIGTSTP];

/// What the supervisor's process is called: the launcher's own name.
const SUPERVISOR: &CStr = c"underpass";
/// The longest message between our processes.
const MAX_MESSAGE: usize = 512;
/// What a message from the supervisor begins with.
pub(super) const STATUS: u8 = b's';
pub(super) const HIDDEN: u8 = b'h';
const FAILURE: u8 = b'f';

/// A program to start.
pub(crate) struct Start<'a> {
    pub(crate) file: &'a Path,
    pub(crate) name: &'a OsStr,
    pub(crate) arguments: &'a [OsString],
    pub(crate) environment: &'a [Cow<'a, CStr>],
    pub(crate) verbosity: Verbosity,
    /// In tier sealed.
    pub(crate) seal: Option<Seal<'a>>,
}

impl Start<'_> {
    fn tier(&self) -> &'static str {
        if self.seal.is_some() { "sealed" } else { "guard" }
    }

    /// Why nothing was started.
    fn failure(&self, why: impl std::fmt::Display) -> Failure {
        let failure = Failure::setup(format_args!("tier {}: {why}", self.tier()));
        match self.seal {
            Some(_) => failure.hint("--tier guard needs no user namespace, and holds all but Unix sockets"),
            None => failure,
        }
    }
}

/// Starts the program under a supervisor, and ends as it ends. Returns only if nothing was started.
pub(crate) fn run(session: &str, start: &Start<'_>) -> Failure {
    let Some(session) = Session::parse(session.as_bytes()) else {
        return start.failure("the session cannot be read");
    };
    let copies = match probe::look_at(rustix::process::getpid(), 0, None) {
        // There are none of ours to keep.
        Ok(Copies::Kept) if start.seal.is_some() => {
            return start.failure("pidfd_getfd: it is refused here, as in containers");
        }
        Ok(copies) => copies,
        Err(why) => return start.failure(why),
    };
    let setup = |what: &str, error: Errno| start.failure(format_args!("{what}: {}", reason(&error.into())));
    // Whatever comes now is dealt with once there is somebody to pass it on to.
    let before = Signals::every().block();
    let forked = pair().map_err(|error| setup("socketpair", error)).and_then(|pair| {
        let forked = kernel::fork().map_err(|error| setup("fork", error))?;
        Ok((pair, forked))
    });
    let ((front, supervisor), forked) = match forked {
        Ok(forked) => forked,
        Err(failure) => {
            before.block();
            return failure;
        }
    };
    match forked {
        Forked::Child => {
            drop(front);
            let ended = supervise(&supervisor, session, start, &before, copies);
            if let Err(why) = ended {
                let message = [&[FAILURE], why.as_bytes()].concat();
                let _ = rustix::net::send(
                    &supervisor,
                    &message[..message.len().min(MAX_MESSAGE)],
                    SendFlags::NOSIGNAL,
                );
            }
            kernel::leave(0)
        }
        Forked::Parent(_) => {
            drop(supervisor);
            kernel::leave(wait(&front, start))
        }
    }
}

fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The front: passes signals on until the program has ended; the exit status.
fn wait(supervisor: &OwnedFd, start: &Start<'_>) -> u8 {
    let signals = match Signals::of(&MIRRORED).descriptor() {
        Ok(signals) => signals,
        Err(error) => return failed(&Failure::setup(reason(&error.into()))),
    };
    // The program alone decides when a pipe of its caller ends; errors are still to be said.
    kernel::keep_only(&[2, raw(supervisor), raw(&signals)]);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // Of which stops of the program we have been told.
    let mut stops = 0_u8;
    loop {
        let mut ready = [PollFd::new(&signals, PollFlags::IN), PollFd::new(supervisor, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return failed(&Failure::setup(reason(&error.into()))),
        }
        let [signalled, told] = ready.map(|fd| !fd.revents().is_empty());
        if signalled
            && let Some(came) = kernel::next_signal(&signals)
            && came.is_ours_alone()
        {
            let _ = rustix::net::send(supervisor, &[came.number as u8, stops], SendFlags::NOSIGNAL);
        }
        if told && let Some(status) = told_by(supervisor, start, &mut stops) {
            return status;
        }
    }
}

/// What the supervisor has said; the exit status if that is the end.
fn told_by(supervisor: &OwnedFd, start: &Start<'_>, stops: &mut u8) -> Option<u8> {
    let mut message = [0; MAX_MESSAGE];
    let len = received(supervisor, &mut message);
    let status = match message.get(..len) {
        Some([STATUS, raw @ ..]) => raw.try_into().ok().map(u64::from_ne_bytes),
        Some([HIDDEN, name @ ..]) => {
            warn_of_hidden(&String::from_utf8_lossy(name), start.verbosity);
            return None;
        }
        Some([FAILURE, why @ ..]) => {
            return Some(failed(&start.failure(String::from_utf8_lossy(why))));
        }
        _ => None,
    };
    let Some((status, program)) = status.map(|both| (both as i32, Pid::from_raw((both >> 32) as i32))) else {
        let why = "the supervisor has been killed, and the program has no network any more";
        return Some(failed(&Failure::setup(format_args!("tier {}: {why}", start.tier()))));
    };
    if libc::WIFEXITED(status) {
        return Some(libc::WEXITSTATUS(status) as u8);
    }
    if libc::WIFSTOPPED(status) {
        *stops = stops.wrapping_add(1);
        // Our caller sees us stopped as the program is.
        if program.is_some_and(is_stopped) {
            kernel::raise(libc::WSTOPSIG(status));
        }
        return None;
    }
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        kernel::raise(signal);
        return Some(128 + signal as u8);
    }
    None
}

/// The length of what the supervisor has said; nothing, once it has gone.
fn received(supervisor: &OwnedFd, message: &mut [u8; MAX_MESSAGE]) -> usize {
    loop {
        match rustix::net::recv(supervisor, &mut *message, RecvFlags::empty()) {
            Ok((len, _)) => return len,
            // It has ended before it read a signal of ours: that is told once, and before what it has said (`unix_release_sock` in
            // the kernel's net/unix/af_unix.c).
            Err(Errno::CONNRESET | Errno::INTR) => {}
            Err(_) => return 0,
        }
    }
}

/// A name is whatever its program has chosen: nothing in it moves the cursor.
fn warn_of_hidden(name: &str, verbosity: Verbosity) {
    if verbosity < Verbosity::Normal {
        return;
    }
    let said = format!(
        "warning: {}: its connections are refused: it does not let itself be looked at (PR_SET_DUMPABLE)",
        name.escape_debug()
    );
    let hint = "sudo underpass carries it, started by root";
    note(format_args!("{said}\nhint: {hint}"));
}

/// The supervisor: starts the program, and stays.
fn supervise(
    front: &OwnedFd,
    session: Session,
    start: &Start<'_>,
    signals: &Signals,
    copies: Copies,
) -> Result<(), String> {
    let said = |what: &str, error: Errno| format!("{what}: {}", reason(&error.into()));
    // Inherited as ignored, nobody would be told of a child's end.
    let on_child = Disposition::default(SIGCHLD);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| said("subreaper", error))?;
    // As the agent knows us by, whatever name we were started by.
    let _ = rustix::thread::set_name(SUPERVISOR);
    let (ours, theirs) = pair().map_err(|error| said("socketpair", error))?;
    let refused = |error| sealed::refused("a network of its own", &error);
    let (sealed, bare) = match start.seal {
        Some(seal) => {
            let (namespace, bare) = Namespace::for_program().map_err(refused)?;
            (Some((namespace, seal)), Some(bare))
        }
        None => (None, None),
    };
    let program = match kernel::fork().map_err(|error| said("fork", error))? {
        Forked::Child => {
            // Else nothing here would see the supervisor's end.
            drop(ours);
            on_child.restore();
            become_program(&theirs, start, sealed.as_ref(), signals, copies)
        }
        Forked::Parent(program) => program,
    };
    drop(theirs);
    bare.map_or(Ok(()), Bare::lay).map_err(refused)?;
    let (listener, above, number) = receive_listener(&ours)?;
    // Before it is the program: our own copy, so what we may do to it we may do to all that follows.
    if probe::look_at(program, number, Some(&PROBED))? != copies {
        return Err("pidfd_getfd: it is refused for children, as under ptrace_scope 2 and 3".to_owned());
    }
    let children = Signals::of(&[SIGCHLD]).descriptor().map_err(|error| said("signalfd", error))?;
    let mut kept = vec![raw(front), raw(&ours), raw(&listener), raw(&children)];
    kept.extend(sealed.iter().flat_map(|(namespace, _)| namespace.descriptors()));
    kept.extend(above.as_ref().map(raw));
    kernel::keep_only(&kept);
    let _ = rustix::process::chdir("/");
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    // Nothing that we supervise may look at us.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let supervisor = Supervisor::new(Listener::new(listener), session, sealed, copies)
        .map_err(|error| format!("supervisor: {}", reason(&error)))?;
    let front = front.try_clone().map_err(|error| reason(&error))?;
    let family = Family::new(front, children, program);
    rustix::net::send(&ours, &[0], SendFlags::NOSIGNAL).map_err(|error| said("send", error))?;
    drop(ours);
    // What it cannot go on after, ends it: the kernel refuses then what it would have asked.
    supervisor.run(family).map_err(|error| said("supervisor", error))
}

/// A byte for [`probe::look_at`].
static PROBED: u8 = 0x5a;

/// The program's process until exec.
fn become_program(
    supervisor: &OwnedFd,
    start: &Start<'_>,
    sealed: Option<&(Namespace, Seal<'_>)>,
    signals: &Signals,
    copies: Copies,
) -> ! {
    let entered = sealed.map(|(namespace, seal)| sealed::enter(namespace, *seal)).transpose();
    if let Err(why) = &entered {
        let why = &why.as_bytes()[..why.len().min(MAX_MESSAGE)];
        let _ = rustix::net::send(supervisor, why, SendFlags::NOSIGNAL);
        kernel::leave(crate::messages::SETUP);
    }
    let above = entered.ok().flatten();
    if let Err(error) = give_listener(supervisor, above, copies) {
        let why = match error {
            Errno::BUSY => "another one supervises us already".to_owned(),
            error => format!("seccomp: {}", reason(&error.into())),
        };
        let _ = rustix::net::send(supervisor, why.as_bytes(), SendFlags::NOSIGNAL);
        kernel::leave(crate::messages::SETUP);
    }
    // Nothing comes if the supervisor could not begin; it has said why.
    let mut go = [0];
    if !matches!(rustix::net::recv(supervisor, &mut go, RecvFlags::empty()), Ok((1, _))) {
        kernel::leave(crate::messages::SETUP);
    }
    signals.block();
    let error = exec::exec(start.file, start.name, start.arguments, start.environment);
    let status = if lookup::is_absence(&error) { NOT_FOUND } else { CANNOT_EXECUTE };
    let why = format_args!("{}: {}", start.file.display(), reason(&error));
    kernel::leave(failed(&Failure::new(status, why)))
}

/// Besides it the supervisor keeps, of a program that is sealed, what that has come from.
fn give_listener(supervisor: &OwnedFd, above: Option<OwnedFd>, copies: Copies) -> Result<(), Errno> {
    rustix::thread::set_no_new_privs(true)?;
    let listener = listener::install(&mut filter::program(above.is_some(), copies))?;
    let number = raw(&listener).to_ne_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let passed: Vec<BorrowedFd<'_>> = [&listener].into_iter().chain(&above).map(AsFd::as_fd).collect();
    ancillary.push(SendAncillaryMessage::ScmRights(&passed));
    rustix::net::sendmsg(supervisor, &[IoSlice::new(&number)], &mut ancillary, SendFlags::NOSIGNAL)?;
    // Open until exec: the supervisor tries whether it may take it from here.
    std::mem::forget(listener);
    Ok(())
}

/// The listener, what came with it, and its number there.
fn receive_listener(program: &OwnedFd) -> Result<(OwnedFd, Option<OwnedFd>, c_int), String> {
    let mut message = [0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        program,
        &mut [IoSliceMut::new(&mut message)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(|error| reason(&error.into()))?;
    let text = message.get(..received.bytes).unwrap_or_default();
    let passed = ancillary.drain().find_map(|passed| match passed {
        RecvAncillaryMessage::ScmRights(mut fds) => Some((fds.next()?, fds.next())),
        _ => None,
    });
    match (passed, text.try_into()) {
        (Some((listener, above)), Ok(number)) => Ok((listener, above, c_int::from_ne_bytes(number))),
        _ => Err(String::from_utf8_lossy(text).into_owned()),
    }
}

fn raw(fd: &impl AsFd) -> c_int {
    use std::os::fd::AsRawFd;
    fd.as_fd().as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_supervisor_is_heard_though_it_did_not_hear_ours() {
        let (front, supervisor) = pair().unwrap();
        rustix::net::send(&front, b"signal", SendFlags::NOSIGNAL).unwrap();
        rustix::net::send(&supervisor, b"status", SendFlags::NOSIGNAL).unwrap();
        drop(supervisor);
        let mut message = [0; MAX_MESSAGE];
        assert_eq!(received(&front, &mut message), 6);
        assert!(message.starts_with(b"status"));
        assert_eq!(received(&front, &mut message), 0);
    }
}
