//! Whether a program can load this library, as far as its file says (elf(5), execve(2)). The launcher judges the same at
//! more leisure; here nothing is allocated. What may not be executed, or is no program, is left to the kernel.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use underpass_core::privilege::{Asker, Privilege};

/// Scripts of scripts: the kernel ends the chain there.
const MAX_SCRIPTS: usize = 5;
/// How much of a script the kernel looks at (`BINPRM_BUF_SIZE`).
const LINE: usize = 256;
/// Section names are read in pieces, each with the end of the one before: an exec may run on a small stack.
const PIECE: usize = 512;
const OVERLAP: u64 = 32;
const MAX_PIECES: u64 = 64;
/// Program headers beyond this many are not looked at.
const MAX_SEGMENTS: u64 = 128;

/// Notes beyond this many are not looked at.
const MAX_NOTES: usize = 64;

const PT_INTERP: u64 = 3;
const PT_NOTE: u64 = 4;
/// Type of the note that Go's linker writes, with the name "Go".
const GO_BUILD_ID: u64 = 4;
const GLIBC: &[u8] =
    if cfg!(target_arch = "aarch64") { b"ld-linux-aarch64.so.1" } else { b"ld-linux-x86-64.so.2" };
/// The same by the ABI's path.
const LOADER: &CStr = if cfg!(target_arch = "aarch64") {
    c"/lib/ld-linux-aarch64.so.1"
} else {
    c"/lib64/ld-linux-x86-64.so.2"
};
const MACHINE: u64 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// Whether the kernel would start `path` as a program that cannot load us, or does not show whether it can. `except` is
/// a program that may be static all the same.
pub(crate) fn cannot_load(path: &CStr, except: &CStr) -> bool {
    let mut line;
    let mut next = path;
    for _ in 0..MAX_SCRIPTS {
        let file = match open(next) {
            Ok(Some(file)) => file,
            Ok(None) => return false,
            Err(Hidden) => return true,
        };
        let mut start = [0; LINE];
        let start = read(&file, 0, &mut start);
        if start.starts_with(b"\x7fELF") {
            let is_known = || is_loader(next) || [except, LOADER].iter().any(|other| is_same(&file, other));
            let is_foreign = || foreign(&file, start) && !is_known();
            return is_secure(&file) || is_foreign();
        }
        let Some(interpreter) = interpreter(start) else { return false };
        line = [0; LINE];
        let Some(room) = line.get_mut(..interpreter.len()) else { return false };
        room.copy_from_slice(interpreter);
        let Ok(path) = CStr::from_bytes_until_nul(&line) else { return false };
        next = path;
    }
    false
}

/// Whether the kernel would start this by the interpreter that it names.
pub(crate) fn is_script(path: &CStr) -> bool {
    let mut start = [0; 2];
    open(path).is_ok_and(|file| file.is_some_and(|file| read(&file, 0, &mut start) == b"#!"))
}

/// A file that may be executed and not read, or not now.
struct Hidden;

/// Opens what may be executed; whatever is wrong with a path is left for execve to say.
fn open(path: &CStr) -> Result<Option<OwnedFd>, Hidden> {
    if rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_err() {
        return Ok(None);
    }
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()) {
        Ok(file) => {
            let is_file = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
            Ok(rustix::fs::fstat(&file).is_ok_and(|found| is_file(found.st_mode)).then_some(file))
        }
        // It is gone, or never was a file.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
        // By its rights, or as the process has no descriptor left: the kernel would execute it all the same.
        Err(_) => Err(Hidden),
    }
}

/// Whether it is started with rights of its own, so that ld.so takes no library from us.
fn is_secure(file: &OwnedFd) -> bool {
    Privilege::of(file).is_ok_and(|privilege| privilege.secure(&Asker::this_process()).is_some())
}

fn read<'b>(file: &OwnedFd, at: u64, buffer: &'b mut [u8]) -> &'b [u8] {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, at.saturating_add(filled as u64)) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    buffer.get(..filled).unwrap_or_default()
}

/// The first word of `#!`.
fn interpreter(start: &[u8]) -> Option<&[u8]> {
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    line.split(|&byte| matches!(byte, b' ' | b'\t' | 0)).find(|word| !word.is_empty())
}

