//! Listeners for whoever comes: the relay's, and those of the front door.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Mode;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that wait to be accepted, as far as the kernel lets them (`net.core.somaxconn`, 4096 by default). Hundreds may
/// come at once, as from a browser; where the queue is full the kernel drops the SYN, which comes again after a
/// second. The 128 that std gives a listener are too few.
const BACKLOG: i32 = 4096;

/// Listens; nothing waits in a call on it. `only_v6`: where the address is `[::]`, IPv4 is left to another.
pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && only_v6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listener of a door.
pub(crate) struct Listener {
    socket: OwnedFd,
    /// Removed with it, if it is still this file.
    path: Option<(PathBuf, Option<File>)>,
    /// Somebody else listens here: before we serve, or from now on.
    is_anothers: AtomicBool,
}

impl Listener {
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::of(bind(address, false)?))
    }

    /// One that somebody else has made.
    pub(crate) fn of(listener: impl Into<OwnedFd>) -> Self {
        Self { socket: listener.into(), path: None, is_anothers: AtomicBool::new(false) }
    }

    /// One of a predecessor's, which serves there until we [keep](Self::keep) it, at a path that is removed with it then.
    pub(crate) fn taken(listener: OwnedFd, path: &Path) -> Self {
        let path = Some((path.to_owned(), file(path)));
        Self { socket: listener, path, is_anothers: AtomicBool::new(true) }
    }

    /// At a path, for this user alone: the directory may let others in, and the owner may change the file's mode.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        remove_dead(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let before = rustix::process::umask(Mode::from_bits_retain(0o177));
        let bound = socket.bind(&SockAddr::unix(path)?);
        rustix::process::umask(before);
        bound?;
        socket.listen(BACKLOG)?;
        let listener = Self::taken(socket.into(), path);
        listener.keep();
        Ok(listener)
    }

    /// Whether its file goes with it.
    pub(crate) fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// It is ours from now on.
    pub(crate) fn keep(&self) {
        self.is_anothers.store(false, Ordering::Relaxed);
    }

    /// A successor listens here.
    pub(crate) fn give(&self) {
        self.is_anothers.store(true, Ordering::Relaxed);
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let is_anothers = self.is_anothers.load(Ordering::Relaxed);
        // Where somebody has removed it another may have one of this name by now.
        if let Some((path, _)) = self.path.as_ref().filter(|(path, ours)| !is_anothers && file(path) == *ours)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// What tells a file from another of the same name: device and inode.
type File = (u64, u64);

fn file(path: &Path) -> Option<File> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Removes a socket at which nobody listens any more. Nothing else is touched.
fn remove_dead(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_another_at_the_same_path_is_left_there() {
        let path = std::env::temp_dir().join(format!("underpass-door-{}", std::process::id()));
        let first = Listener::unix(&path).expect("the folder is ours");
        Listener::unix(&path).map(drop).expect_err("somebody listens there");
        fs::remove_file(&path).expect("it is ours");
        let second = Listener::unix(&path).expect("nobody listens there");
        drop(first);
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
        assert!(!path.exists());
    }
}
