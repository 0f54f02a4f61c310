//! Which configuration a launch has: the one that was asked for, else the first of the known places.
//!
//! What is there and cannot be used is an error: nothing falls through to the next place. A file in
//! the current directory is read only if it is named.

pub(crate) mod logins;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use underpass_core::config::dns::Dns;
use underpass_core::config::environment::from_environment;
use underpass_core::config::expose::Expose;
use underpass_core::config::file::MAX_BYTES;
use underpass_core::config::format::{Format, parse_as};
use underpass_core::config::inherited::Inherited;
use underpass_core::config::places::{self, VARIABLE};
use underpass_core::config::tier::Tier;
use underpass_core::config::{Config, Udp, Warning};
use underpass_core::control::Source;
use underpass_core::upstream::{Credentials, Upstream};

use crate::messages::{Failure, reason};

/// What `--dns` says, for who does not give it.
const DNS_VARIABLE: &str = "UNDERPASS_DNS";

const NOTHING_HINT: &str = "underpass -x socks5h://HOST:PORT COMMAND, or -x local: to try it with no proxy";

/// What the command line says about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Given {
    /// Nothing.
    #[default]
    Nothing,
    /// `-x`: one chain, in this order.
    Proxies(Vec<Upstream>),
    /// `-f`
    File {
        path: PathBuf,
        /// Where it is not as the name says.
        format: Option<Format>,
    },
    /// Options that change what the rest says.
    With(Changes, Box<Given>),
}

/// What options say, whatever the configuration says of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// `--dns`
    pub(crate) dns: Option<Dns>,
    /// `--udp`
    pub(crate) udp: Option<Udp>,
    /// `--inherited`
    pub(crate) inherited: Option<Inherited>,
    /// `--listen-at`: the chain at whose exit all listeners of the program are reached.
    pub(crate) listen_at: Option<String>,
    /// `--tier`
    pub(crate) tier: Option<Tier>,
    /// `--let-in`
    pub(crate) let_in: Vec<PathBuf>,
}

/// A configuration and where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) config: Config,
    pub(crate) origin: Origin,
    pub(crate) warnings: Vec<Warning>,
    /// Variables that the program is not to see: one that names our proxy would have it dial the proxy
    /// through the proxy, one with credentials is none of its business.
    pub(crate) taken: Vec<String>,
    /// Credentials that have been fetched, by their variables.
    pub(crate) logins: BTreeMap<String, Credentials>,
    /// The file is not all that decides, so it cannot be read again.
    pub(crate) once: bool,
    /// The agent is to wait for the next launch.
    pub(crate) lingers: bool,
}

/// Where a configuration comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Options,
    /// A variable of this name.
    Variable(String),
    /// A file, and its text.
    File { path: PathBuf, text: String, format: Format },
}

/// The configuration of this launch; its paths are absolute, its credentials not fetched yet.
pub(crate) fn find(given: Given) -> Result<Found, Failure> {
    let (given, Changes { dns, udp, inherited, listen_at, tier, let_in }) = match given {
        Given::With(changes, given) => (*given, changes),
        given => (given, Changes::default()),
    };
    let dns = match dns {
        Some(dns) => Some(dns),
        None => dns_of_environment()?,
    };
    let mut found = match given {
        Given::With(..) => return Err(Failure::setup("options that change a configuration: given twice")),
        Given::Proxies(hops) => Found::new(Config::strict(hops), Origin::Options),
        Given::File { path, format } => read(&path, format)?,
        Given::Nothing => match search()? {
            Some(found) => found,
            None => return Err(Failure::setup("no proxy given").hint(NOTHING_HINT)),
        },
    };
    if let Some(dns) = dns {
        found.config.dns = dns;
        found.once = true;
    }
    if let Some(udp) = udp {
        found.config.udp = udp;
        found.once = true;
    }
    if let Some(chain) = listen_at {
        if !found.config.chains.contains_key(&chain) {
            let known: Vec<_> = found.config.chains.keys().map(String::as_str).collect();
            let why = format!("--listen-at: no chain {chain:?}; there is {}", known.join(", "));
            return Err(Failure::setup(why));
        }
        found.config.exposes.push(Expose::all(chain));
        found.once = true;
    }
    // Not the agent's, so a file may be read again.
    if let Some(inherited) = inherited {
        found.config.inherited = inherited;
    }
    if let Some(tier) = tier {
        found.config.tier = tier;
    }
    found.config.let_in.extend(let_in);
    found.with_absolute_paths()
}

