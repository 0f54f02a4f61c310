//! Where execvp(3) looks for a name: in one entry of PATH after another, until one is executed. What the kernel refuses for a
//! reason of that file alone (EACCES, ENOENT …) is passed over, so each that may come to be executed is judged, and not
//! the first alone.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::slice::Split;

use libc::{EACCES, ENODEV, ENOENT, ENOTDIR, ESTALE, ETIMEDOUT, c_int};
use rustix::fs::{Access, AtFlags, CWD, FileType, accessat};

use super::LONGEST;
use crate::{errno, variables};

/// Without PATH (execvp(3), confstr(3)).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The kernel takes no longer path, nor a longer name (limits.h: `PATH_MAX`, `NAME_MAX`).
const PATH_MAX: usize = libc::PATH_MAX as usize;
const NAME_MAX: usize = 255;

fn path() -> &'static [u8] {
    variables::variable(b"PATH").unwrap_or(DEFAULT_PATH)
}

/// Calls `search` with room for each path that the kernel takes. An exec may run on a small stack: more is taken where libc,
/// too, takes as much as PATH is long.
pub(super) fn with_room<T>(search: impl FnOnce(&mut [u8]) -> T) -> T {
    if path().len() + NAME_MAX + 2 <= LONGEST { search(&mut [0; LONGEST]) } else { with_much(search) }
}

#[inline(never)]
fn with_much<T>(search: impl FnOnce(&mut [u8]) -> T) -> T {
    search(&mut [0; PATH_MAX])
}

/// One entry of PATH, with the name.
pub(super) enum Candidate<'a> {
    /// A file that may be executed.
    File(&'a CStr),
    /// Longer than any that the kernel takes: it is ENAMETOOLONG, or passed over, as libc has it.
    TooLong,
}

/// The candidates, in their order.
pub(super) struct Search<'a> {
    entries: Split<'static, u8, fn(&u8) -> bool>,
    name: &'a [u8],
    elsewhere: bool,
    room: &'a mut [u8],
    /// Which file the last one was: `/bin` is `/usr/bin` by now.
    last: Option<(u64, u64)>,
}

impl<'a> Search<'a> {
    /// `elsewhere`: it is started in another folder, where a relative path is another file. Nobody knows which.
    pub(super) fn new(name: &'a [u8], elsewhere: bool, room: &'a mut [u8]) -> Self {
        Self { entries: path().split(|&byte| byte == b':'), name, elsewhere, room, last: None }
    }

    /// The next one; what is no file that may be executed is passed over, as by libc, and so is the same file once more.
    pub(super) fn next(&mut self) -> Option<Candidate<'_>> {
        loop {
            let entry = self.entries.next()?;
            let entry = if entry.is_empty() { b"." } else { entry };
            if self.elsewhere && !entry.starts_with(b"/") {
                continue;
            }
            let Some(path) = joined(self.room, entry, self.name) else { return Some(Candidate::TooLong) };
            let file = executable(path);
            if file.is_some() && file != self.last {
                self.last = file;
                break;
            }
        }
        CStr::from_bytes_until_nul(self.room).ok().map(Candidate::File)
    }
}

/// Which file it is, by device and number, if it may be executed as far as execve(2) asks before it looks inside. A directory may
/// be searched, which is the same right.
fn executable(path: &CStr) -> Option<(u64, u64)> {
    let found = rustix::fs::stat(path).ok()?;
    let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    let may_be = || accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok();
    (is_file && may_be()).then_some((found.st_dev, found.st_ino))
}

/// Whether libc tries the next entry after this answer of execve(2), which is −1 and errno, or of posix_spawn(3).
pub(super) fn goes_on(said: c_int) -> bool {
    let why = if said == -1 { errno::get() } else { said };
    matches!(why, EACCES | ENOENT | ESTALE | ENOTDIR | ENODEV | ETIMEDOUT)
}

/// `folder/name` as a C string; `None` if it is too long.
fn joined<'b>(room: &'b mut [u8], folder: &[u8], name: &[u8]) -> Option<&'b CStr> {
    let mut at = 0;
    for part in [folder, b"/", name, b"\0"] {
        room.get_mut(at..at + part.len())?.copy_from_slice(part);
        at += part.len();
    }
    CStr::from_bytes_with_nul(room.get(..at)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_fit_is_none() {
        let mut room = [0; 8];
        assert_eq!(joined(&mut room, b"/bin", b"sh"), Some(c"/bin/sh"));
        assert_eq!(joined(&mut room, b"/bin", b"ash"), None);
        assert_eq!(
            joined(&mut [0; PATH_MAX], &[b'x'; PATH_MAX - 3], b"s").map(CStr::count_bytes),
            Some(PATH_MAX - 1)
        );
    }

    #[test]
    fn a_folder_is_not_executed_nor_is_what_is_not_there() {
        assert!(executable(c"/bin/sh").is_some());
        for other in [c"/bin", c"/etc/passwd", c"/no/such/file", c"/dev/null"] {
            assert!(executable(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn libc_passes_over_what_is_wrong_with_one_file() {
        for said in [ENOENT, EACCES] {
            errno::set(said);
            assert!(goes_on(-1) && goes_on(said));
        }
        errno::set(libc::E2BIG);
        assert!(!goes_on(-1) && !goes_on(libc::ENOMEM) && !goes_on(0));
    }
}
