//! Finding the program as execvp(3) does, so that what is judged is what is executed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::messages::{CANNOT_EXECUTE, Failure, NOT_FOUND, reason};

/// What glibc searches where `PATH` is not set (confstr(3), `_CS_PATH`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that executing `name` executes. `path` is the value of `PATH`.
pub(crate) fn find(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Failure> {
    let shown = name.to_string_lossy();
    let not_found = || Failure::new(NOT_FOUND, format_args!("{shown}: command not found"));
    if name.is_empty() {
        return Err(not_found());
    }
    if name.as_bytes().contains(&b'/') {
        let file = PathBuf::from(name);
        return match executable(&file) {
            Ok(()) => Ok(file),
            Err(error) if is_absence(&error) => Err(not_found()),
            Err(error) => Err(not_executable(&shown, &file, &error)),
        };
    }
    let mut denied = None;
    for directory in path.unwrap_or(OsStr::new(DEFAULT_PATH)).as_bytes().split(|&byte| byte == b':') {
        // An empty entry is the current directory; a path is needed that execve takes as it is.
        let directory = if directory.is_empty() { b"." } else { directory };
        let file = Path::new(OsStr::from_bytes(directory)).join(name);
        match executable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                denied.get_or_insert((file, error));
            }
            Err(_) => {}
        }
    }
    match denied {
        Some((file, error)) => Err(not_executable(&shown, &file, &error)),
        None => Err(not_found()),
    }
}

/// What execve(2) asks of a file before it looks inside.
fn executable(file: &Path) -> io::Result<()> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS)?)
}

pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn not_executable(shown: &str, file: &Path, error: &io::Error) -> Failure {
    let why = match fs::metadata(file) {
        Ok(found) if found.is_dir() => "is a directory".to_owned(),
        _ => reason(error),
    };
    Failure::new(CANNOT_EXECUTE, format_args!("{shown}: cannot be executed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, path: &str) -> u8 {
        find(OsStr::new(name), Some(OsStr::new(path))).unwrap_err().status
    }

    #[test]
    fn a_name_is_searched_and_a_path_is_not() {
        let sh = |name: &str, path| find(OsStr::new(name), path).unwrap();
        assert_eq!(sh("sh", None), Path::new("/bin/sh"));
        assert_eq!(sh("sh", Some(OsStr::new("/nonexistent:/etc/passwd:/bin"))), Path::new("/bin/sh"));
        assert_eq!(sh("/bin/sh", Some(OsStr::new(""))), Path::new("/bin/sh"));
    }

    #[test]
    fn what_is_absent_is_127_and_what_cannot_be_executed_is_126() {
        assert_eq!(status("no-such-program", "/bin:/usr/bin"), 127);
        assert_eq!(status("", "/bin"), 127);
        assert_eq!(status("/nonexistent/sh", ""), 127);
        assert_eq!(status("/etc/passwd/sh", ""), 127);
        assert_eq!(status("/etc/passwd", ""), 126);
        assert_eq!(status("/etc", ""), 126);
        assert_eq!(status("passwd", "/etc"), 126);
    }

    #[test]
    fn a_file_that_cannot_be_executed_does_not_end_the_search() {
        let found = find(OsStr::new("true"), Some(OsStr::new("/etc/passwd:/:/bin"))).unwrap();
        assert_eq!(found, Path::new("/bin/true"));
    }
}