fn dns_of_environment() -> Result<Option<Dns>, Failure> {
    let Some(text) = set(DNS_VARIABLE) else { return Ok(None) };
    let dns = text.to_string_lossy().parse();
    dns.map(Some).map_err(|why| Failure::setup(format_args!("{DNS_VARIABLE}: {why}")))
}

impl Found {
    pub(crate) fn new(config: Config, origin: Origin) -> Self {
        let (warnings, taken, logins) = Default::default();
        Self { config, origin, warnings, taken, logins, once: false, lingers: true }
    }

    /// What the agent has to read for a reload.
    pub(crate) fn source(&self) -> Option<Source> {
        match &self.origin {
            Origin::File { path, format, .. } if !self.once && is_lasting(path) => {
                let line = |(name, login): (&String, &Credentials)| (name.clone(), login.to_line());
                let logins = self.logins.iter().map(line).collect();
                Some(Source { logins, client_key: logins::client_key(), ..Source::file(path, *format) })
            }
            _ => None,
        }
    }

    fn with_absolute_paths(mut self) -> Result<Self, Failure> {
        let folder = match &self.origin {
            Origin::File { path, .. } => path.parent(),
            Origin::Options | Origin::Variable(_) => None,
        };
        logins::make_absolute(&mut self.config, folder)?;
        Ok(self)
    }
}

/// Whether the agent finds the same there later: a pipe (`-f <(…)`) can be read once, and `/dev/stdin` is another file to it.
fn is_lasting(path: &Path) -> bool {
    path.is_file() && !["/dev/fd", "/dev/stdin", "/proc"].iter().any(|folder| path.starts_with(folder))
}

/// Where nothing is given.
fn search() -> Result<Option<Found>, Failure> {
    if let Some(path) = set(VARIABLE) {
        return read(Path::new(&path), None).map(Some);
    }
    for path in places::files(set) {
        if let Some(found) = read_if_there(&path, None)? {
            return Ok(Some(found));
        }
    }
    match from_environment(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned())) {
        None => Ok(None),
        Some(Err(error)) => Err(Failure::setup(error)),
        Some(Ok((name, config))) => {
            let mut found = Found::new(config, Origin::Variable(name.clone()));
            found.taken = vec![name.to_ascii_uppercase(), name.to_ascii_lowercase()];
            Ok(Some(found))
        }
    }
}

/// A variable that is set to something.
pub(crate) fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Reads a file of the format, or of that which its name says.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<Found, Failure> {
    match read_if_there(path, format)? {
        Some(found) => Ok(found),
        None => Err(Failure::setup(format_args!("{}: no such file or directory", path.display()))),
    }
}

/// The same; `None` where there is no such file.
pub(crate) fn read_if_there(path: &Path, format: Option<Format>) -> Result<Option<Found>, Failure> {
    let failed = |error: io::Error| {
        Failure::setup(format_args!("{}: cannot be read: {}", path.display(), reason(&error)))
    };
    let text = match content(path) {
        Ok(text) => text,
        // Only a file that is not there is none: not one that may not be looked at.
        Err(error) if crate::lookup::is_absence(&error) && path.symlink_metadata().is_err() => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let text = String::from_utf8(text)
        .map_err(|_| Failure::setup(format_args!("{}: not a text in UTF-8", path.display())))?;
    let path = std::path::absolute(path).map_err(failed)?;
    parse(path, text, format).map(Some)
}

/// At most one byte more than a configuration may have, so that the parser says that it is too long.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut text = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Reads a text that is, or stands for, the content of a file.
pub(crate) fn parse(path: PathBuf, text: String, format: Option<Format>) -> Result<Found, Failure> {
    let name = path.to_string_lossy().into_owned();
    let format = format.unwrap_or_else(|| Format::of_file_name(&name));
    let parsed =
        parse_as(format, &text, &name, underpass_core::config::logins::user_id).map_err(Failure::setup)?;
    let origin = Origin::File { path, text, format };
    Ok(Found { warnings: parsed.warnings, ..Found::new(parsed.config, origin) })
}
