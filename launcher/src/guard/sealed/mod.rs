//! The sealed tier: guard, for a program that is in a network and a file system of its own. There is nothing in that network
//! but loopback and the cable to the pump ([`super::datagram`]), and nothing in `/run` but what was asked for.
//!
//! # The way in
//!
//! 1. The supervisor makes the network, which belongs to a user namespace of its own, and forks the program.
//! 2. The program enters both, makes a mount namespace there, and arranges it ([`mod@enter`], [`mounts`]).
//! 3. It goes on into a second user namespace below, with mounts of its own: what was arranged cannot be undone there, nor
//!    has anybody in it a say in the network, root included.
//! 4. It installs the filter, and becomes the program.
//!
//! # The path of one `connect()`
//!
//! As under guard, but it is never the kernel that goes on with the call, which would read the address again: what the agent is
//! not needed for is done here, with the address that was read, on a copy of the socket ([`here`]). So a Unix socket is
//! reached only if it was bound in there, or is let in ([`sockets`]). What the agent is asked for comes with the socket
//! that completes it, since it cannot make one there ([`holds`]).

mod begin;
mod enter;
mod here;
mod holds;
mod mounts;
mod sockets;
#[allow(unsafe_code, reason = "namespaces and mounts have no safe form in rustix without more of it")]
mod system;
mod why;

use std::io;
use std::path::PathBuf;

pub(crate) use begin::begin;
pub(crate) use enter::enter;
pub(crate) use here::Here;
pub(crate) use why::refused;

use super::datagram::namespace::Namespace;
use super::link::Session;
use holds::Holds;
use sockets::Sockets;

/// How a program is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal<'a> {
    /// Paths below /run, and Unix sockets, that it may reach.
    pub(crate) let_in: &'a [PathBuf],
    /// Routes say something of loopback.
    pub(crate) loopback: bool,
}

/// What the supervisor of a sealed program has besides.
#[derive(Debug)]
pub(crate) struct Sealed {
    holds: Holds,
    sockets: Sockets,
}

impl Sealed {
    pub(crate) fn new(namespace: &Namespace, seal: Seal<'_>) -> io::Result<Self> {
        Ok(Self { holds: Holds::default(), sockets: Sockets::new(namespace, seal.let_in)? })
    }
}

/// The session of a program in this namespace.
pub(crate) fn session(session: Session, namespace: &Namespace, seal: Seal<'_>) -> io::Result<Session> {
    let socket = namespace.socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    Ok(session.within(&socket, seal.loopback))
}
