//! What a program is, and whether a library can be loaded into it.
//!
//! ld.so(8) only warns when it cannot load a preloaded library, and other loaders say nothing: the
//! program would run and connect directly. So what can be seen before the start is refused.

pub(crate) mod elf;
pub(crate) mod sandbox;
pub(crate) mod script;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::lookup;
use crate::messages::{CANNOT_EXECUTE, Failure, NOT_FOUND, reason};
use elf::{Class, Elf, Source};
use script::Interpreter;
use underpass_core::privilege::{Asker, Privilege};

/// `e_machine` of this architecture (elf.h).
pub(crate) const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// Where glibc's loader is by the ABI; other distributions move the directory and keep the name.
pub(crate) const LOADER: &str =
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" };

/// What execvp(3) gives a file to that the kernel does not know.
pub(crate) const SHELL: &str = "/bin/sh";

/// A script of a script of a script: the kernel ends the chain earlier than this (ELOOP).
const MAX_SCRIPTS: usize = 6;

/// Of what only the kernel could hold.
pub(crate) const GUARD_HINT: &str = "--tier guard or auto carries such programs";

/// One file of the chain that starting a program runs through: scripts, then a program.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// A program.
    Elf { elf: Elf, privilege: Privilege, known: Option<Known> },
    /// `#!`
    Script(Interpreter),
    /// Neither: execvp gives it to [`SHELL`].
    Unknown,
    /// May be executed and not read.
    Unreadable,
}

/// A program that may be static all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// glibc's loader, which loads libraries itself.
    Loader,
    /// This program, which starts another one as we do.
    Launcher,
}

/// Why no library can be loaded into a program, or why it would not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Class(Class),
    Machine(u16),
    Static,
    Loader(String),
    Go,
    Secure(&'static str),
    Unreadable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(Class::Bits32) => f.write_str("it is a 32-bit program"),
            Self::Class(_) => f.write_str("it is not a little-endian program"),
            Self::Machine(machine) => {
                write!(f, "it is for another architecture (ELF machine {machine})")
            }
            Self::Static => f.write_str("it is statically linked, so no library can be loaded into it"),
            Self::Loader(loader) => write!(f, "it uses another C library than glibc (loader {loader})"),
            Self::Go => f.write_str("it is a Go program, which reaches the network without the C library"),
            Self::Secure(why) => write!(f, "it {why}, so the system loads no library of ours into it"),
            Self::Unreadable => f.write_str("it may not be read, so it cannot be judged"),
        }
    }
}

impl Link {
    /// Why this file cannot be carried in tier hook.
    pub(crate) fn refusal(&self, asker: &Asker) -> Option<Refusal> {
        let (elf, privilege, known) = match &self.kind {
            Kind::Elf { elf, privilege, known } => (elf, privilege, known),
            Kind::Unreadable => return Some(Refusal::Unreadable),
            Kind::Script(_) | Kind::Unknown => return None,
        };
        if elf.class != Class::Native {
            return Some(Refusal::Class(elf.class));
        }
        if elf.machine != MACHINE {
            return Some(Refusal::Machine(elf.machine));
        }
        if elf.go {
            return Some(Refusal::Go);
        }
        match &elf.loader {
            None if known.is_none() => return Some(Refusal::Static),
            Some(loader) if !is_glibc_loader(loader) => {
                return Some(Refusal::Loader(String::from_utf8_lossy(loader).into_owned()));
            }
            _ => {}
        }
        privilege.secure(asker).map(Refusal::Secure)
    }
}

pub(crate) fn is_glibc_loader(path: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path)).file_name() == Path::new(LOADER).file_name()
}

/// The chain that executing `file` runs through. `path` is the value of `PATH`, for scripts of
/// `env`.
pub(crate) fn chain(file: &Path, path: Option<&OsStr>) -> Result<Vec<Link>, Failure> {
    let mut links = Vec::new();
    let mut next = vec![file.to_owned()];
    while let Some(file) = next.pop() {
        if links.len() > 2 * MAX_SCRIPTS {
            return Err(cannot_start(&links, &file, CANNOT_EXECUTE, "too many scripts one behind another"));
        }
        let link = inspect(&file).map_err(|error| {
            let status = if lookup::is_absence(&error) { NOT_FOUND } else { CANNOT_EXECUTE };
            cannot_start(&links, &file, status, &reason(&error))
        })?;
        match &link.kind {
            Kind::Script(interpreter) => {
                // Where env does not find its program, env is the one to say so.
                let by_env =
                    interpreter.by_env.as_ref().map(|name| lookup::find(OsStr::from_bytes(name), path));
                next.extend(by_env.and_then(Result::ok));
                next.push(interpreter.path.clone());
            }
            Kind::Unknown => next.push(SHELL.into()),
            Kind::Elf { .. } | Kind::Unreadable => {}
        }
        links.push(link);
    }
    Ok(links)
}

