//! Copies of the program's TCP sockets, from when they are made until they are connected, bound or listen: as long as
//! there is a copy, closing the program's own ends nothing, which of any other socket somebody would notice. `/proc` says
//! which one a number of the program's is.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use libc::{AF_INET6, EACCES, ENETUNREACH, SO_COOKIE, SO_DOMAIN, SOL_SOCKET, c_int};
use rustix::io::Errno;
use rustix::process::Pid;

use super::connect::{CLOSE, is_in};
use super::notification::{Answer, Notification};
use super::numbers::in_proc;
use crate::kernel;

/// How many copies there are at most; the oldest goes first.
const MAX_COPIES: usize = 512;
/// How many sockets are known without.
const MAX_BEGUN: usize = 8192;

/// What a number stands for.
#[derive(Debug)]
pub(crate) enum Found {
    /// A socket, by a copy of it.
    Copy(OwnedFd),
    /// One that was connected, of which there is no copy any more.
    Begun(Begun),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) inode: u64,
    pub(crate) cookie: u64,
    pub(crate) ipv6: bool,
    /// The port that it has here.
    pub(crate) port: u16,
    /// The program knows that it has failed: the kernel's own error is not to be shown.
    pub(crate) told: bool,
}

impl Begun {
    /// Whether it is connecting or connected: such a one has a line in these files, and a number in its tenth column
    /// (proc(5)).
    pub(crate) fn is_open(&self) -> bool {
        let inode = self.inode.to_string();
        ["tcp", "tcp6"].iter().any(|file| {
            let lines = std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
            lines.lines().any(|line| line.split_ascii_whitespace().nth(9) == Some(&inode))
        })
    }
}

/// The sockets by their inodes, as [`socket_behind`] tells them; the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    copies: HashMap<u64, OwnedFd>,
    copied: VecDeque<u64>,
    begun: HashMap<u64, Begun>,
    order: VecDeque<u64>,
}

fn inode(socket: &OwnedFd) -> Result<u64, Errno> {
    rustix::fs::fstat(socket).map(|stat| stat.st_ino)
}

