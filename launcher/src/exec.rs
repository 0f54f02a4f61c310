//! Becoming the program. The only unsafe code of the launcher is here.
//!
//! std's `Command::exec` will not do: it empties the signal mask and resets `SIGPIPE`, and the
//! program must see what we inherited.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::ptr;

use crate::program::SHELL;

unsafe extern "C" {
    /// environ(7)
    static environ: *const *const c_char;
}

/// Every entry of the environment, as it was inherited.
pub(crate) fn environment() -> Vec<&'static CStr> {
    let mut entries = Vec::new();
    // SAFETY: libc sets it before main, and nothing in the launcher changes the environment.
    let mut next = unsafe { environ };
    while !next.is_null() {
        // SAFETY: `next` points into the array, at its terminating null at the latest.
        let entry = unsafe { *next };
        if entry.is_null() {
            break;
        }
        // SAFETY: every entry is a string that lives as long as the process (see above).
        entries.push(unsafe { CStr::from_ptr(entry) });
        // SAFETY: the entry was not the terminating null, so another follows it.
        next = unsafe { next.add(1) };
    }
    entries
}

/// A descriptor that we were started with, if it is open. It is not closed while we run.
pub(crate) fn inherited_descriptor(number: RawFd) -> Option<BorrowedFd<'static>> {
    if number < 0 {
        return None;
    }
    // SAFETY: not -1. It is open unless the next call says that it is not, and nothing in the launcher closes
    // descriptors that it has not opened.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_getfd(descriptor).ok().map(|_| descriptor)
}

/// Executes `file` as execvp(3) does once it has found it: what the kernel does not know is given
/// to the shell. Returns only if that failed.
pub(crate) fn exec(
    file: &Path,
    name: &OsStr,
    arguments: &[OsString],
    environment: &[Cow<'_, CStr>],
) -> io::Error {
    let words = || arguments.iter().map(|word| word.as_os_str());
    match execve(file.as_os_str(), std::iter::once(name).chain(words()), environment) {
        error if error.raw_os_error() == Some(libc::ENOEXEC) => {
            let shell = OsStr::new(SHELL);
            execve(shell, [shell, file.as_os_str()].into_iter().chain(words()), environment)
        }
        error => error,
    }
}

fn execve<'a>(
    file: &OsStr,
    words: impl Iterator<Item = &'a OsStr>,
    environment: &[Cow<'_, CStr>],
) -> io::Error {
    let word = |word: &OsStr| CString::new(word.to_owned().into_vec());
    let (Ok(file), Ok(words)) = (word(file), words.map(word).collect::<Result<Vec<_>, _>>()) else {
        return io::ErrorKind::InvalidInput.into();
    };
    let words = terminated(words.iter().map(CString::as_c_str));
    let environment = terminated(environment.iter().map(|entry| &**entry));
    // SAFETY: all are strings that outlive the call, and both arrays end in a null pointer.
    unsafe { libc::execve(file.as_ptr(), words.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn terminated<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

#[cfg(not(test))]
mod entry {
    use std::ffi::{CStr, OsString, c_char, c_int};
    use std::os::unix::ffi::OsStringExt;

    /// The program's entry, in place of std's: std would ignore `SIGPIPE`, open closed standard
    /// descriptors and lose what was inherited. The words are taken here, because std knows them without its own
    /// entry only where libc is glibc.
    // SAFETY: the only symbol of this name, with the signature that libc's start-up code calls.
    #[unsafe(no_mangle)]
    extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
        let word = |at| {
            // SAFETY: libc passes `count` strings, which live as long as the process (execve(2)).
            let word = unsafe { CStr::from_ptr(*words.add(at)) };
            OsString::from_vec(word.to_bytes().to_vec())
        };
        crate::start((0..usize::try_from(count).unwrap_or(0)).map(word).collect()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_the_one_that_std_shows() {
        let ours = environment().iter().filter(|entry| entry.to_bytes().contains(&b'=')).count();
        assert_eq!(ours, std::env::vars_os().count());
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let error = exec(Path::new("/no/such/file"), OsStr::new("x"), &[], &[]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
