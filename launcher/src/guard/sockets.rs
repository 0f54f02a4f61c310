//! Which socket a number of the program's is. Where the system lets us take a copy (pidfd_getfd(2)), one is taken when it is
//! needed. Where it does not, as in containers, one is [`kept`](super::kept) of each socket that we make.

use std::os::fd::{AsFd, OwnedFd};

use libc::{EACCES, EBADF, EINPROGRESS, ENETUNREACH, c_int};
use rustix::io::Errno;

use super::kept::{Found, Kept};
use super::notification::{Answer, Notification};
use super::numbers::process_of;
use crate::kernel;

/// How the supervisor comes by the program's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    Taken,
    Kept,
}

/// The program's sockets, as far as they are known.
#[derive(Debug)]
pub(crate) struct Sockets(Option<Kept>);

impl Sockets {
    pub(crate) fn new(copies: Copies) -> Self {
        Self((copies == Copies::Kept).then(Kept::default))
    }

    /// A socket that the program is about to be given.
    pub(crate) fn made(&mut self, socket: &OwnedFd) {
        if let Some(kept) = &mut self.0 {
            kept.keep(socket);
        }
    }

    /// The call is the kernel's, and may make the socket one whose end others notice: there must be no copy of it then.
    pub(crate) fn let_go(&mut self, call: &Notification) {
        if let Some(kept) = &mut self.0 {
            kept.forget(call);
        }
    }

    /// The call is the kernel's. A socket that the library has had the agent connect is found to be on its way by now.
    pub(crate) fn is_used(&mut self, call: &Notification) {
        if let Some(kept) = &mut self.0 {
            kept.forget_used(call);
        }
    }

    /// What a number of the program's stands for.
    pub(crate) fn find(&mut self, call: &Notification) -> Result<Found, Answer> {
        match &mut self.0 {
            Some(kept) => kept.find(call),
            None => copy(call, call.int(0)).map(Found::Copy),
        }
    }

    /// The same for a socket that is about to be connected: its copy is the caller's alone.
    pub(crate) fn take(&mut self, call: &Notification) -> Result<Found, Answer> {
        match &mut self.0 {
            Some(kept) => kept.take(call),
            None => copy(call, call.int(0)).map(Found::Copy),
        }
    }

    /// The same for one that is about to be bound; `None`: it is not known what it is.
    pub(crate) fn take_unbound(&mut self, call: &Notification) -> Result<Option<OwnedFd>, Answer> {
        match &mut self.0 {
            Some(kept) => kept.take_unbound(call),
            None => copy(call, call.int(0)).map(Some).map_err(|answer| match answer {
                // By now it may be the number of another one.
                Answer::Continue => Answer::Fail(EBADF),
                other => other,
            }),
        }
    }

    /// What has become of one that was taken.
    pub(crate) fn ended(&mut self, copy: OwnedFd, answer: &Answer) {
        let Some(kept) = &mut self.0 else { return };
        match answer {
            Answer::Done | Answer::Fail(EINPROGRESS) | Answer::Continue => kept.is_begun(&copy),
            // It may be connected again, if by another process that has it.
            Answer::Fail(_) | Answer::Later => kept.give_back(copy),
            _ => {}
        }
    }

    /// What was taken is on its way.
    pub(crate) fn is_begun(&mut self, copy: &OwnedFd) {
        if let Some(kept) = &mut self.0 {
            kept.is_begun(copy);
        }
    }

    /// Its failure has been told.
    pub(crate) fn is_told(&mut self, cookie: u64) {
        if let Some(kept) = &mut self.0 {
            kept.is_told(cookie);
        }
    }
}

/// A copy of the program's descriptor. An error is what the call is answered.
pub(crate) fn copy(call: &Notification, number: c_int) -> Result<OwnedFd, Answer> {
    let copied = process_of(call.thread).and_then(|process| kernel::descriptor_of(process.as_fd(), number));
    copied.map_err(|error| match error {
        // The kernel says so itself.
        Errno::BADF => Answer::Continue,
        Errno::PERM => Answer::Fail(EACCES),
        _ => Answer::Fail(ENETUNREACH),
    })
}
