//! Own-socket hand-off: the agent connects the program's own socket to the proxy and makes the
//! handshake on it, while the program waits inside `connect()`. Then it lets go: no byte passes
//! through the agent, and the connection survives it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use underpass_core::failure::Failure;

use crate::hold::connect_without_waiting;
use crate::upstream::socks5::{Handshake, Step};
use crate::upstream::{unreachable_hop, upstream_io};

/// Connects `socket` to `hop` and makes `handshake` on it. `let_go` is called as soon as the socket is
/// the program's, before anything is tidied up. After a failure the socket is in an undefined state: the
/// caller dissolves it.
pub(crate) async fn hand_off(
    socket: &OwnedFd,
    hop: SocketAddr,
    mut handshake: Handshake,
    let_go: impl FnOnce(),
) -> Result<(), Failure> {
    let fault = |error: io::Error| unreachable_hop(&error);
    let watched;
    match connect_without_waiting(socket, &hop) {
        Ok(()) => watched = watch(socket).map_err(fault)?,
        Err(Errno::INPROGRESS) => {
            watched = watch(socket).map_err(fault)?;
            let _ready = watched.writable().await.map_err(fault)?;
            rustix::net::sockopt::socket_error(socket)
                .map_err(|e| fault(e.into()))?
                .map_err(|e| fault(e.into()))?;
            // A second call finds the connection made, and so tells the kernel that connect() has
            // succeeded: a further one of the program's gives EISCONN.
            // Another thread of the program's may have made that call.
            match rustix::net::connect(socket, &hop) {
                Ok(()) | Err(Errno::ISCONN) => {}
                Err(error) => return Err(fault(error.into())),
            }
        }
        Err(error) => return Err(fault(error.into())),
    }
    let mut buffer = [0; Handshake::MAX_READ];
    loop {
        match handshake.step()? {
            Step::Send(bytes) => send_all(&watched, bytes).await.map_err(|e| upstream_io(&e))?,
            Step::Receive(count) => {
                let bytes = &mut buffer[..count];
                receive_exactly(&watched, bytes).await.map_err(|e| upstream_io(&e))?;
                handshake.received(bytes)?;
            }
            Step::Done => {
                let_go();
                return Ok(());
            }
        }
    }
}

type Watched<'a> = AsyncFd<BorrowedFd<'a>>;

fn watch(socket: &OwnedFd) -> io::Result<Watched<'_>> {
    crate::sys::watch(socket.as_fd(), Interest::READABLE | Interest::WRITABLE)
}

async fn send_all(socket: &Watched<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::send(socket.get_ref(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::AGAIN) => socket.writable().await?.clear_ready(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads what was asked for and not a byte more: what follows belongs to the program.
async fn receive_exactly(socket: &Watched<'_>, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::recv(socket.get_ref(), &mut *bytes, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((_, received)) => bytes = &mut bytes[received..],
            Err(Errno::AGAIN) => socket.readable().await?.clear_ready(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
