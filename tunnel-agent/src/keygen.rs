//! `underpass-agent keygen`: makes a key, and says what the other side has to know of it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::tls::key::made::Made;
use crate::tls::key::{certificate_path, default_client_key};

/// Makes a relay's key or a client's, at `out` or where one is looked for. Nothing is overwritten, and no part of the
/// key is shown.
pub(crate) fn run(is_relay: bool, out: Option<PathBuf>, mut names: Vec<String>) -> Result<(), String> {
    let path = match out {
        Some(path) => path,
        None => default_path(is_relay).ok_or("there is no home directory to put a key into; use --out")?,
    };
    if is_relay && names.is_empty() {
        names.push(host_name());
    }
    if let Some(odd) = names.iter().find(|name| !is_plain(name)) {
        return Err(format!("--name {odd:?}: letters, digits and - . _ : @ are what a name may have"));
    }
    let made = Made::new(if is_relay { &names } else { &[] })?;
    let pin = made.identity()?.pin();
    made.write(&path).map_err(|error| error.to_string())?;
    let mut said = String::new();
    let _ = writeln!(said, "Key:          {}", path.display());
    let _ = writeln!(said, "Certificate:  {}", certificate_path(&path).display());
    let _ = writeln!(said, "Pin:          {pin}\n");
    if is_relay {
        let _ = writeln!(said, "Clients reach this relay by (443 stands for the port that it listens on):\n");
        for name in &names {
            let _ = writeln!(said, "relay://{}:443?pin={pin}", in_url(name));
        }
    } else {
        let name = names.first().map_or("client", String::as_str);
        let _ =
            writeln!(said, "A relay that is to serve this client has this line in its authorized keys:\n");
        let _ = writeln!(said, "{pin} {name}");
    }
    std::io::stdout().write_all(said.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

fn default_path(relay: bool) -> Option<PathBuf> {
    if !relay {
        return default_client_key();
    }
    match rustix::process::geteuid().is_root() {
        true => Some(Path::new("/etc/underpass/relay.key").to_owned()),
        false => default_client_key().map(|client| client.with_file_name("relay.key")),
    }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if is_plain(&name) { name } else { "localhost".to_owned() }
}

/// What needs no escape in a URL, in a certificate, or in the file of the authorized keys.
fn is_plain(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:@".contains(&b))
}

fn in_url(name: &str) -> String {
    match name.parse() {
        Ok(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
        _ => name.to_owned(),
    }
}
