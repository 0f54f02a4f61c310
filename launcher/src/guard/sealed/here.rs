//! A `connect()` that is done here, on a copy of the program's socket, with an address that nobody can change any more.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use libc::{AF_UNSPEC, SO_TYPE, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, c_int};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::system;
use crate::guard::listener::Listener;
use crate::guard::notification::Answer;
use crate::kernel;

/// The user of a thread, for the kernel to judge and to tell the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// One to be done.
#[derive(Debug)]
pub(crate) struct Here {
    copy: OwnedFd,
    address: Box<[u8]>,
    /// What the address names, open as long as it is needed.
    place: Option<OwnedFd>,
    user: Option<User>,
}

impl Here {
    pub(crate) fn new(copy: OwnedFd, address: Box<[u8]>) -> Self {
        Self { copy, address, place: None, user: None }
    }

    /// To what this descriptor names, as this user.
    pub(super) fn at(self, place: OwnedFd, user: Option<User>) -> Self {
        Self { place: Some(place), user, ..self }
    }

    /// Does it, and answers. Where the program waits for it, somebody else does here, so that others need not.
    pub(crate) fn answer(self, listener: &Arc<Listener>, id: u64) {
        if !self.may_wait() {
            let answer = self.done();
            return listener.answer(id, answer);
        }
        let theirs = Arc::clone(listener);
        let waits = std::thread::Builder::new().stack_size(64 << 10).name("connect".to_owned());
        let begun = waits.spawn(move || {
            let answer = self.done();
            theirs.answer(id, answer);
        });
        if begun.is_err() {
            listener.answer(id, Answer::Fail(libc::EAGAIN));
        }
    }

    fn may_wait(&self) -> bool {
        let kind = kernel::option::<c_int>(&self.copy, SOL_SOCKET, SO_TYPE);
        let family = self.address.first_chunk().map(|family| c_int::from(u16::from_ne_bytes(*family)));
        matches!(kind, Ok(SOCK_STREAM | SOCK_SEQPACKET))
            && family != Some(AF_UNSPEC)
            && rustix::fs::fcntl_getfl(&self.copy).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK))
    }

    /// The copy is closed before the answer: as long as there is one, closing the program's own does not end it.
    fn done(self) -> Answer {
        let connected = system::as_user(self.user.as_ref(), || {
            loop {
                match system::connect(&self.copy, &self.address) {
                    Err(Errno::INTR) => {}
                    done => return done,
                }
            }
        });
        drop(self.place);
        match connected {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Fail(error.raw_os_error()),
        }
    }
}
