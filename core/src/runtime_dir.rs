//! Where an agent of this user lives: the directory that holds its sockets.
//!
//! One agent serves one user, one network namespace, one process namespace and one wire version, so all four choose the
//! directory. Every directory on the way that is ours is made here and then looked at: its owner,
//! its mode, and that it is no symbolic link, since whoever controls it receives the traffic.
//! Nothing is repaired: a directory that is not as we would have made it is not used.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::session_env::MAX_PATH;
use crate::wire::VERSION;

/// What a socket's name in the directory may take, in bytes.
pub const SOCKET_NAME: usize = 40;

/// Ours alone.
pub const PRIVATE: u32 = 0o700;
/// Root's directory in /run: others may pass through it and not list it, since programs that root
/// starts may change their user (apt, nginx, su) and must still reach the agent.
pub const TRAVERSABLE: u32 = 0o711;

/// What decides the directory. Taken from the process by the caller, so that it can be tested.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The effective user.
    pub uid: u32,
    /// Inode of `/proc/self/ns/net`; `None` where it cannot be told, and then nothing is shared.
    pub network: Option<u64>,
    /// [`crate::processes::namespace`]: the agent looks at those who ask by their numbers.
    pub processes: Option<u64>,
    /// `/run`: what the system keeps for root.
    pub system: PathBuf,
    /// `XDG_RUNTIME_DIR`.
    pub runtime: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
    /// `TMPDIR`.
    pub temporary: Option<OsString>,
}

/// A directory for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentDirectory {
    /// Absolute; checked.
    pub path: PathBuf,
    /// Whether other launches find it too. If not, its agent is for this launch alone.
    pub shared: bool,
    /// Why better places were not taken.
    pub passed_over: Vec<Unusable>,
}

/// Why a directory is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Which.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It does not begin with a slash.
    Relative,
    /// A socket in it would not fit into `sun_path`.
    TooLong,
    /// It is a symbolic link or no directory.
    NotADirectory,
    /// It belongs to this other user.
    Owner(u32),
    /// Its permission bits are these.
    Mode(u32),
    /// The system said no.
    System(io::ErrorKind),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path.display())?;
        match &self.reason {
            Reason::Relative => f.write_str("is not an absolute path"),
            Reason::TooLong => f.write_str("is too long for a socket's address"),
            Reason::NotADirectory => f.write_str("is a symbolic link or no directory"),
            Reason::Owner(uid) => write!(f, "belongs to user {uid}"),
            Reason::Mode(mode) => write!(f, "has mode {mode:04o}"),
            Reason::System(io::ErrorKind::NotFound) => f.write_str("does not exist"),
            Reason::System(kind) => write!(f, "cannot be used ({kind})"),
        }
    }
}

impl std::error::Error for Unusable {}

/// Finds or makes the agent's directory. The first place that will do is taken: root's in `/run`,
/// the user's runtime directory, the home directory, and at last a new directory that no other
/// launch shares. The error lists every place.
pub fn agent_directory(around: &Surroundings) -> Result<AgentDirectory, Vec<Unusable>> {
    let mut passed_over = Vec::new();
    if let Some(network) = around.network {
        for place in places(around) {
            match shared(&place, &agent_name(network, around.processes), around.uid) {
                Ok(path) => return Ok(AgentDirectory { path, shared: true, passed_over }),
                Err(unusable) => passed_over.push(unusable),
            }
        }
    }
    match unshared(around) {
        Ok(path) => Ok(AgentDirectory { path, shared: false, passed_over }),
        Err(unusable) => {
            passed_over.push(unusable);
            Err(passed_over)
        }
    }
}

/// Where an agent that launches share may be, best place first. Nothing is made or looked at.
pub fn shared_directories(around: &Surroundings) -> Vec<PathBuf> {
    let below = |place: Place| {
        let agent = agent_name(around.network?, around.processes);
        Some(place.below.iter().fold(place.base, |path, name| path.join(name)).join(agent))
    };
    places(around).filter_map(below).collect()
}

/// Checks that `path` itself is a directory, belongs to `uid` and has exactly the permission bits
/// `mode`.
pub fn verify(path: &Path, uid: u32, mode: u32) -> Result<(), Unusable> {
    let found = look(path, uid)?;
    if found != mode { Err(unusable(path, Reason::Mode(found))) } else { Ok(()) }
}

/// A place that outlives the launch.
struct Place {
    /// Exists already, ours, or at least nobody else can write to it.
    base: PathBuf,
    /// Permission bits that the base must not have.
    forbidden: u32,
    /// What is made below it, from the top.
    below: &'static [&'static str],
    mode: u32,
}