/// Refuses a program of which some part cannot be carried.
pub(crate) fn judge(links: &[Link], asker: &Asker) -> Result<(), Failure> {
    for link in links {
        if let Some(refusal) = link.refusal(asker) {
            let file = link.path.display();
            return Err(Failure::new(CANNOT_EXECUTE, format_args!("{file}: cannot be carried: {refusal}"))
                .hint(GUARD_HINT));
        }
    }
    Ok(())
}

/// Whether a loader that is not glibc's loads some part of it: it would fail on a library that is for glibc.
pub(crate) fn is_of_another_libc(links: &[Link]) -> bool {
    let loader = |link: &Link| match &link.kind {
        Kind::Elf { elf, .. } => elf.loader.clone(),
        _ => None,
    };
    links.iter().filter_map(loader).any(|loader| !is_glibc_loader(&loader))
}

/// Refuses a program that not even the guard tier can hold: it has no filter for its system calls, or would start
/// without the rights that make it what it is.
pub(crate) fn judge_for_guard(links: &[Link], asker: &Asker) -> Result<(), Failure> {
    for link in links {
        let refusal = match &link.kind {
            Kind::Elf { elf, .. } if elf.class != Class::Native => Refusal::Class(elf.class),
            Kind::Elf { elf, .. } if elf.machine != MACHINE => Refusal::Machine(elf.machine),
            Kind::Elf { privilege, .. } => match privilege.secure(asker) {
                Some(why) => Refusal::Secure(why),
                None => continue,
            },
            Kind::Unreadable => Refusal::Unreadable,
            Kind::Script(_) | Kind::Unknown => continue,
        };
        let file = link.path.display();
        let failure = Failure::new(CANNOT_EXECUTE, format_args!("{file}: cannot be carried: {refusal}"));
        return Err(match refusal {
            Refusal::Secure(_) => {
                failure.hint(format_args!("sudo underpass ... {file} carries it, started by root"))
            }
            _ => failure,
        });
    }
    Ok(())
}

fn cannot_start(links: &[Link], file: &Path, status: u8, why: &str) -> Failure {
    match links.first() {
        Some(first) => Failure::new(
            status,
            format_args!("{}: its interpreter {}: {why}", first.path.display(), file.display()),
        ),
        None => Failure::new(status, format_args!("{}: {why}", file.display())),
    }
}

fn inspect(path: &Path) -> io::Result<Link> {
    let link = |kind| Ok(Link { path: named(path), kind });
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return link(Kind::Unreadable),
        Err(error) => return Err(error),
    };
    if let Some(elf) = elf::read(&file) {
        let known = || match () {
            () if is_same_file(&found, LOADER) => Some(Known::Loader),
            () if is_same_file(&found, "/proc/self/exe") => Some(Known::Launcher),
            () => None,
        };
        let known = if elf.loader.is_none() { known() } else { None };
        return link(Kind::Elf { elf, privilege: Privilege::of(&file)?, known });
    }
    match script::read(&file.read(0, script::LINE)) {
        Some(interpreter) => link(Kind::Script(interpreter)),
        None => link(Kind::Unknown),
    }
}

/// What people know a file by: a descriptor says nothing to them. What has no name is called as it is.
fn named(path: &Path) -> PathBuf {
    let is_descriptor = ["/dev/fd/", "/proc/self/fd/"].iter().any(|folder| path.starts_with(folder));
    let real = if is_descriptor { path.canonicalize().ok() } else { None };
    real.unwrap_or_else(|| path.to_owned())
}

fn is_same_file(found: &fs::Metadata, other: &str) -> bool {
    fs::metadata(other).is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests;
