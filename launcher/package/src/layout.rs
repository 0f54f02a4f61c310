//! Where a package has each file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::archive::{Entry, gzip, tar};
use crate::content::{Content, File, Kind};

/// Debian's multiarch folder for the machine that this was built for, as the launcher looks for it
/// (`launcher/src/library.rs`).
pub(crate) const TRIPLET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-linux-gnu" } else { "x86_64-linux-gnu" };

/// As Debian's policy has it: below `/usr`, and documents compressed where it says so.
pub(crate) fn debian(content: &Content) -> Result<Vec<Entry>, Failure> {
    let documents = "usr/share/doc/underpass";
    let mut entries = Vec::new();
    for File { name, kind, bytes } in &content.files {
        let (path, compressed) = match kind {
            // The page of another package may have the same name in another section; ours are named by section.
            Kind::Manual(section) => (format!("usr/share/man/man{section}/{name}.gz"), true),
            Kind::Library => (format!("usr/lib/{TRIPLET}/underpass/{name}"), false),
            Kind::SystemUnit => (format!("usr/lib/systemd/system/{name}"), false),
            Kind::UserUnit => (format!("usr/lib/systemd/user/{name}"), false),
            Kind::Changelog => (format!("{documents}/changelog.gz"), true),
            // Debian has one file for all of them: copyright.
            Kind::Licence => continue,
            Kind::Zsh => (format!("usr/share/zsh/vendor-completions/{name}"), false),
            Kind::Example => (format!("{documents}/examples/{name}"), false),
            Kind::Document => (format!("{documents}/{name}"), false),
            Kind::Program => (format!("usr/bin/{name}"), false),
            Kind::Bash => (format!("usr/share/bash-completion/completions/{name}"), false),
            Kind::Fish => (format!("usr/share/fish/vendor_completions.d/{name}"), false),
        };
        let bytes = if compressed { squeezed(bytes)? } else { bytes.clone() };
        entries.push(Entry { path, mode: mode(*kind), bytes });
    }
    Ok(entries)
}

/// A tarball for any prefix; gives its path. `kind` ends its name.
pub(crate) fn tarball(content: &Content, out: &Path, kind: &str) -> Result<PathBuf, Failure> {
    let name = format!("underpass-{}-{}-linux{kind}", content.version, std::env::consts::ARCH);
    let mut entries = Vec::new();
    for File { name: file, kind, bytes } in &content.files {
        let below = match kind {
            Kind::Program => "bin/".to_owned(),
            Kind::Library => "lib/underpass/".to_owned(),
            Kind::SystemUnit => "lib/systemd/system/".to_owned(),
            Kind::UserUnit => "lib/systemd/user/".to_owned(),
            Kind::Manual(section) => format!("share/man/man{section}/"),
            Kind::Bash => "share/bash-completion/completions/".to_owned(),
            Kind::Zsh => "share/zsh/site-functions/".to_owned(),
            Kind::Fish => "share/fish/vendor_completions.d/".to_owned(),
            Kind::Document => "share/doc/underpass/".to_owned(),
            Kind::Example => "share/doc/underpass/examples/".to_owned(),
            Kind::Licence | Kind::Changelog => String::new(),
        };
        entries.push(Entry { path: format!("{below}{file}"), mode: mode(*kind), bytes: bytes.clone() });
    }
    let path = out.join(format!("{name}.tar.gz"));
    let fail = |error| Failure::of(&path, &error);
    let whole = tar(entries, &format!("{name}/"), content.time).and_then(|tar| gzip(&tar)).map_err(fail)?;
    fs::write(&path, whole).map_err(fail)?;
    Ok(path)
}

fn squeezed(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    gzip(bytes).map_err(|error| Failure(format!("gzip: {error}")))
}

fn mode(kind: Kind) -> u32 {
    if kind == Kind::Program { 0o755 } else { 0o644 }
}
