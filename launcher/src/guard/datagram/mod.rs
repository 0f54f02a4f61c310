//! Datagrams under guard: a program's sockets for them are born in a network that has nothing in it, so that none of their
//! datagrams can leave, whatever call sends it; what they send there is carried by a pump.
//!
//! No call of the program's is looked at but `socket()`.
//!
//! # Layout
//!
//! - [`namespace`]: that network; [`helper`]: the process in it; [`cable`]: what is laid there, by [`netlink`].
//! - [`pump`]: what carries. [`packet`], [`checksum`]: packets, without I/O. [`flow`], [`flows`]: what belongs together.
//!   [`question`]: the agent's word; [`makers`]: for whom it is asked; [`holders`]: who has a socket. [`takers`], [`ours`]: loopback.
//! - [`system`]: unsafe calls.

mod cable;
mod checksum;
mod flow;
mod flows;
mod helper;
mod holders;
mod makers;
pub(super) mod namespace;
pub(super) mod netlink;
mod ours;
mod packet;
mod pump;
mod question;
#[allow(unsafe_code, reason = "clone, and sockets below IP, have no safe form")]
mod system;
mod takers;
mod users;

use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use libc::{EACCES, c_int};
use rustix::event::{EventfdFlags, eventfd};
use underpass_core::wire::{Barred, Request};

use super::link::Session;
use crate::kernel;
use makers::Makers;
use namespace::Namespace;
use pump::{Loopback, Pump};

pub(crate) use cable::{LOOPBACK, Own, V1, lay_dead_end};
pub(crate) use system::bind_to_card;

/// What a supervisor has for datagrams.
pub(crate) struct Datagrams {
    session: Session,
    state: State,
}

enum State {
    /// The program has asked for no such socket yet.
    Unasked,
    Open(Open),
    /// There is no such network to be had.
    Unable,
}

struct Open {
    namespace: Namespace,
    makers: Makers,
    pump: JoinHandle<io::Result<()>>,
    end: OwnedFd,
}

impl Open {
    fn socket(&self, process: u32, family: c_int, kind: c_int, protocol: c_int) -> Result<OwnedFd, c_int> {
        let socket = self
            .namespace
            .socket(family, kind, protocol)
            .map_err(|error| error.raw_os_error().unwrap_or(EACCES))?;
        if let Ok(cookie) = kernel::option::<u64>(&socket, libc::SOL_SOCKET, libc::SO_COOKIE) {
            self.makers.note(cookie, process);
        }
        Ok(socket)
    }
}

impl Datagrams {
    /// For the programs of a session. Nothing is made before one asks.
    pub(crate) fn new(session: Session) -> Self {
        Self { session, state: State::Unasked }
    }

    /// For programs that are in this namespace: what they send to loopback is their own affair.
    pub(crate) fn within(session: Session, namespace: Namespace) -> io::Result<Self> {
        let open = open(namespace, &session, Loopback::Theirs)?;
        Ok(Self { session, state: State::Open(open) })
    }

    /// The namespace that the sockets are of, if there is one.
    pub(crate) fn namespace(&self) -> Option<&Namespace> {
        match &self.state {
            State::Open(open) => Some(&open.namespace),
            _ => None,
        }
    }

    /// A socket for a process of the program's, as socket(2) makes it. It cannot leave, whatever is done with it. Where
    /// datagrams cannot be carried, nor be kept here, the errno is EACCES.
    pub(crate) fn socket(
        &mut self,
        process: u32,
        family: c_int,
        kind: c_int,
        protocol: c_int,
    ) -> Result<OwnedFd, c_int> {
        if let State::Unasked = self.state {
            let opened = Namespace::new();
            self.state = match opened.and_then(|made| open(made, &self.session, Loopback::Ours)) {
                Ok(open) => State::Open(open),
                Err(_) => {
                    // For the log: our own output is the program's.
                    let _ = self.session.ask(&Request::Barred(Barred::Datagrams), None);
                    State::Unable
                }
            }
        }
        match &self.state {
            State::Open(open) if !open.pump.is_finished() => open.socket(process, family, kind, protocol),
            _ => Err(EACCES),
        }
    }

    /// The programs have ended: what they have sent still goes, for which the agent may take its time.
    pub(crate) fn finish(self) {
        if let State::Open(Open { namespace, pump, end, .. }) = self.state {
            let _ = rustix::io::write(&end, &1u64.to_ne_bytes());
            let _ = pump.join();
            drop(namespace);
        }
    }
}

fn open(namespace: Namespace, session: &Session, loopback: Loopback) -> io::Result<Open> {
    let end = eventfd(0, EventfdFlags::CLOEXEC)?;
    let makers = Makers::default();
    let pump = Pump::new(&namespace, session.clone(), makers.clone(), &end, loopback)?;
    let pump = std::thread::Builder::new().name("datagrams".to_owned()).spawn(|| pump.run())?;
    Ok(Open { namespace, makers, pump, end })
}

/// Why datagrams cannot be carried on this system.
pub(crate) fn check() -> io::Result<()> {
    Namespace::new().map(drop)
}

#[cfg(test)]
mod tests;
