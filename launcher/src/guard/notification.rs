//! A call that the kernel asks about, and what it may be answered.

use std::os::fd::OwnedFd;

use libc::c_int;
use rustix::process::Pid;

use super::sealed::Here;

/// linux/errno.h: no program sees it where a signal is to be handled. The kernel's own tests answer a notification with it
/// (tools/testing/selftests/seccomp).
pub(crate) const ERESTARTSYS: c_int = 512;

/// A call of a program, which waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    /// The kernel's name for it; never used twice.
    pub(crate) id: u64,
    /// The thread.
    pub(crate) thread: Pid,
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

impl Notification {
    /// An argument that the kernel takes as an int: its low half.
    pub(crate) fn int(&self, index: usize) -> c_int {
        self.arguments.get(index).map_or(-1, |&value| value as c_int)
    }

    pub(crate) fn pointer(&self, index: usize) -> u64 {
        self.arguments.get(index).copied().unwrap_or_default()
    }
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The kernel does it as if nobody had been asked. It reads its arguments anew: only for what does no harm
    /// whatever they are by then.
    Continue,
    /// It has succeeded.
    Done,
    /// It fails with this errno.
    Fail(c_int),
    /// The program gets this descriptor, with these flags on its number.
    Descriptor { socket: OwnedFd, close_on_exec: bool },
    /// We do it: connect(2), on a copy of the program's socket.
    Here(Here),
    /// A signal is handled first: then the kernel starts the call again, or ends it with EINTR, as the handler has it. Only where
    /// one is to be handled.
    Restart,
    /// It comes later.
    Later,
}
