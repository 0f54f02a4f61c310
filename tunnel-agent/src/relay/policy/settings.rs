//! `relay.toml`. `docs/relay-configuration.md` is its description for people.
//!
//! Read with the same code as the configuration of chains: an unknown key, a wrong type and an empty list are
//! errors with their place and the nearest word.

mod audit;
mod expose;
pub(crate) mod limits;
mod rule;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use underpass_core::config::ConfigError;
use underpass_core::config::file::metrics;
use underpass_core::config::metrics::Metrics;
use underpass_core::config::problem::unknown;
use underpass_core::config::reader::{Entry, Reader};

use super::audit::Audit;
use super::exposing::Exposing;
use super::rules::Rule;
pub(crate) use limits::RelayLimits;

const KEYS: [&str; 15] = [
    "listen",
    "key",
    "certificate",
    "authorized-keys",
    "tokens",
    "anonymous",
    "name",
    "resolver",
    "allow-udp",
    "own-addresses",
    "limits",
    "audit",
    "rule",
    "expose",
    "metrics",
];

/// Names the directory of the credentials that a service manager passes.
pub(crate) const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// At least one.
    pub(crate) listen: Vec<Listen>,
    pub(crate) key: PathBuf,
    pub(crate) certificate: PathBuf,
    /// Files of clients by their keys.
    pub(crate) authorized_keys: Vec<PathBuf>,
    /// Files of clients by their tokens; without one, no token is asked for.
    pub(crate) tokens: Vec<PathBuf>,
    /// Whether nobody is asked who they are.
    pub(crate) anonymous: bool,
    /// What the relay calls itself in `Proxy-Status`.
    pub(crate) name: String,
    pub(crate) resolver: Resolver,
    pub(crate) udp: bool,
    /// Addresses that are this machine's though no interface has them.
    pub(crate) own: Vec<IpAddr>,
    pub(crate) limits: RelayLimits,
    pub(crate) audit: Audit,
    pub(crate) rules: Vec<Rule>,
    /// Who may listen here; nobody without one.
    pub(crate) exposing: Vec<Exposing>,
    /// Where metrics are served.
    pub(crate) metrics: Option<Metrics>,
}

/// Where a relay listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Address(SocketAddr),
    /// At the sockets that systemd has opened (sd_listen_fds(3)).
    Inherited,
}

/// Who resolves names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Resolver {
    /// As every program of this machine has it: getaddrinfo(3).
    #[default]
    System,
}

/// Reads a configuration. `file` names it in errors; paths in it begin at `folder`.
pub(crate) fn parse(text: &str, file: &str, folder: &Path) -> Result<Settings, ConfigError> {
    let reader = Reader::new(text, file);
    let document = reader.document()?;
    let mut root = reader.root(&document, &KEYS)?;
    let path = |reader: &Reader<'_>, entry: &Entry<'_>| path(reader, entry, folder);
    let secret = |reader: &Reader<'_>, entry: &Entry<'_>| secret(reader, entry, folder);
    let Some(listen) = root.take("listen") else {
        return Err(ConfigError::whole(file, "no listen: write listen = \"ADDRESS:PORT\""));
    };
    let Some(key) = root.take("key") else {
        return Err(ConfigError::whole(
            file,
            "no key: write key = \"PATH\"; underpass-agent keygen makes one",
        ));
    };
    let key = secret(&reader, &key)?;
    let certificate = root.take("certificate").map(|entry| secret(&reader, &entry)).transpose()?;
    let anonymous = root.take("anonymous");
    let mut settings = Settings {
        listen: reader.list(Some(listen), listen_at)?,
        certificate: certificate.unwrap_or_else(|| beside(&key)),
        key,
        authorized_keys: reader.list(root.take("authorized-keys"), path)?,
        tokens: reader.list(root.take("tokens"), path)?,
        anonymous: anonymous.map_or(Ok(false), |entry| reader.boolean(&entry))?,
        name: root.take("name").map_or(Ok("underpass".to_owned()), |entry| name(&reader, &entry))?,
        resolver: match root.take("resolver") {
            Some(entry) => reader.word(&entry, &[("system", Resolver::System)])?,
            None => Resolver::default(),
        },
        udp: root.take("allow-udp").map_or(Ok(false), |entry| reader.boolean(&entry))?,
        own: reader.list(root.take("own-addresses"), address)?,
        limits: limits::limits(&reader, root.take("limits"))?,
        audit: audit::audit(&reader, root.take("audit"), folder)?,
        rules: Vec::new(),
        exposing: Vec::new(),
        metrics: root.take("metrics").map(|entry| metrics(&reader, &entry)).transpose()?,
    };
    if let Some(list) = root.take("rule") {
        settings.rules = rule::rules(&reader, &list)?;
    }
    if let Some(list) = root.take("expose") {
        settings.exposing = expose::exposing(&reader, &list)?;
    }
    let known = !settings.authorized_keys.is_empty() || !settings.tokens.is_empty();
    match anonymous.filter(|_| settings.anonymous) {
        Some(entry) if known => {
            reader.fail(entry.key_at, "anonymous, and clients that are known: nobody is asked for a key")
        }
        Some(entry) if !settings.listens_on_loopback_alone() => {
            reader.fail(entry.key_at, "anonymous is for a relay that listens on loopback addresses alone")
        }
        None if !known => Err(ConfigError::whole(
            file,
            "no client is known, and a relay is not for everybody: write authorized-keys = \"PATH\"",
        )),
        _ => Ok(settings),
    }
}

