//! Where libunderpass.so is, and by which path ld.so can and may load it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use underpass_core::preload_path::is_safe;
use underpass_core::runtime_dir::AgentDirectory;

use crate::messages::{Failure, reason};

const NAME: &str = "libunderpass.so";
/// What we are called beside a copy of it; the agent takes along what begins so.
const LAUNCHER: &str = "libunderpass-launcher";
/// Debian's multiarch directory for this architecture.
const TRIPLET: &str = if cfg!(target_arch = "aarch64") { "aarch64-linux-gnu" } else { "x86_64-linux-gnu" };

/// The path for `LD_PRELOAD`, and what a person may have to know about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) path: PathBuf,
    pub(crate) remark: Option<Remark>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remark {
    /// Copied, so that other users can read it.
    Copied(PathBuf),
    /// Other users cannot read it, and it could not be copied, for this reason.
    OnlyForUs(String),
}

/// The library that belongs to the executable in `ours` (its directory).
pub(crate) fn find(ours: &Path) -> Result<PathBuf, Failure> {
    let above = ours.parent().unwrap_or(ours);
    let places =
        [ours.to_owned(), above.join("lib/underpass"), above.join("lib").join(TRIPLET).join("underpass")];
    let found = places.iter().map(|place| place.join(NAME)).find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::setup(format_args!("{NAME}: not found beside {}", ours.join("underpass").display()))
            .hint(format_args!("it belongs there or into {}", places[1].display()))
    })
}

/// Makes the library loadable: by a path that `LD_PRELOAD` can hold, and for root by one that the
/// users it changes to can read.
pub(crate) fn prepare(library: &Path, agent: &AgentDirectory, uid: u32) -> Result<Library, Failure> {
    let fail = |error: io::Error| {
        Failure::setup(format_args!("{}: cannot be made loadable: {}", library.display(), reason(&error)))
    };
    if uid == 0 && !readable_by_all(library).map_err(fail)? {
        return match copy(library, &agent.path) {
            Ok(path) => {
                link_launcher(&agent.path);
                Ok(Library { remark: Some(Remark::Copied(path.clone())), path })
            }
            Err(why) => {
                let path = by_safe_path(library, &agent.path)?;
                Ok(Library { path, remark: Some(Remark::OnlyForUs(why)) })
            }
        };
    }
    Ok(Library { path: by_safe_path(library, &agent.path)?, remark: None })
}

/// The library itself, or a symbolic link to it where its own path holds a space or a colon.
fn by_safe_path(library: &Path, agent: &Path) -> Result<PathBuf, Failure> {
    if is_safe(library.as_os_str().as_bytes()) {
        return Ok(library.to_owned());
    }
    let fail = |why: String| {
        Failure::setup(format_args!("{}: ld.so cannot load it from there: {why}", library.display()))
            .hint("install underpass in a directory without spaces and colons in its name")
    };
    let found = fs::metadata(library).map_err(|error| fail(reason(&error)))?;
    let link = agent.join(format!("libunderpass-{:x}-{:x}.so", found.dev(), found.ino()));
    if !is_safe(link.as_os_str().as_bytes()) {
        return Err(fail(format!("nor through {}", agent.display())));
    }
    if !fs::read_link(&link).is_ok_and(|target| target == library) {
        put(&link, |temporary| symlink(library, temporary)).map_err(|error| fail(reason(&error)))?;
    }
    link_launcher(agent);
    Ok(link)
}

/// The library looks for us beside itself. Where it does not find us it starts what cannot load it as it is.
fn link_launcher(agent: &Path) {
    if let Ok(ours) = std::env::current_exe() {
        let link = agent.join(LAUNCHER);
        if !fs::read_link(&link).is_ok_and(|target| target == ours) {
            let _ = put(&link, |temporary| symlink(&ours, temporary));
        }
    }
}

/// A copy in the agent's directory that every user can load; the error says why there is none.
fn copy(library: &Path, agent: &Path) -> Result<PathBuf, String> {
    let system = |error: io::Error| reason(&error);
    if !passable(agent).map_err(system)? {
        return Err(format!("nor can they reach {}", agent.display()));
    }
    let mount = rustix::fs::statvfs(agent).map_err(|error| reason(&error.into()))?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(format!("and {} is mounted noexec", agent.display()));
    }
    let found = fs::metadata(library).map_err(system)?;
    let copy = agent.join(format!(
        "libunderpass-{:x}-{:x}-{:x}-{:x}.so",
        found.ino(),
        found.mtime(),
        found.mtime_nsec(),
        found.size()
    ));
    if !is_safe(copy.as_os_str().as_bytes()) {
        return Err(format!("nor could ld.so load it from {}", agent.display()));
    }
    if !fs::metadata(&copy).is_ok_and(|made| made.size() == found.size()) {
        put(&copy, |temporary| {
            fs::copy(library, temporary)?;
            fs::set_permissions(temporary, Permissions::from_mode(0o755))
        })
        .map_err(system)?;
    }
    Ok(copy)
}

/// Makes a file under another name and renames it, so that nobody sees half of it. The directory is ours alone
/// to write to.
fn put(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}", std::process::id()));
    let made = make(&temporary).and_then(|()| fs::rename(&temporary, path));
    if made.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    made
}

fn readable_by_all(file: &Path) -> io::Result<bool> {
    let file = fs::canonicalize(file)?;
    Ok(fs::metadata(&file)?.mode() & 0o004 != 0 && passable(file.parent().unwrap_or(&file))?)
}

/// Whether every user may pass through a directory and all above it.
fn passable(directory: &Path) -> io::Result<bool> {
    for directory in directory.ancestors() {
        if fs::metadata(directory)?.mode() & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
