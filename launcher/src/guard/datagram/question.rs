//! Where the datagrams of a flow go: the agent is asked as the library asks it about a program's socket.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;
use underpass_core::wire::{MAX_FRAME, Reply, Request};

use super::makers::Sender;
use crate::guard::link::{Link, Session};

/// Where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the address itself.
    Direct,
    /// To the agent's socket that stands for the address.
    Via(SocketAddr),
    /// Nowhere; the errno.
    Refused(Errno),
}

/// Asks, for who sends. The socket is one that waits (without `O_NONBLOCK`), so the agent answers when there is a way, or none.
pub(super) fn ask(
    session: &Session,
    socket: &OwnedFd,
    address: SocketAddr,
    sender: &Sender,
) -> Result<Link, Errno> {
    let program = sender.program.as_deref().map_or(&[][..], |program| program.as_os_str().as_bytes());
    let request = Request::SupervisedDatagram { process: sender.process, address, program };
    session.ask(&request, Some(socket.as_fd()))
}

/// The answer, which has come; or the agent has gone, and there is no way.
pub(super) fn answer(link: &Link) -> Way {
    match link.reply(&mut [0; MAX_FRAME]) {
        Some(Reply::Direct) => Way::Direct,
        Some(Reply::Via { at, .. }) => Way::Via(at),
        Some(Reply::Refuse { errno }) => Way::Refused(Errno::from_raw_os_error(errno)),
        _ => Way::Refused(Errno::NETUNREACH),
    }
}