impl Settings {
    /// What an inherited socket listens at is not known here, and so may be anything.
    fn listens_on_loopback_alone(&self) -> bool {
        let loopback =
            |listen: &Listen| matches!(listen, Listen::Address(at) if at.ip().to_canonical().is_loopback());
        self.listen.iter().all(loopback)
    }
}

/// `relay.key` has its certificate in `relay.key.crt`, as keygen writes it.
fn beside(key: &Path) -> PathBuf {
    let mut certificate = key.as_os_str().to_owned();
    certificate.push(".crt");
    certificate.into()
}

fn listen_at(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Listen, ConfigError> {
    let text = reader.string(entry)?;
    match text {
        "systemd" => Ok(Listen::Inherited),
        _ if text.contains(':') => text
            .parse()
            .map(Listen::Address)
            .or_else(|_| reader.fail(entry.at, "listen is ADDRESS:PORT, as 192.0.2.1:443 or [::]:443")),
        _ => reader.fail(entry.at, unknown("listen", text, ["systemd", "ADDRESS:PORT"])),
    }
}

fn path(reader: &Reader<'_>, entry: &Entry<'_>, folder: &Path) -> Result<PathBuf, ConfigError> {
    let text = reader.string(entry)?;
    match text.is_empty() || text.contains('\0') {
        true => reader.fail(entry.at, format!("{} is a path", entry.key)),
        false => Ok(folder.join(text)),
    }
}

/// A path, or `credential:NAME`, which a service manager passes (systemd.exec(5), LoadCredential).
fn secret(reader: &Reader<'_>, entry: &Entry<'_>, folder: &Path) -> Result<PathBuf, ConfigError> {
    let Some(name) = reader.string(entry)?.strip_prefix("credential:") else {
        return path(reader, entry, folder);
    };
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return reader.fail(entry.at, format!("{} is credential:NAME, as credential:relay.key", entry.key));
    }
    match std::env::var_os(CREDENTIALS) {
        Some(passed) => Ok(Path::new(&passed).join(name)),
        None => reader.fail(
            entry.at,
            format!("no credentials were passed ({CREDENTIALS}); the unit needs LoadCredential={name}:PATH"),
        ),
    }
}

fn address(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<IpAddr, ConfigError> {
    let text = reader.string(entry)?;
    text.parse().or_else(|_| reader.fail(entry.at, format!("{} is an address, as 192.0.2.1", entry.key)))
}

/// A token or a string of RFC 8941 without escapes.
fn name(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<String, ConfigError> {
    let text = reader.string(entry)?;
    let odd = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
    match text.is_empty() || text.len() > 64 || text.contains(odd) {
        true => reader.fail(entry.at, "a name is 1 to 64 letters, digits, - _ and ."),
        false => Ok(text.to_owned()),
    }
}

/// A number of bytes, as a number or with a letter.
fn size(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<u64, ConfigError> {
    match reader.integer(entry) {
        Some(Some(number)) if number > 0 => Ok(number.into()),
        Some(_) => reader.fail(entry.at, format!("{} is not a number of bytes: write \"10G\"", entry.key)),
        None => reader.parsed(entry).map(|super::size::Size(size)| size),
    }
}

#[cfg(test)]
mod tests;
