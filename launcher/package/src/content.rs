//! Which files underpass is installed as, whatever the package is.

use std::fs;
use std::path::Path;

use crate::{Failure, completions, manual, programs};

/// A file by its name, without a folder.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
}

/// What a file is, and so where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Program,
    Library,
    /// A man page of this section.
    Manual(char),
    Bash,
    Zsh,
    Fish,
    /// A unit of systemd for the machine.
    SystemUnit,
    /// A unit of systemd for a user.
    UserUnit,
    Document,
    Example,
    /// How others may use it.
    Licence,
    Changelog,
}

/// All files of a package, and what its description says.
pub(crate) struct Content {
    pub(crate) files: Vec<File>,
    pub(crate) version: &'static str,
    /// That of all files, in seconds since 1970.
    pub(crate) time: u64,
}

impl Content {
    /// Takes the programs from their folder, makes the pages, and takes the rest from the sources.
    pub(crate) fn gather(source: &Path, built: &Path, time: u64) -> Result<Self, Failure> {
        let mut files = pages(source, time)?;
        for (name, kind) in [
            (programs::LAUNCHER, Kind::Program),
            (programs::AGENT, Kind::Program),
            (programs::LIBRARY, Kind::Library),
        ] {
            files.push(read(&built.join(name), kind)?);
        }
        for (name, kind) in [
            ("README.md", Kind::Document),
            ("CHANGELOG.md", Kind::Changelog),
            ("LICENSE", Kind::Licence),
            ("LICENSE-APACHE", Kind::Licence),
            ("LICENSE-MIT", Kind::Licence),
        ] {
            files.push(read(&source.join(name), kind)?);
        }
        let docs = source.join("docs");
        files.extend(folder(
            &docs,
            |name| if name.ends_with(".md") { Kind::Document } else { Kind::Example },
        )?);
        for (name, kind) in [
            ("docs/ci", Kind::Example),
            ("tunnel-agent/units/system", Kind::SystemUnit),
            ("tunnel-agent/units/user", Kind::UserUnit),
        ] {
            let path = source.join(name);
            if path.is_dir() {
                files.extend(folder(&path, |_| kind)?);
            }
        }
        Ok(Self { files, version: env!("CARGO_PKG_VERSION"), time })
    }

    /// The bytes of the file of this kind and name; none, if there is none.
    pub(crate) fn bytes(&self, kind: Kind, name: &str) -> &[u8] {
        let found = self.files.iter().find(|file| file.kind == kind && file.name == name);
        found.map_or(&[], |file| &file.bytes)
    }
}

/// The man pages and the completions.
pub(crate) fn pages(source: &Path, time: u64) -> Result<Vec<File>, Failure> {
    let mut files = manual::pages(source, time)?;
    files.extend(completions::all());
    Ok(files)
}

/// The files of a folder, without those below it.
fn folder(path: &Path, kind: impl Fn(&str) -> Kind) -> Result<Vec<File>, Failure> {
    let fail = |error| Failure::of(path, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() {
            let kind = kind(&path.to_string_lossy());
            files.push(read(&path, kind)?);
        }
    }
    // The order of a folder is any.
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn read(path: &Path, kind: Kind) -> Result<File, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::of(path, &error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(File { name, kind, bytes })
}
