//! What an agent asks the predecessor that it has taken the place of: programs go on asking where they have always
//! asked, also of what the predecessor still carries. The request is passed on with its connection, and answered there.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::link::{self, Message};
use crate::frames::Received;
use crate::sys::Asker;

/// Bytes before the frame: who asks.
const HEAD: usize = 8;

/// The predecessor, while it is there.
#[derive(Debug)]
pub(crate) struct Elder {
    link: OwnedFd,
    sockets: HashSet<u64>,
    gone: AtomicBool,
}

impl Elder {
    pub(crate) fn new(link: OwnedFd, sockets: HashSet<u64>) -> Self {
        Self { link, sockets, gone: AtomicBool::new(false) }
    }

    /// Whether it is still there: it never says anything, but its end is seen.
    pub(crate) fn lives(&self) -> bool {
        let ended = link::try_receive(&self.link).is_err();
        !self.gone.fetch_or(ended, Ordering::Relaxed) && !ended
    }

    /// Whether it goes on with the socket of this cookie.
    pub(crate) fn has(&self, cookie: u64) -> bool {
        !self.gone.load(Ordering::Relaxed) && self.sockets.contains(&cookie)
    }

    /// All that it goes on with, while it is there.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = u64> {
        let lives = self.lives();
        self.sockets.iter().copied().filter(move |_| lives)
    }

    /// Has it answer; whether it will.
    pub(crate) fn answers(&self, connection: &OwnedFd, received: &Received, peer: Asker) -> bool {
        if self.gone.load(Ordering::Relaxed) {
            return false;
        }
        let mut bytes = Vec::with_capacity(HEAD + received.frame().len());
        bytes.extend(peer.pid.to_ne_bytes());
        bytes.extend(peer.uid.to_ne_bytes());
        bytes.extend(received.frame());
        let mut sockets: Vec<BorrowedFd<'_>> = vec![connection.as_fd()];
        sockets.extend([&received.socket, &received.second].into_iter().flatten().map(AsFd::as_fd));
        match link::send(&self.link, &bytes, &sockets) {
            Ok(()) => true,
            Err(error) => {
                let is_busy = error.kind() == std::io::ErrorKind::WouldBlock;
                self.gone.fetch_or(!is_busy, Ordering::Relaxed);
                false
            }
        }
    }
}

/// What a successor has passed on: the program's connection, its request, and who it is.
pub(crate) fn passed_on(message: Message) -> Option<(OwnedFd, Received, Asker)> {
    let (head, frame) = message.bytes.split_at_checked(HEAD)?;
    let number = |at: usize| head.get(at..at + 4)?.try_into().ok();
    let peer = Asker { pid: i32::from_ne_bytes(number(0)?), uid: u32::from_ne_bytes(number(4)?) };
    let mut sockets = message.sockets.into_iter();
    let connection = sockets.next()?;
    Some((connection, Received::of(frame, sockets.next(), sockets.next())?, peer))
}
