//! What a sealed program sees of files: all that there is, but for an empty `/run`, and resolv.conf.
//!
//! In `/run` are the sockets of everybody who would do something for a program: nscd, systemd-resolved, D-Bus, docker,
//! avahi. Links there are kept: they lead to nothing else that could be reached (and programs are found by them on some
//! systems).

use std::env;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use libc::{MS_BIND, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC};
use rustix::fs::{CWD, Mode, OFlags};

use super::{refused, system};

const RUN: &str = "/run";
/// Older systems have the same there, and no link.
const VAR_RUN: &str = "/var/run";
const RESOLV: &str = "/etc/resolv.conf";
/// The server of names: on loopback it is the agent that answers at this port.
const SERVER: &str = "nameserver 127.0.0.1\n";
/// The most of a resolv.conf that is read.
const MAX_RESOLV: usize = 64 << 10;

/// What is there before, and is to be there again.
pub(super) struct Own {
    directory: Option<PathBuf>,
    links: Vec<(PathBuf, PathBuf)>,
    let_in: Vec<PathBuf>,
    /// What resolv.conf is, wherever links lead to, and what shall be in it.
    resolv: Option<(PathBuf, String)>,
}

impl Own {
    pub(super) fn read(let_in: &[PathBuf]) -> Self {
        let is_in_run = |path: &&PathBuf| path.starts_with(RUN) || path.starts_with(VAR_RUN);
        let real = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let link = |entry: io::Result<fs::DirEntry>| {
            let path = entry.ok()?.path();
            let to = fs::read_link(&path).ok()?;
            Some((path, to))
        };
        let text = fs::read(RESOLV)
            .map(|text| resolv(&String::from_utf8_lossy(&text[..text.len().min(MAX_RESOLV)])));
        let place = || fs::canonicalize(RESOLV).ok();
        Self {
            directory: env::current_dir().ok(),
            links: fs::read_dir(RUN).map(|entries| entries.filter_map(link).collect()).unwrap_or_default(),
            let_in: let_in.iter().map(real).filter(|path| is_in_run(&path)).collect(),
            resolv: text.ok().and_then(|text| Some((place()?, text))),
        }
    }

    /// Makes it so.
    pub(super) fn arrange(self) -> Result<(), String> {
        let said = |what: &Path| {
            let what = what.display().to_string();
            move |error: io::Error| refused(&what, &error)
        };
        let root = Path::new("/");
        system::mount(c"none", c"/", None, MS_REC | MS_PRIVATE, None).map_err(said(root))?;
        // From here, while they can still be seen; what is not there now is not there later either.
        let open = |path: &PathBuf| Some((path.clone(), held(path).ok()?));
        let let_in: Vec<(PathBuf, OwnedFd)> = self.let_in.iter().filter_map(open).collect();
        for run in [RUN, VAR_RUN].map(Path::new) {
            if fs::symlink_metadata(run).is_ok_and(|found| found.is_dir()) {
                empty(run).map_err(said(run))?;
            }
        }
        for (path, to) in &self.links {
            let _ = symlink(to, path);
        }
        for (path, held) in &let_in {
            bind_again(path, held).map_err(said(path))?;
        }
        if let Some((path, text)) = &self.resolv {
            replace(path, text).map_err(said(path))?;
        }
        // The directory that this process is in is below what covers it now.
        if let Some(directory) = self.directory.filter(|directory| directory.starts_with(RUN)) {
            env::set_current_dir(directory).or_else(|_| env::set_current_dir("/")).map_err(said(root))?;
        }
        Ok(())
    }
}

/// A resolv.conf that names nobody but us, and is the given one otherwise.
fn resolv(text: &str) -> String {
    let others = text.lines().filter(|line| {
        let word = line.split_whitespace().next().unwrap_or_default();
        matches!(word, "search" | "domain" | "options" | "sortlist")
    });
    others.fold(SERVER.to_owned(), |text, line| text + line + "\n")
}

fn path_of(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Covers a directory with what everybody may expect there.
fn empty(run: &Path) -> io::Result<()> {
    let flags = MS_NOSUID | MS_NODEV;
    system::mount(c"tmpfs", &path_of(run)?, Some(c"tmpfs"), flags, Some(c"mode=0755"))?;
    directory(&run.join("lock"), 0o1777)?;
    directory(&run.join("user"), 0o755)?;
    directory(&run.join("user").join(rustix::process::getuid().as_raw().to_string()), 0o700)
}

fn held(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Makes what is held be at its path again.
fn bind_again(path: &Path, held: &OwnedFd) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    let source = format!("/proc/self/fd/{}", held.as_raw_fd());
    if fs::metadata(&source)?.is_dir() {
        DirBuilder::new().recursive(true).create(path)?;
    } else {
        File::options().create(true).truncate(false).write(true).open(path)?;
    }
    system::mount(&path_of(Path::new(&source))?, &path_of(path)?, None, MS_BIND | MS_REC, None)
}

/// Puts a file of ours in the place of another.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let write = |path: &Path| {
        fs::write(path, text)?;
        fs::set_permissions(path, Permissions::from_mode(0o644))
    };
    // In an empty directory it is in nobody's place.
    if path.starts_with(RUN) && !path.exists() {
        DirBuilder::new().recursive(true).mode(0o755).create(path.parent().unwrap_or(Path::new(RUN)))?;
        return write(path);
    }
    let ours = Path::new(RUN).join("resolv.conf");
    write(&ours)?;
    system::mount(&path_of(&ours)?, &path_of(path)?, None, MS_BIND, None)?;
    fs::remove_file(&ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_replaced_and_the_rest_is_kept() {
        let given =
            "# comment\nnameserver 10.0.0.1\nsearch a.example b.example\noptions ndots:2\nnameserver ::1\n";
        assert_eq!(resolv(given), "nameserver 127.0.0.1\nsearch a.example b.example\noptions ndots:2\n");
        assert_eq!(resolv(""), SERVER);
    }
}
