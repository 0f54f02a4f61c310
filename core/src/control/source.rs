//! Where a session's configuration came from, so that it can be read again.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::file::MAX_BYTES;
use crate::config::format::{Format, parse_as};
use crate::config::{Config, logins};
use crate::upstream::{Login, Upstream};

/// A configuration file, and what the launch has added to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Absolute.
    pub path: PathBuf,
    /// What the file is read as.
    pub format: Format,
    /// `USER:PASSWORD` by the environment variable (`?login-env=`) that the launch had them from. A
    /// reload has no other environment than that.
    #[serde(default)]
    pub logins: BTreeMap<String, String>,
    /// What the launch shows to relays where the file names no key; its environment says where that is.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
}

/// Without the credentials.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logins: Vec<_> = self.logins.keys().collect();
        f.debug_struct("Source")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("logins", &logins)
            .finish()
    }
}

impl Source {
    /// A file that nothing has been added to.
    pub fn file(path: impl Into<PathBuf>, format: Format) -> Self {
        Self { path: path.into(), format, logins: BTreeMap::new(), client_key: None }
    }

    /// The same with what this process's own environment adds to it.
    pub fn with_environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        for hop in self.parsed()?.chains.values().flat_map(|chain| &chain.hops) {
            if let Upstream::Proxy(proxy) = hop
                && let Login::Environment(name) = &proxy.login
                && let Some(value) = variable(name)
            {
                self.logins.insert(name.clone(), value);
            }
        }
        self.client_key = logins::default_key(variable);
        Ok(self)
    }

    /// Reads the file again: the configuration, with its credentials. The error is for a person.
    pub fn read(&self) -> Result<Config, String> {
        let mut config = self.parsed()?;
        let folder = self.path.parent().unwrap_or(&self.path);
        let variable = |variable: &str| self.logins.get(variable).cloned();
        logins::fetch(&mut config, folder, self.client_key.as_deref(), variable)
            .map_err(|why| format!("{}: {why}", self.path.display()))?;
        Ok(config)
    }

    /// What the file says, with nothing fetched.
    fn parsed(&self) -> Result<Config, String> {
        let name = self.path.display();
        let unreadable = |error: io::Error| format!("{name}: cannot be read: {error}");
        let file = File::open(&self.path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
        let parsed = parse_as(self.format, &text, &name.to_string(), logins::user_id);
        Ok(parsed.map_err(|error| error.to_string())?.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_with_the_logins_of_the_launch() {
        let folder = std::env::temp_dir().join(format!("underpass-source-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("c.toml");
        let mut source = Source::file(&path, Format::Underpass);
        std::fs::write(&path, "proxy = 'socks5h://h:1?login-env=LOGIN'\n").unwrap();
        let why = source.read().unwrap_err();
        assert!(why.ends_with("login-env LOGIN: the launch had no such variable"), "{why}");
        let login = |name: &str| (name == "LOGIN").then(|| "user:hunter2".to_owned());
        source = source.with_environment(login).unwrap();
        let config = source.read().unwrap();
        assert_eq!(config.chains["main"].hops, ["socks5h://user:hunter2@h:1".parse().unwrap()]);
        std::fs::write(&path, "proxi = 'local:'\n").unwrap();
        let why = source.read().unwrap_err();
        assert!(why.starts_with(&format!("{}:1:1: ", path.display())), "{why}");
        std::fs::remove_dir_all(folder).unwrap();
        assert!(source.read().unwrap_err().contains(": cannot be read: "));
    }

    #[test]
    fn nothing_shows_the_credentials() {
        let mut source = Source::file("/c", Format::Underpass);
        source.logins.insert("LOGIN".to_owned(), "user:hunter2".to_owned());
        assert!(!format!("{source:?}").contains("hunter2"));
        let json = serde_json::to_string(&source).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&json).unwrap(), source);
    }
}
