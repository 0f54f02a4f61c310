//! Holding ahead: a non-blocking socket is put into `SYN_SENT` by the library itself, and the agent
//! is told without waiting for its answer.
//!
//! An event loop that starts 200 connections in a row would otherwise stand still for 200 answers.
//! Where anything is out of the ordinary, the agent is asked as usual, and decides.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

/// The hold listener's port that the agent has told last; 0 until then. It is a hint: an agent that
/// was restarted has another, and then the kernel refuses at once.
static PORT: AtomicU16 = AtomicU16::new(0);

/// Whether this process has dissolved a TCP association (`AF_UNSPEC`). The next connection of such a
/// socket must not overtake the end of the one before it at the agent.
static DISSOLVES: AtomicBool = AtomicBool::new(false);

/// Takes the port that the agent tells.
pub(crate) fn learn(port: u16) {
    PORT.store(port, Ordering::Relaxed);
}

/// Notes that the program has ended an association itself.
pub(crate) fn dissolved() {
    DISSOLVES.store(true, Ordering::Relaxed);
}

/// Where the next socket may be held, if it may.
pub(crate) fn listener() -> Option<SocketAddr> {
    match PORT.load(Ordering::Relaxed) {
        0 => None,
        _ if DISSOLVES.load(Ordering::Relaxed) => None,
        port => Some((Ipv4Addr::LOCALHOST, port).into()),
    }
}
