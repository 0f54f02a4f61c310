//! Programs that are executed by a descriptor: execveat(2), fexecve(3), and paths like `/dev/fd/5`. The launcher opens them by
//! the path that the kernel, too, gives them (`AT_EXECFN`, the word of an interpreter), so the descriptor must outlive its
//! exec; at the next one, of the program itself, the launcher has it closed if it would have been closed at this one.

use std::ffi::{CStr, c_int};
use std::io::Write;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use super::{LONGEST, is_there};

/// Where a process's descriptors are: the kernel's own name for it, and where that link leads.
const FOLDERS: [&CStr; 2] = [c"/dev/fd", c"/proc/self/fd"];
/// The launcher's option, and the digits of a number.
const ROOM: usize = 32;

/// For its flags alone, and at once.
fn borrowed(number: c_int) -> Option<BorrowedFd<'static>> {
    // SAFETY: not -1. Of a number that is not open the kernel says so (EBADF), and a flag is all that is ever changed.
    (number >= 0).then(|| unsafe { BorrowedFd::borrow_raw(number) })
}

fn flags(number: c_int) -> Option<FdFlags> {
    fcntl_getfd(borrowed(number)?).ok()
}

pub(super) fn is_open(number: c_int) -> bool {
    flags(number).is_some()
}

pub(super) fn is_closed_by_exec(number: c_int) -> bool {
    flags(number).is_some_and(|flags| flags.contains(FdFlags::CLOEXEC))
}

pub(super) fn is_link(path: &CStr) -> bool {
    rustix::fs::lstat(path).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

/// The path of a descriptor, or of what is below it; `None` if it is too long, or where there is no /proc.
pub(super) fn path<'b>(room: &'b mut [u8; LONGEST], directory: c_int, name: &[u8]) -> Option<&'b CStr> {
    let folder = FOLDERS.into_iter().find(|folder| is_there(folder))?;
    let mut rest = &mut room[..];
    rest.write_all(folder.to_bytes()).ok()?;
    write!(rest, "/{directory}").ok()?;
    if !name.is_empty() {
        rest.write_all(b"/").and_then(|()| rest.write_all(name)).ok()?;
    }
    CStr::from_bytes_until_nul(room).ok()
}

/// The descriptor by which a path begins.
fn number(path: &CStr) -> Option<c_int> {
    let path = path.to_bytes();
    let rest = FOLDERS.iter().find_map(|folder| path.strip_prefix(folder.to_bytes()))?.strip_prefix(b"/")?;
    let digits = rest.split(|&byte| byte == b'/').next()?;
    // A sign is no part of its name.
    digits.first().filter(|first| first.is_ascii_digit())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A descriptor that outlives an exec though it is to be closed there. If the exec fails, or was of a child with a table of its
/// own (posix_spawn(3)), it is as before.
pub(super) struct Kept {
    number: c_int,
    option: [u8; ROOM],
}

impl Kept {
    /// Of what a path begins with, if that needs it.
    pub(super) fn of(path: &CStr) -> Option<Self> {
        let number = number(path).filter(|&number| is_closed_by_exec(number))?;
        let mut option = [0; ROOM];
        write!(&mut option[..ROOM - 1], "--close-on-exec={number}").ok()?;
        set(number, FdFlags::empty());
        Some(Self { number, option })
    }

    /// What tells the launcher.
    pub(super) fn option(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.option).unwrap_or_default()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        set(self.number, FdFlags::CLOEXEC);
    }
}

fn set(number: c_int, flags: FdFlags) {
    if let Some(descriptor) = borrowed(number) {
        let _ = fcntl_setfd(descriptor, flags);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_path_begins_with_a_descriptor_or_not() {
        assert_eq!(number(c"/dev/fd/5"), Some(5));
        assert_eq!(number(c"/proc/self/fd/12/bin/sh"), Some(12));
        for other in [c"/dev/fd", c"/dev/fd/", c"/dev/fd/+5", c"/dev/fd/5x", c"/dev/fd5", c"/bin/sh", c""] {
            assert_eq!(number(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_path_of_a_descriptor_leads_to_its_file() {
        let file = std::fs::File::open("/bin/sh").unwrap();
        let mut room = [0; LONGEST];
        let path = path(&mut room, file.as_raw_fd(), b"").unwrap();
        assert_eq!(number(path), Some(file.as_raw_fd()));
        let (by_path, by_file) = (rustix::fs::stat(path).unwrap(), rustix::fs::fstat(&file).unwrap());
        assert_eq!((by_path.st_dev, by_path.st_ino), (by_file.st_dev, by_file.st_ino));
        assert!(super::path(&mut [0; LONGEST], 3, &[b'x'; LONGEST]).is_none());
    }

    #[test]
    fn a_descriptor_is_kept_for_the_time_of_the_exec() {
        let file = std::fs::File::open("/bin/sh").unwrap();
        let mut room = [0; LONGEST];
        let path = path(&mut room, file.as_raw_fd(), b"").unwrap();
        let kept = Kept::of(path).unwrap();
        assert_eq!(kept.option().to_str().unwrap(), format!("--close-on-exec={}", file.as_raw_fd()));
        assert!(!is_closed_by_exec(file.as_raw_fd()) && Kept::of(path).is_none());
        drop(kept);
        assert!(is_closed_by_exec(file.as_raw_fd()));
    }
}
