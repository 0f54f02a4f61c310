//! The supervisor's relatives: what the front passes on, and whom to wait for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::{SIGCONT, SIGKILL, c_int};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::life::{HIDDEN, STATUS};
use super::numbers::in_proc;
use super::stopped::is_stopped;
use crate::kernel;

/// The supervisor's relatives.
pub(crate) struct Family {
    front: OwnedFd,
    signals: OwnedFd,
    /// Until it has ended.
    program: Option<Pid>,
    /// How often it has stopped, counted by both sides.
    stops: u8,
    /// Whether the front has been told of one whose connections are refused.
    has_told: bool,
}

impl Family {
    /// `signals` tells of children.
    pub(super) fn new(front: OwnedFd, signals: OwnedFd, program: Pid) -> Self {
        Self { front, signals, program: Some(program), stops: 0, has_told: false }
    }

    pub(crate) fn front(&self) -> BorrowedFd<'_> {
        self.front.as_fd()
    }

    pub(crate) fn signals(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// One whose connections are refused, since it does not let itself be looked at. The front says so, of the first one.
    pub(crate) fn tell_of_hidden(&mut self, thread: Pid) {
        if std::mem::replace(&mut self.has_told, true) {
            return;
        }
        let name = std::fs::read(format!("{}/comm", in_proc(thread))).unwrap_or_default();
        let message = [&[HIDDEN], name.trim_ascii_end()].concat();
        let _ = rustix::net::send(&self.front, &message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    pub(crate) fn has_program(&self) -> bool {
        self.program.is_some()
    }

    /// A signal to pass on, or the front's end; whether it was that.
    pub(crate) fn front_said(&mut self) -> bool {
        let mut said = [0; 2];
        match rustix::net::recv(&self.front, &mut said, RecvFlags::DONTWAIT) {
            Ok((2, _)) => {
                let [signal, stops] = said;
                if c_int::from(signal) != SIGCONT || self.is_still_stopped(stops) {
                    self.kill(signal.into());
                }
                false
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            // Only SIGKILL ends the front before its program: that is meant for the program.
            _ => {
                self.kill(SIGKILL);
                true
            }
        }
    }

    /// Whether the program has not run since the front was told of this stop. What has run has had the SIGCONT that the front
    /// had: it was for the whole group, and is not to undo another stop.
    fn is_still_stopped(&mut self, stops: u8) -> bool {
        // In this order: a stop that shows is one that can be waited for.
        let is_stopped = self.program.is_some_and(is_stopped);
        self.take_in();
        is_stopped && self.stops == stops
    }

    fn kill(&self, signal: c_int) {
        if let (Some(program), Some(signal)) = (self.program, Signal::from_named_raw(signal)) {
            // Its number is not given away before we have waited for it.
            let _ = rustix::process::kill_process(program, signal);
        }
    }

    /// Takes in whoever has ended or stopped; whether nobody is left.
    pub(crate) fn children_changed(&mut self) -> bool {
        while kernel::next_signal(&self.signals).is_some() {}
        self.take_in()
    }

    fn take_in(&mut self) -> bool {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        let mut failed = false;
        loop {
            match rustix::process::wait(options) {
                Ok(Some((pid, status))) => self.changed(pid, status),
                Ok(None) | Err(Errno::INTR) => return false,
                Err(Errno::CHILD) => return true,
                // Nobody says a second time that a child has ended.
                Err(_) if !failed => failed = true,
                Err(_) => return true,
            }
        }
    }

    fn changed(&mut self, pid: Pid, status: WaitStatus) {
        if self.program != Some(pid) {
            return;
        }
        let ended = status.exited() || status.signaled();
        if ended {
            self.program = None;
        }
        if status.stopped() {
            self.stops = self.stops.wrapping_add(1);
        }
        if ended || status.stopped() {
            let both = u64::from(pid.as_raw_nonzero().get() as u32) << 32 | u64::from(status.as_raw() as u32);
            let message = [&[STATUS][..], &both.to_ne_bytes()].concat();
            let _ = rustix::net::send(&self.front, &message, SendFlags::NOSIGNAL);
        }
    }
}