/// The inode of the socket that a number stands for in another process; `None` if it is no socket.
pub(crate) fn socket_behind(thread: Pid, number: c_int) -> Result<Option<u64>, Errno> {
    let place = format!("{}/fd/{number}", in_proc(thread));
    match rustix::fs::readlink(place, Vec::new()) {
        Ok(link) => {
            let inode = link.to_str().ok().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
            Ok(inode.and_then(|inode| inode.parse().ok()))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The call's first argument. An error is what the call is answered.
fn asked(call: &Notification) -> Result<u64, Answer> {
    match socket_behind(call.thread, call.int(0)) {
        Ok(Some(inode)) => Ok(inode),
        // The kernel says what is wrong with it.
        Ok(None) => Err(Answer::Continue),
        Err(Errno::ACCESS | Errno::PERM) => Err(Answer::Fail(EACCES)),
        Err(_) => Err(Answer::Fail(ENETUNREACH)),
    }
}

impl Kept {
    pub(crate) fn keep(&mut self, socket: &OwnedFd) {
        if let (Ok(inode), Ok(copy)) = (inode(socket), rustix::io::fcntl_dupfd_cloexec(socket, 0)) {
            self.insert(inode, copy);
        }
    }

    fn insert(&mut self, inode: u64, copy: OwnedFd) {
        while self.copied.len() >= MAX_COPIES {
            let _ = self.copied.pop_front().map(|oldest| self.copies.remove(&oldest));
        }
        self.forget_begun(inode);
        if self.copies.insert(inode, copy).is_none() {
            self.copied.push_back(inode);
        }
    }

    pub(crate) fn forget(&mut self, call: &Notification) {
        if let Ok(inode) = asked(call) {
            let _ = self.remove(inode);
            self.forget_begun(inode);
        }
    }

    fn forget_begun(&mut self, inode: u64) {
        if self.begun.remove(&inode).is_some() {
            self.order.retain(|&other| other != inode);
        }
    }

    fn remove(&mut self, inode: u64) -> Option<OwnedFd> {
        let copy = self.copies.remove(&inode)?;
        self.copied.retain(|&other| other != inode);
        Some(copy)
    }

    /// Forgets a socket that somebody else has connected.
    pub(crate) fn forget_used(&mut self, call: &Notification) {
        if let Ok(inode) = asked(call) {
            self.remove_used(inode);
        }
    }

    fn remove_used(&mut self, inode: u64) {
        if self.copies.get(&inode).is_some_and(|copy| !is_in(copy, CLOSE)) {
            let _ = self.remove(inode);
        }
    }

    pub(crate) fn find(&mut self, call: &Notification) -> Result<Found, Answer> {
        let inode = asked(call)?;
        match self.begun.get(&inode) {
            Some(begun) => Ok(Found::Begun(*begun)),
            // It was not connected by us: the kernel knows all of it.
            None => {
                self.remove_used(inode);
                Err(Answer::Continue)
            }
        }
    }

    pub(crate) fn take(&mut self, call: &Notification) -> Result<Found, Answer> {
        let inode = asked(call)?;
        match (self.remove(inode), self.begun.get(&inode)) {
            (Some(copy), _) => Ok(Found::Copy(copy)),
            (None, Some(begun)) => Ok(Found::Begun(*begun)),
            // Not of ours, or forgotten.
            (None, None) => Err(Answer::Fail(ENETUNREACH)),
        }
    }

    pub(crate) fn take_unbound(&mut self, call: &Notification) -> Result<Option<OwnedFd>, Answer> {
        let inode = asked(call)?;
        self.forget_begun(inode);
        Ok(self.remove(inode))
    }

    pub(crate) fn give_back(&mut self, copy: OwnedFd) {
        if let Ok(inode) = inode(&copy) {
            self.insert(inode, copy);
        }
    }

    pub(crate) fn is_begun(&mut self, copy: &OwnedFd) {
        let (Ok(inode), Ok(cookie)) = (inode(copy), kernel::option(copy, SOL_SOCKET, SO_COOKIE)) else {
            return;
        };
        let ipv6 = kernel::option::<c_int>(copy, SOL_SOCKET, SO_DOMAIN) == Ok(AF_INET6);
        let here = rustix::net::getsockname(copy).and_then(std::net::SocketAddr::try_from);
        let port = here.map_or(0, |here| here.port());
        while self.order.len() >= MAX_BEGUN {
            let _ = self.order.pop_front().map(|oldest| self.begun.remove(&oldest));
        }
        if self.begun.insert(inode, Begun { inode, cookie, ipv6, port, told: false }).is_none() {
            self.order.push_back(inode);
        }
    }

    pub(crate) fn is_told(&mut self, cookie: u64) {
        if let Some(begun) = self.begun.values_mut().find(|begun| begun.cookie == cookie) {
            begun.told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketType, socket};

    use super::*;

    #[test]
    fn so_many_copies_and_no_more_are_kept() {
        let mut kept = Kept::default();
        let made: Vec<_> = (0..MAX_COPIES + 2)
            .map(|_| socket(AddressFamily::INET, SocketType::STREAM, None).unwrap())
            .collect();
        made.iter().for_each(|socket| kept.keep(socket));
        assert_eq!((kept.copies.len(), kept.copied.len()), (MAX_COPIES, MAX_COPIES));
        let numbers = [&made[1], &made[2]].map(|socket| inode(socket).unwrap());
        assert_eq!(numbers.map(|inode| kept.copies.contains_key(&inode)), [false, true]);
    }

    #[test]
    fn what_is_begun_has_no_copy_until_it_is_given_back() {
        let mut kept = Kept::default();
        let made = socket(AddressFamily::INET6, SocketType::STREAM, None).unwrap();
        kept.keep(&made);
        let inode = inode(&made).unwrap();
        let copy = kept.remove(inode).unwrap();
        kept.is_begun(&copy);
        let begun = kept.begun[&inode];
        assert_eq!((begun.ipv6, begun.port, begun.told, kept.copies.len()), (true, 0, false, 0));
        kept.is_told(begun.cookie);
        assert!(kept.begun[&inode].told);
        kept.give_back(copy);
        assert_eq!((kept.begun.len(), kept.copies.len(), kept.copied.len()), (0, 1, 1));
        assert!(kept.order.is_empty());
    }
}
