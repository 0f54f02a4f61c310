//! What goes from one address of a program's to one destination, and back: a socket outside the namespace.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::packet::Ends;
use crate::guard::link::Link;

/// What waits for the agent's answer, at most, in datagrams and in bytes; what comes beyond is lost, as on a network.
const MAX_WAITING: usize = 32;
const MAX_BYTES: usize = 1 << 16;

pub(super) struct Flow {
    pub(super) ends: Ends,
    /// Outside.
    pub(super) socket: OwnedFd,
    pub(super) state: State,
    /// When the agent was asked, and from then on when something passed.
    pub(super) used: Instant,
}

pub(super) enum State {
    /// The agent is asked, and this waits.
    Asking { link: Link, waiting: Vec<Box<[u8]>> },
    /// The socket is connected.
    Carried,
}

impl Flow {
    /// A socket for one, of the family of its destination.
    pub(super) fn open(to: SocketAddr) -> Result<OwnedFd, Errno> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
    }

    pub(super) fn asks(&self) -> bool {
        matches!(self.state, State::Asking { .. })
    }

    /// Sends a datagram, or keeps it until there is a way.
    pub(super) fn send(&mut self, payload: &[u8], now: Instant) -> Result<(), Errno> {
        match &mut self.state {
            State::Asking { waiting, .. } => {
                let bytes: usize = waiting.iter().map(|payload| payload.len()).sum();
                if waiting.len() < MAX_WAITING && bytes + payload.len() <= MAX_BYTES {
                    waiting.push(payload.into());
                }
                Ok(())
            }
            State::Carried => {
                self.used = now;
                self.send_now(payload)
            }
        }
    }

    fn send_now(&self, payload: &[u8]) -> Result<(), Errno> {
        match rustix::net::send(&self.socket, payload, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            // What has no room, or is too long, is lost.
            Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR | Errno::MSGSIZE) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// There is a way: what has waited goes.
    pub(super) fn begin(&mut self, at: SocketAddr, now: Instant) -> Result<(), Errno> {
        self.used = now;
        rustix::net::connect(&self.socket, &at)?;
        let State::Asking { waiting, .. } = std::mem::replace(&mut self.state, State::Carried) else {
            return Ok(());
        };
        waiting.iter().try_for_each(|payload| self.send_now(payload))
    }

    /// The next answer; `None` where there is none now.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        match rustix::net::recv(&self.socket, buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => Ok(Some(length)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
