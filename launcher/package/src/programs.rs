//! The three programs of a package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::Failure;

pub(crate) const LAUNCHER: &str = "underpass";
pub(crate) const AGENT: &str = "underpass-agent";
pub(crate) const LIBRARY: &str = "libunderpass.so";

/// Rust's name of musl on this machine.
const MUSL: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };

/// Builds them from the sources; gives the folder that they are in. The launcher and the agent are static programs with
/// musl, if `musl`; the library is what glibc's programs load in any case.
///
/// It is a target directory of its own: no path of this machine is to be in the programs, and what says so to the
/// compiler would have the next ordinary build begin anew.
pub(crate) fn build(source: &Path, musl: bool) -> Result<PathBuf, Failure> {
    let source = source.canonicalize().map_err(|error| Failure::of(source, &error))?;
    let target = source.join("target/package-build");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    // The longer path counts where one is in the other: the last one that fits is taken.
    let mut places = vec![(source.clone(), "/usr/src/underpass")];
    places.extend(home.map(|home| (home, "/usr/src/cargo")));
    let mapped = |option: &str| {
        let pairs = places.iter().map(|(place, name)| format!("{option}={}={name}", place.display()));
        pairs.collect::<Vec<_>>()
    };
    let cargo = |packages: &[&str], options: &[&str]| {
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(source.join("Cargo.toml"))
            .args(packages.iter().flat_map(|package| ["-p", package]))
            .args(options)
            .arg("--target-dir")
            .arg(&target)
            // As cargo separates them, so that a path may hold a space.
            .env("CARGO_ENCODED_RUSTFLAGS", mapped("--remap-path-prefix").join("\x1f"))
            // What is written in C says its own file's name, too.
            .env("CFLAGS", mapped("-ffile-prefix-map").join(" "))
            .status();
        match built {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure(format!("cargo build: {status}"))),
            Err(error) => Err(Failure(format!("cargo cannot be started: {error}\nhint: https://rustup.rs"))),
        }
    };
    if !musl {
        cargo(&[LAUNCHER, AGENT, "underpass-preload"], &[])?;
        return Ok(target.join("release"));
    }
    cargo(&["underpass-preload"], &[])?;
    cargo(&[LAUNCHER, AGENT], &["--target", MUSL]).map_err(|Failure(why)| {
        Failure(format!("{why}\nhint: it needs musl-gcc (Debian: musl-tools), and rustup target add {MUSL}"))
    })?;
    let together = target.join("musl");
    let fail = |error| Failure::of(&together, &error);
    fs::create_dir_all(&together).map_err(fail)?;
    for (folder, name) in [(MUSL, LAUNCHER), (MUSL, AGENT), ("", LIBRARY)] {
        fs::copy(target.join(folder).join("release").join(name), together.join(name)).map_err(fail)?;
    }
    Ok(together)
}

/// The newest version of glibc that one of these programs asks for (`2.34`), if one asks for any.
///
/// Looked for in their text: a name that is there and not asked for makes the answer newer than needed, never older.
pub(crate) fn glibc<'a>(programs: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let found = programs.flat_map(|program| occurrences(program, b"GLIBC_"));
    let versions = found.filter_map(|rest| {
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(rest.len());
        let numbers = std::str::from_utf8(&rest[..end]).ok()?.split('.').map(str::parse);
        numbers.collect::<Result<Vec<u16>, _>>().ok()
    });
    let newest = versions.max()?;
    Some(newest.iter().map(u16::to_string).collect::<Vec<_>>().join("."))
}

/// Whether a program is linked with a shared library.
pub(crate) fn needs(program: &[u8], library: &str) -> bool {
    occurrences(program, library.as_bytes()).any(|rest| rest.first() == Some(&0))
}

/// What follows each place where these bytes are.
fn occurrences<'a>(text: &'a [u8], what: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    text.windows(what.len())
        .enumerate()
        .filter(move |(_, found)| *found == what)
        .map(move |(at, _)| &text[at + what.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_by_its_numbers() {
        let programs: [&[u8]; 2] = [b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_PRIVATE\0", b"\0GLIBC_2.2.5\0"];
        assert_eq!(glibc(programs.into_iter()), Some("2.34".to_owned()));
        assert_eq!(glibc([&b"no such thing GLIBC_"[..]].into_iter()), None);
    }

    #[test]
    fn a_library_is_needed_by_its_whole_name() {
        assert!(needs(b"\0libgcc_s.so.1\0", "libgcc_s.so.1"));
        assert!(!needs(b"\0libgcc_s.so.12\0", "libgcc_s.so.1"));
    }
}