fn places(around: &Surroundings) -> impl Iterator<Item = Place> {
    const OTHERS_WRITE: u32 = 0o022;
    let system = (around.uid == 0).then(|| Place {
        base: around.system.clone(),
        forbidden: OTHERS_WRITE,
        below: &["underpass"],
        mode: TRAVERSABLE,
    });
    let runtime = set(&around.runtime).map(|base| Place {
        base,
        forbidden: 0o077,
        below: &["underpass"],
        mode: PRIVATE,
    });
    let home = set(&around.home).map(|base| Place {
        base,
        forbidden: OTHERS_WRITE,
        below: &[".local", "state", "underpass"],
        mode: PRIVATE,
    });
    [system, runtime, home].into_iter().flatten()
}

/// An agent's directory among those of other networks, processes and versions.
fn agent_name(network: u64, processes: Option<u64>) -> String {
    /// Below the numbers of all namespaces (linux/proc_ns.h): counted from there they are short, and a
    /// socket's path has little room.
    const FIRST: u64 = 0xefff_ff00;
    match processes {
        None => format!("v{VERSION}-{network}"),
        Some(processes) => {
            let [network, processes] = [network, processes].map(|inode| inode.wrapping_sub(FIRST));
            format!("v{VERSION}-{network:x}-{processes:x}")
        }
    }
}

fn set(variable: &Option<OsString>) -> Option<PathBuf> {
    variable.as_ref().filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn shared(place: &Place, agent: &str, uid: u32) -> Result<PathBuf, Unusable> {
    let mut path = place.base.clone();
    if !path.is_absolute() {
        return Err(unusable(&path, Reason::Relative));
    }
    let full = place.below.iter().fold(path.clone(), |path, name| path.join(name)).join(agent);
    fits(&full)?;
    let found = look(&path, uid)?;
    if found & place.forbidden != 0 {
        return Err(unusable(&path, Reason::Mode(found)));
    }
    // The last of `below` is ours alone; those above it, like ~/.local, are shared with others.
    let (own, common) = place.below.split_last().unwrap_or((&"", &[]));
    for name in common {
        path.push(name);
        make(&path, PRIVATE)?;
        let found = look(&path, uid)?;
        if found & place.forbidden != 0 {
            return Err(unusable(&path, Reason::Mode(found)));
        }
    }
    for name in [own, agent] {
        path.push(name);
        make(&path, place.mode)?;
        verify(&path, uid, place.mode)?;
    }
    Ok(path)
}

/// A new directory with a name of its own, as mkdtemp(3) makes it. `mkdir` follows no symbolic
/// link and takes over nothing that exists, so the name need not be a secret.
fn unshared(around: &Surroundings) -> Result<PathBuf, Unusable> {
    let base = set(&around.temporary).unwrap_or_else(|| PathBuf::from("/tmp"));
    if !base.is_absolute() {
        return Err(unusable(&base, Reason::Relative));
    }
    for _ in 0..8 {
        let path = base.join(format!("underpass-{:016x}", RandomState::new().build_hasher().finish()));
        fits(&path)?;
        match DirBuilder::new().mode(PRIVATE).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(&path, Reason::System(error.kind()))),
            Ok(()) => return verify(&path, around.uid, PRIVATE).map(|()| path),
        }
    }
    Err(unusable(&base, Reason::System(io::ErrorKind::AlreadyExists)))
}

fn fits(path: &Path) -> Result<(), Unusable> {
    if path.as_os_str().as_bytes().len() + 1 + SOCKET_NAME > MAX_PATH {
        return Err(unusable(path, Reason::TooLong));
    }
    Ok(())
}

/// Makes the directory unless something of that name is there. Its mode does not depend on the umask.
fn make(path: &Path, mode: u32) -> Result<(), Unusable> {
    let made = DirBuilder::new().mode(mode).create(path).and_then(|()| {
        let found = fs::symlink_metadata(path)?.mode() & 0o7777;
        // A directory made below one with the set-group-id bit has that bit too; it is not ours to drop.
        if found & 0o777 == mode { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(mode)) }
    });
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(unusable(path, Reason::System(error.kind())))
        }
        _ => Ok(()),
    }
}

/// The permission bits of a directory that belongs to `uid`.
fn look(path: &Path, uid: u32) -> Result<u32, Unusable> {
    let found = fs::symlink_metadata(path).map_err(|error| unusable(path, Reason::System(error.kind())))?;
    if !found.is_dir() {
        return Err(unusable(path, Reason::NotADirectory));
    }
    if found.uid() != uid {
        return Err(unusable(path, Reason::Owner(found.uid())));
    }
    Ok(found.mode() & 0o777)
}

fn unusable(path: &Path, reason: Reason) -> Unusable {
    Unusable { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests;
