//! The first line of a script, as the kernel reads it (execve(2), fs/binfmt_script.c).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How much of the file the kernel looks at (`BINPRM_BUF_SIZE`).
pub(crate) const LINE: usize = 256;

/// Who runs a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Not searched in `PATH`.
    pub(crate) path: PathBuf,
    /// Where the interpreter is `env`: the program that it will look for in `PATH`.
    pub(crate) by_env: Option<Vec<u8>>,
}

/// Reads the beginning of a file; `None` where it is no script that the kernel would start.
pub(crate) fn read(start: &[u8]) -> Option<Interpreter> {
    let start = start.get(..LINE).unwrap_or(start).strip_prefix(b"#!")?;
    let line = start.split(|&byte| byte == b'\n').next()?;
    let mut words =
        line.split(|&byte| matches!(byte, b' ' | b'\t' | 0)).filter(|word: &&[u8]| !word.is_empty());
    let path = PathBuf::from(OsStr::from_bytes(words.next()?));
    let is_env = path.file_name() == Some(OsStr::new("env"));
    let by_env = is_env.then(|| words.find(is_program)).flatten();
    Some(Interpreter { path, by_env: by_env.map(<[u8]>::to_vec) })
}

/// Neither an option of env nor a variable that it sets.
fn is_program(word: &&[u8]) -> bool {
    !word.starts_with(b"-") && !word.contains(&b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(path: &str, by_env: Option<&str>) -> Option<Interpreter> {
        Some(Interpreter { path: path.into(), by_env: by_env.map(|name| name.as_bytes().to_vec()) })
    }

    #[test]
    fn the_interpreter_is_the_first_word() {
        assert_eq!(read(b"#!/bin/sh\nexit\n"), interpreter("/bin/sh", None));
        assert_eq!(read(b"#! \t/bin/sh -e x\n"), interpreter("/bin/sh", None));
        assert_eq!(read(b"#!/bin/sh"), interpreter("/bin/sh", None));
        assert_eq!(read(b"#!relative/sh\r\n"), interpreter("relative/sh\r", None));
    }

    #[test]
    fn env_names_the_program_that_it_will_start() {
        assert_eq!(read(b"#!/usr/bin/env python3\n"), interpreter("/usr/bin/env", Some("python3")));
        assert_eq!(read(b"#!/usr/bin/env -S A=b deno run\n"), interpreter("/usr/bin/env", Some("deno")));
        assert_eq!(read(b"#!/usr/bin/env\n"), interpreter("/usr/bin/env", None));
    }

    #[test]
    fn what_is_no_script_is_none() {
        for bytes in [&b""[..], b"#", b"#!", b"#! \n/bin/sh", b"echo", b" #!/bin/sh", b"\x7fELF"] {
            assert_eq!(read(bytes), None);
        }
    }
}