/// Whether an ELF file is static, of another C library or architecture, or Go's.
fn foreign(file: &OwnedFd, header: &[u8]) -> bool {
    // 64-bit and little-endian: the only one whose other fields are where we look for them.
    if header.get(4..6) != Some(&[2, 1]) || number(header, 18, 2) != Some(MACHINE) {
        return true;
    }
    let (Some(table), Some(entry), Some(count)) =
        (number(header, 32, 8), number(header, 54, 2), number(header, 56, 2))
    else {
        return false;
    };
    let (mut loaded, mut go) = (false, false);
    for i in 0..count.min(MAX_SEGMENTS) {
        let mut segment = [0; 56];
        let segment = read(file, table.saturating_add(i * entry), &mut segment);
        let at = number(segment, 8, 8).unwrap_or(0);
        match number(segment, 0, 4) {
            Some(PT_INTERP) => {
                let mut path = [0; LINE];
                let path = read(file, at, &mut path);
                let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
                loaded = path.rsplit(|&byte| byte == b'/').next() == Some(GLIBC);
            }
            Some(PT_NOTE) => go |= has_go_note(file, at, number(segment, 32, 8).unwrap_or(0)),
            _ => {}
        }
    }
    !loaded || go || is_go(file, header).unwrap_or(false)
}

/// Whether Go's note is among these, `length` bytes of a segment, which stays where the section headers were removed.
fn has_go_note(file: &OwnedFd, start: u64, length: u64) -> bool {
    let mut at = 0;
    for _ in 0..MAX_NOTES {
        let mut note = [0; 16];
        let note = read(file, start.saturating_add(at), &mut note);
        let (Some(name), Some(description), Some(kind)) =
            (number(note, 0, 4), number(note, 4, 4), number(note, 8, 4))
        else {
            return false;
        };
        if kind == GO_BUILD_ID && note.get(12..16) == Some(b"Go\0\0") {
            return true;
        }
        at += 12 + name.next_multiple_of(4) + description.next_multiple_of(4);
        if at >= length {
            return false;
        }
    }
    false
}

/// Go's own sections: it reaches the network without a C library, though it may have one.
fn is_go(file: &OwnedFd, header: &[u8]) -> Option<bool> {
    let (table, entry, index) = (number(header, 40, 8)?, number(header, 58, 2)?, number(header, 62, 2)?);
    let mut section = [0; 64];
    let section = read(file, table.checked_add(entry * index)?, &mut section);
    let (names, length) = (number(section, 24, 8)?, number(section, 32, 8)?);
    let step = PIECE as u64 - OVERLAP;
    let mut pieces = (0..length.div_ceil(step).min(MAX_PIECES)).map(|i| names.saturating_add(i * step));
    Some(pieces.any(|at| {
        let mut piece = [0; PIECE];
        let mut names = read(file, at, &mut piece).split(|&byte| byte == 0);
        names.any(|name| matches!(name, b".go.buildinfo" | b".note.go.buildid"))
    }))
}

fn is_same(file: &OwnedFd, other: &CStr) -> bool {
    let (Ok(file), Ok(other)) = (rustix::fs::fstat(file), rustix::fs::stat(other)) else { return false };
    (file.st_dev, file.st_ino) == (other.st_dev, other.st_ino)
}

/// glibc's loader as a program: it loads us into what it is given.
fn is_loader(path: &CStr) -> bool {
    path.to_bytes().rsplit(|&byte| byte == b'/').next().is_some_and(|name| name == GLIBC)
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_by_glibc_loads_us() {
        assert!(!cannot_load(c"/bin/sh", c"/"));
        assert!(!cannot_load(c"/etc/hosts", c"/"));
        assert!(!cannot_load(c"/no/such/file", c"/"));
        assert!(!cannot_load(c"/lib64/ld-linux-x86-64.so.2", c"/"));
    }

    #[test]
    fn a_static_program_does_not_unless_it_is_the_exception() {
        // Static wherever glibc comes from Debian.
        assert!(cannot_load(c"/sbin/ldconfig", c"/"));
        assert!(!cannot_load(c"/sbin/ldconfig", c"/sbin/ldconfig"));
    }

    /// Of a program of this machine Go's note is made, and its section headers are taken away.
    #[test]
    fn what_go_has_linked_is_known_by_its_note_alone() {
        let mut bytes = std::fs::read("/bin/true").unwrap();
        for field in [40..48, 58..64] {
            bytes[field].fill(0);
        }
        let path = std::env::temp_dir().join(format!("underpass-note.{}", std::process::id()));
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let judged = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let judged = cannot_load(&name, c"/");
            std::fs::remove_file(&path).unwrap();
            judged
        };
        assert!(!judged(&bytes));
        // The note of the linker's build ID: name and description of 4 and 20 bytes, type 3.
        let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
        let at = bytes.windows(note.len()).position(|window| window == note).unwrap();
        bytes[at + 8] = 4;
        bytes[at + 12..at + 16].copy_from_slice(b"Go\0\0");
        assert!(judged(&bytes));
    }

    #[test]
    fn the_interpreter_is_the_first_word() {
        assert_eq!(interpreter(b"#! \t/bin/sh -e x\n"), Some(&b"/bin/sh"[..]));
        assert_eq!(interpreter(b"#!\n/bin/sh"), None);
        assert_eq!(interpreter(b"echo"), None);
    }
}
