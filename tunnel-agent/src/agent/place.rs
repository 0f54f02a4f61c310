//! The directory that an agent serves in: that it is the user's own, that one agent serves there, and what is left behind.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;
use underpass_core::control;
use underpass_core::failure::reason;

use super::Agent;
use crate::lifetime::aside;
use crate::processes;
use crate::service::passed::Passed;
use crate::service::successor::Sockets;

/// Held by the agent for life.
const SERVING: &str = "serving.lock";

/// The names of what a successor gets.
const LOCK: &str = "lock";
const DATA: &str = "data";
const CONTROL: &str = "control";

/// How long an agent that has removed its sockets may take to end.
const LEAVING: Duration = Duration::from_secs(2);

/// The directory, while we serve there.
pub(super) struct Place {
    directory: PathBuf,
    lock: Option<File>,
}

impl Place {
    /// Makes it ours.
    pub(super) fn take(directory: &Path, uid: u32, own: Option<&mut Passed>) -> io::Result<Self> {
        check_directory(directory, uid)?;
        // A predecessor's lock is ours as soon as the file is.
        let lock = match own.and_then(|own| own.named(LOCK)) {
            Some(lock) => lock.into(),
            None => sole(directory)?,
        };
        Ok(Self { directory: directory.to_owned(), lock: Some(lock) })
    }

    /// For a successor.
    pub(super) fn sockets(&self, data: &OwnedFd, control: &UnixListener) -> io::Result<Sockets> {
        let mut sockets = Sockets::new();
        if let Some(lock) = &self.lock {
            sockets.push((format!("{LOCK} {}", self.directory.display()), lock.try_clone()?.into()));
        }
        sockets.push((DATA.to_owned(), data.try_clone()?));
        sockets.push((CONTROL.to_owned(), control.as_fd().try_clone_to_owned()?));
        Ok(sockets)
    }

    /// The socket that programs connect to, of a predecessor or a new one.
    pub(super) fn data(&self, path: &Path, uid: u32, own: Option<&mut Passed>) -> io::Result<OwnedFd> {
        match own.and_then(|own| own.named(DATA)) {
            Some(data) => Ok(data),
            None => bind_data(path, uid),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where launchers ask.
    pub(super) fn control(&self) -> PathBuf {
        self.directory.join(control::SOCKET)
    }

    /// The socket that launchers connect to, of a predecessor or a new one.
    pub(super) fn listen_for_launchers(&self, own: Option<&mut Passed>) -> io::Result<UnixListener> {
        if let Some(control) = own.and_then(|own| own.named(CONTROL)) {
            return UnixListener::from_std(control.into());
        }
        let path = self.control();
        remove_stale(&path)?;
        UnixListener::bind(&path).map_err(|error| named(&path, &error))
    }

    /// Nobody finds us here any more.
    pub(super) fn remove_sockets(&self, data: &Path) {
        let _ = fs::remove_file(self.control());
        // A signal may have come while it was leaving by itself.
        let _ = fs::remove_file(aside(&self.control()));
        let _ = fs::remove_file(data);
    }

    /// The next agent may serve here from now on.
    pub(super) fn let_go(&mut self) {
        self.lock = None;
    }

    /// Removes what nobody needs any more, unless somebody else serves here by now.
    pub(super) fn leave(self, agent: &Agent) {
        let Self { directory, lock: held } = self;
        let again = || {
            lock(&directory)
                .ok()
                .filter(|lock| rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok())
        };
        let Some(_lock) = held.or_else(again) else { return };
        if processes::any_program(&agent.sessions.socket, &agent.lifetime.seen_and_alive()) {
            return;
        }
        let _ = fs::remove_file(directory.join("sessions"));
        agent.names.remove_if_crowded();
        // The network namespace goes with us, and nobody will look for an agent of it again. A log stays, and
        // the directory with it.
        if processes::is_last_here(agent.lifetime.outlives_sandbox()) {
            for name in ["names", "agent.lock", SERVING] {
                let _ = fs::remove_file(directory.join(name));
            }
            // Where programs have found the library, if not at its own path, and the launcher beside it.
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_name().as_encoded_bytes().starts_with(b"libunderpass-") {
                    let _ = fs::remove_file(entry.path());
                }
            }
            let _ = fs::remove_dir(&directory);
        }
    }
}

/// Only the user's own directory is served: anybody who can write to it could be the agent.
fn check_directory(directory: &Path, uid: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(directory).map_err(|error| {
        let hint = format!("hint: mkdir -m 700 {}", directory.display());
        io::Error::new(error.kind(), format!("{}\n{hint}", named(directory, &error)))
    })?;
    let loose = found.mode() & if uid == 0 { 0o066 } else { 0o077 };
    if !found.is_dir() || found.uid() != uid || loose != 0 {
        let why = format!("{}: not a directory of this user alone", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// One agent a directory: the lock is held until the process ends, however it ends, unless it is let go of before.
fn sole(directory: &Path) -> io::Result<File> {
    let lock = lock(directory)?;
    let begin = Instant::now();
    // An agent that is leaving takes its files with it, and then lets go.
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if begin.elapsed() > LEAVING {
            let why = format!("{}: another agent serves here: {error}", directory.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(lock)
}

fn lock(directory: &Path) -> io::Result<File> {
    let path = directory.join(SERVING);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    file.map_err(|error| named(&path, &error))
}

/// The socket that programs connect to. An agent of root's also serves programs that have changed
/// their user; they must know the socket's name and show a token.
fn bind_data(path: &Path, uid: u32) -> io::Result<OwnedFd> {
    remove_stale(path)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let bound = rustix::net::bind(&socket, &SocketAddrUnix::new(path)?);
    bound.map_err(|error| named(path, &error.into()))?;
    if uid == 0 {
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
    }
    rustix::net::listen(&socket, 4096)?;
    Ok(socket)
}

/// Removes what an agent left that did not end well; the caller holds the directory's lock.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(path, &error)),
        _ => Ok(()),
    }
}

/// The error, with what it is about.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {}", path.display(), reason(error)))
}
