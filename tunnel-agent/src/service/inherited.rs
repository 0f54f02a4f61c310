//! What a successor gets from the process whose place it takes.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::link;
use super::passed::{Named, Passed};
use crate::sys;

/// Says to a process that it is a successor, and that its standard input is the link.
pub(crate) const ARGUMENT: &str = "--successor";
/// Sockets of doors, and of a relay, have this before their names.
pub(crate) const DOOR: &str = "door ";
/// The predecessor waits as long for us, or longer.
const PATIENCE: Duration = Duration::from_secs(40);

/// The predecessor, and what it has given.
#[derive(Debug)]
pub(crate) struct Inherited {
    link: OwnedFd,
    /// What doors and relays listen at.
    pub(crate) passed: Passed,
    /// What an agent has besides.
    pub(crate) own: Passed,
    /// Where the predecessor serves.
    pub(crate) directory: Option<PathBuf>,
}

/// What the predecessor knows.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    /// Sockets, by cookie, that it goes on with.
    pub(crate) sockets: HashSet<u64>,
    /// Processes that have asked it.
    pub(crate) processes: HashSet<i32>,
    /// Processes that keep it while they live.
    pub(crate) watched: HashSet<i32>,
    /// Where sockets, by cookie, lead to that it has handed off.
    pub(crate) peers: Vec<(u64, SocketAddr)>,
    /// What listens since it has given us the rest.
    pub(crate) own: Passed,
}

impl Inherited {
    /// Takes what is given by standard input.
    pub(crate) fn receive() -> io::Result<Self> {
        let link = rustix::stdio::stdin().try_clone_to_owned()?;
        let mut inherited = Self { link, passed: Passed::default(), own: Passed::default(), directory: None };
        loop {
            let mut message = link::receive(&inherited.link, PATIENCE)?;
            let name = match message.text().strip_prefix("socket ") {
                Some(name) => name.to_owned(),
                None if message.text() == "end" => return Ok(inherited),
                None => return Err(io::Error::other("the predecessor said nonsense")),
            };
            let Some(socket) = message.sockets.pop() else { continue };
            if let Some(name) = name.strip_prefix(DOOR) {
                inherited.passed.add(Named { name: name.to_owned(), socket });
            } else if let Some(directory) = name.strip_prefix("lock ") {
                inherited.directory = Some(directory.into());
                inherited.own.add(Named { name: "lock".to_owned(), socket });
            } else {
                inherited.own.add(Named { name, socket });
            }
        }
    }

    /// We can serve: what the predecessor knows, once it has stopped accepting.
    pub(crate) fn prepared(&self) -> io::Result<Knowledge> {
        link::send(&self.link, format!("prepared {}", std::process::id()).as_bytes(), &[])?;
        let mut knowledge = Knowledge::default();
        loop {
            let mut message = link::receive(&self.link, PATIENCE)?;
            let socket = message.sockets.pop();
            let mut words = message.text().split(' ');
            match words.next() {
                Some("socket") => {
                    if let (Some(name), Some(socket)) = (words.next(), socket) {
                        knowledge.own.add(Named { name: name.to_owned(), socket });
                    }
                }
                Some("sockets") => {
                    knowledge.sockets.extend(words.filter_map(|word| word.parse::<u64>().ok()))
                }
                Some("processes") => {
                    knowledge.processes.extend(words.filter_map(|word| word.parse::<i32>().ok()));
                }
                Some("watched") => {
                    knowledge.watched.extend(words.filter_map(|word| word.parse::<i32>().ok()));
                }
                Some("peers") => {
                    let peer = |word: &str| {
                        let (cookie, address) = word.split_once('=')?;
                        Some((cookie.parse().ok()?, address.parse().ok()?))
                    };
                    knowledge.peers.extend(words.filter_map(peer));
                }
                Some("yours") => return Ok(knowledge),
                _ => return Err(io::Error::other("the predecessor said nonsense")),
            }
        }
    }

    /// We serve. Returns when the service manager knows, with the link to the predecessor, which lets end what is open.
    pub(crate) fn serving(self) -> io::Result<OwnedFd> {
        link::send(&self.link, b"serving", &[])?;
        // If it is gone, nobody is left who could tell.
        let _ = link::receive(&self.link, PATIENCE);
        let null = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        Ok(self.link)
    }
}

/// Goes on as no child of the predecessor's, but of the service manager's, if there is one: systemd waits for the end of no other,
/// and `systemctl stop` would kill a main process that it does not wait for (`main_pid_alien` in systemd's src/core/service.c).
pub(crate) fn detach() -> io::Result<()> {
    match sys::fork()? {
        sys::Fork::Parent => std::process::exit(0),
        sys::Fork::Child => Ok(()),
    }
}

/// We cannot serve: the predecessor writes down why.
pub(crate) fn failed(why: &str) {
    let mut line = format!("failed {why}");
    while line.len() > link::LONGEST {
        line.pop();
    }
    let _ = link::send(&rustix::stdio::stdin(), line.as_bytes(), &[]);
}

/// Items without spaces as lines of a word and as many of them as a message takes.
pub(crate) fn lines<T: ToString>(word: &str, items: impl Iterator<Item = T>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        let item = item.to_string();
        match lines.last_mut().filter(|line| line.len() + 1 + item.len() <= link::LONGEST / 2) {
            Some(line) => {
                line.push(' ');
                line.push_str(&item);
            }
            None => lines.push(format!("{word} {item}")),
        }
    }
    lines
}
