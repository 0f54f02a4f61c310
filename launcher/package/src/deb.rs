//! A Debian package (deb(5)): what it is (`control`), its files' checksums, and the files.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use crate::archive::{Entry, gzip, tar};
use crate::content::{Content, Kind};
use crate::{Failure, layout, programs, time};

/// Debian's name of the architecture that this was built for.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// Makes the package; gives its path.
pub(crate) fn make(content: &Content, out: &Path) -> Result<PathBuf, Failure> {
    let mut files = layout::debian(content)?;
    files.push(Entry {
        path: "usr/share/doc/underpass/copyright".to_owned(),
        mode: 0o644,
        bytes: copyright(content).into_bytes(),
    });
    files.push(Entry {
        path: "usr/share/doc/underpass/changelog.Debian.gz".to_owned(),
        mode: 0o644,
        bytes: gzip(changelog(content).as_bytes()).map_err(|error| Failure(format!("gzip: {error}")))?,
    });
    let path = out.join(format!("underpass_{}_{ARCHITECTURE}.deb", content.version));
    let fail = |error| Failure::of(&path, &error);
    let whole = assemble(content, files).map_err(fail)?;
    fs::write(&path, whole).map_err(fail)?;
    Ok(path)
}

/// Three members, in this order.
fn assemble(content: &Content, files: Vec<Entry>) -> io::Result<Vec<u8>> {
    let mut about = vec![
        Entry { path: "control".to_owned(), mode: 0o644, bytes: control(content, &files).into_bytes() },
        Entry { path: "md5sums".to_owned(), mode: 0o644, bytes: checksums(&files).into_bytes() },
    ];
    for (name, text) in scripts(content) {
        about.push(Entry { path: name.to_owned(), mode: 0o755, bytes: text.into_bytes() });
    }
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&tar(about, "./", content.time)?)?),
        ("data.tar.gz", gzip(&tar(files, "./", content.time)?)?),
    ];
    let mut archive = ar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mtime(content.time);
        header.set_mode(0o100_644);
        archive.append(&header, &bytes[..])?;
    }
    archive.into_inner()
}

fn control(content: &Content, files: &[Entry]) -> String {
    let kib: usize = files.iter().map(|file| file.bytes.len().div_ceil(1024)).sum();
    format!(
        "Package: underpass\n\
         Version: {}\n\
         Architecture: {ARCHITECTURE}\n\
         Maintainer: {}\n\
         Installed-Size: {kib}\n\
         Depends: {}\n\
         Recommends: ca-certificates\n\
         Suggests: bash-completion, openssh-client\n\
         Section: net\n\
         Priority: optional\n\
         Description: run any program, unmodified, through proxies and encrypted relays\n \
         underpass COMMAND carries the TCP connections, datagrams and host names of a\n \
         program through SOCKS and HTTP proxies, ssh, chains of them, or encrypted relays\n \
         of its own. The program keeps its own socket; what cannot be carried fails, and\n \
         programs that cannot load the library are held by the kernel.\n",
        content.version,
        maintainer(),
        depends(content),
    )
}

/// As Debian's tools are told who packages.
fn maintainer() -> String {
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = said("DEBFULLNAME").unwrap_or_else(|| "The underpass developers".to_owned());
    let address = said("DEBEMAIL").unwrap_or_else(|| "underpass@localhost".to_owned());
    format!("{name} <{address}>")
}

/// What the programs are linked with. The launcher is linked statically as a rule.
fn depends(content: &Content) -> String {
    let linked = [
        content.bytes(Kind::Program, programs::AGENT),
        content.bytes(Kind::Program, programs::LAUNCHER),
        content.bytes(Kind::Library, programs::LIBRARY),
    ];
    let dynamic = || linked.iter().filter(|program| programs::needs(program, "libc.so.6"));
    let mut packages = Vec::new();
    if let Some(version) = programs::glibc(dynamic().copied()) {
        packages.push(format!("libc6 (>= {version})"));
    }
    if dynamic().any(|program| programs::needs(program, "libgcc_s.so.1")) {
        packages.push("libgcc-s1".to_owned());
    }
    packages.join(", ")
}

fn checksums(files: &[Entry]) -> String {
    let mut sorted: Vec<&Entry> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut text = String::new();
    for file in sorted {
        for byte in Md5::digest(&file.bytes) {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = writeln!(text, "  {}", file.path);
    }
    text
}

/// They start nothing and create nothing: a unit is enabled by whoever wants it. Removal stops and disables what was
/// enabled, and purging takes away what root's agents keep while they run. Keys and configurations in
/// `/etc/underpass` are not the package's. `DPKG_ROOT` is set where the package goes into another root than this one.
fn scripts(content: &Content) -> Vec<(&'static str, String)> {
    let of_system = content.files.iter().filter(|file| file.kind == Kind::SystemUnit);
    let units: Vec<&str> = of_system.map(|file| &*file.name).collect();
    let purge = "#!/bin/sh\nset -e\nif [ \"$1\" = purge ]; then\n  rm -rf \"$DPKG_ROOT/run/underpass\"\nfi\n";
    if units.is_empty() {
        return vec![("postrm", purge.to_owned())];
    }
    let runs = "[ -z \"$DPKG_ROOT\" ] && [ -d /run/systemd/system ]";
    let reload = format!("if {runs}; then\n  systemctl daemon-reload || true\nfi\n");
    // A template runs as its instances, which a pattern finds.
    let all: Vec<String> = units.iter().map(|unit| format!("'{}'", unit.replace("@.", "@*."))).collect();
    let plain: Vec<&str> = units.iter().filter(|unit| !unit.contains("@.")).copied().collect();
    let stop = format!(
        "#!/bin/sh\nset -e\nif [ \"$1\" = remove ] && {runs}; then\n  systemctl stop {} || true\n  \
         systemctl --no-reload disable {} || true\nfi\n",
        all.join(" "),
        plain.join(" ")
    );
    vec![
        ("postinst", format!("#!/bin/sh\nset -e\n{reload}")),
        ("prerm", stop),
        ("postrm", format!("{purge}{reload}")),
    ]
}

/// <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>
fn copyright(content: &Content) -> String {
    let mit = String::from_utf8_lossy(content.bytes(Kind::Licence, "LICENSE-MIT"));
    let (holders, terms): (Vec<&str>, Vec<&str>) =
        mit.lines().skip(1).partition(|line| line.starts_with("Copyright"));
    let holders: Vec<_> = holders.iter().map(|line| line.trim_start_matches("Copyright (c) ")).collect();
    let terms = terms.join("\n");
    let terms = terms
        .trim()
        .lines()
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") });
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: underpass\n\n\
         Files: *\n\
         Copyright: {}\n\
         License: Apache-2.0 or Expat\n\n\
         License: Apache-2.0\n \
         On Debian systems the text of the Apache License, version 2.0, is in\n \
         /usr/share/common-licenses/Apache-2.0.\n\n\
         License: Expat\n{}",
        holders.join("\n "),
        terms.collect::<String>(),
    )
}

fn changelog(content: &Content) -> String {
    format!(
        "underpass ({}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {}  {}\n",
        content.version,
        maintainer(),
        time::rfc5322(content.time)
    )
}
