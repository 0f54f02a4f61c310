//! Who sends by a socket, and which program it is: routes may speak of programs, and a packet does not say whose it is.
//!
//! What is known of a socket is which process has asked for it, and the file that this ran: it was looked at while it waited
//! for the socket. The number is good as long as it runs that file. Else it has ended, runs another one, or is another process by
//! now, and it is somebody who has the socket that counts ([`holders`]); where nobody is found, what the maker ran.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::holders;
use super::takers::Taker;

/// How many sockets are known, of those that were made or used last. Of another one a holder is sought.
const MAX: usize = 4096;
/// How many of the last are looked at for the same path.
const SHARED: usize = 64;
/// How long nobody looks again for who has a socket, when none was found.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sender {
    /// 0 if it does not live any more, or nobody knows.
    pub(super) process: u32,
    /// The file that it runs, or has run when it made the socket.
    pub(super) program: Option<Arc<Path>>,
}

impl Sender {
    fn lives(&self) -> bool {
        self.program.is_some() && holders::program_of(self.process).as_deref() == self.program.as_deref()
    }
}

/// What is known of a socket.
#[derive(Debug, Default)]
struct Made {
    cookie: u64,
    sender: Sender,
    /// When nobody was found who has it.
    sought: Option<Instant>,
}

#[derive(Debug, Default)]
struct Known {
    sockets: VecDeque<Made>,
    /// Of the socket that was made last.
    last: Sender,
}

impl Known {
    fn sender(&self, process: u32, program: Option<PathBuf>) -> Sender {
        let same = |program: &PathBuf| {
            let last = self.sockets.iter().rev().take(SHARED);
            last.filter_map(|made| made.sender.program.as_ref()).find(|known| ***known == **program).cloned()
        };
        Sender { process, program: program.map(|program| same(&program).unwrap_or_else(|| program.into())) }
    }

    fn take(&mut self, cookie: u64) -> Option<Made> {
        let at = self.sockets.iter().rposition(|made| made.cookie == cookie)?;
        self.sockets.remove(at)
    }

    fn keep(&mut self, made: Made) {
        if self.sockets.len() >= MAX {
            self.sockets.pop_front();
        }
        self.sockets.push_back(made);
    }
}

/// The senders, by the cookies of their sockets; shared by the supervisor and the pump.
#[derive(Clone, Default)]
pub(super) struct Makers(Arc<Mutex<Known>>);

impl Makers {
    /// A process has asked for a socket, and waits for it.
    pub(super) fn note(&self, cookie: u64, process: u32) {
        let program = holders::program_of(process);
        let mut known = self.known();
        let sender = known.sender(process, program);
        known.last = sender.clone();
        known.keep(Made { cookie, sender, sought: None });
    }

    /// Who sends by a socket. By one that is closed already: the last who has asked for any, which may be somebody else.
    pub(super) fn of(&self, socket: Option<Taker>) -> Sender {
        let Some(Taker { cookie, inode }) = socket else {
            let last = self.known().last.clone();
            return if last.lives() { last } else { Sender { process: 0, ..last } };
        };
        let made = self.known().take(cookie);
        let mut made = made.unwrap_or_else(|| Made { cookie, ..Made::default() });
        if !made.sender.lives() && made.sought.is_none_or(|sought| sought.elapsed() >= PATIENCE) {
            // Without the lock: it may take long, and calls of the program would wait for it.
            match holders::holder(inode, made.sender.program.as_deref()) {
                Some((process, program)) => {
                    made.sender = self.known().sender(process, Some(program));
                    made.sought = None;
                }
                None => {
                    made.sender.process = 0;
                    made.sought = Some(Instant::now());
                }
            }
        }
        let sender = made.sender.clone();
        self.known().keep(made);
        sender
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command, Stdio};

    use super::*;

    const NOBODY: u32 = i32::MAX as u32;

    /// One that waits until it is killed, and has this socket.
    fn child(socket: Option<UdpSocket>) -> Child {
        let standard = socket.map_or_else(Stdio::piped, |socket| OwnedFd::from(socket).into());
        let child = Command::new("sleep").arg("99").stdin(standard).spawn().unwrap();
        // Until it has executed its own it runs this program's file.
        while holders::program_of(child.id()) == holders::program_of(std::process::id()) {
            std::thread::yield_now();
        }
        child
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn taker(cookie: u64, inode: u32) -> Option<Taker> {
        Some(Taker { cookie, inode })
    }

    #[test]
    fn a_maker_is_known_as_long_as_it_lives_and_its_program_for_longer() {
        let makers = Makers::default();
        assert_eq!(makers.of(None), Sender::default());
        let maker = child(None);
        let program = holders::program_of(maker.id());
        assert!(program.is_some());
        makers.note(1, maker.id());
        makers.note(2, std::process::id());
        let found = makers.of(taker(1, 0));
        assert_eq!((found.process, found.program.as_deref()), (maker.id(), program.as_deref()));
        assert_eq!(makers.of(None).process, std::process::id());
        end(maker);
        let found = makers.of(taker(1, 0));
        assert_eq!((found.process, found.program.as_deref()), (0, program.as_deref()));
        makers.note(3, NOBODY);
        assert_eq!(makers.of(taker(3, 0)), Sender::default());
        // The number is another's by now.
        let before = Sender { process: std::process::id(), program: Some(Path::new("/before").into()) };
        makers.known().keep(Made { cookie: 4, sender: before.clone(), sought: None });
        makers.known().last = before.clone();
        let gone = Sender { process: 0, ..before };
        assert_eq!((makers.of(taker(4, 0)), makers.of(None)), (gone.clone(), gone));
    }

    #[test]
    fn whoever_has_a_socket_is_found_when_its_maker_is_not_there_or_not_known() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino as u32;
        let makers = Makers::default();
        // The supervisor's own copy does not count.
        assert_eq!(makers.of(taker(1, inode)), Sender::default());
        let holder = child(Some(socket));
        let program = holders::program_of(holder.id());
        makers.note(2, NOBODY);
        for cookie in [2, 3] {
            let found = makers.of(taker(cookie, inode));
            assert_eq!((found.process, found.program.as_deref()), (holder.id(), program.as_deref()));
        }
        assert_eq!(makers.of(taker(1, inode)), Sender::default(), "it was sought a moment ago");
        end(holder);
        let found = makers.of(taker(3, inode));
        assert_eq!((found.process, found.program.as_deref()), (0, program.as_deref()));
    }

    #[test]
    fn no_more_than_so_many_are_kept_and_those_that_are_used_stay() {
        let makers = Makers::default();
        for cookie in 0..MAX as u64 {
            makers.note(cookie, std::process::id());
        }
        let first = makers.of(taker(0, 0));
        assert_eq!(first.process, std::process::id());
        makers.note(MAX as u64, std::process::id());
        assert_eq!(makers.of(taker(0, 0)), first);
        assert_eq!(makers.of(taker(1, 0)), Sender::default());
        let known = makers.known();
        assert_eq!(known.sockets.len(), MAX);
        assert!(Arc::strong_count(&known.last.program.clone().unwrap()) >= MAX - 1, "one path for all");
    }
}
