//! Where a session's configuration came from, so that it can be read again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::format::{Format, parse_as};
use crate::config::route::Route;
use crate::config::{Config, ConfigError};

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
    /// What the launch has put before the file's own routes.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// Without the credentials.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logins: Vec<_> = self.logins.keys().collect();
        f.debug_struct("Source")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("logins", &logins)
            .field("routes", &self.routes)
            .finish()
    }
}

impl Source {
    /// A file that nothing has been added to.
    pub fn file(path: impl Into<PathBuf>, format: Format) -> Self {
        Self { path: path.into(), format, logins: BTreeMap::new(), routes: Vec::new() }
    }

    /// The configuration that `text`, the file's content, makes. Credentials are still where the URLs say.
    pub fn parse(&self, text: &str, user_id: impl Fn(&str) -> Option<u32>) -> Result<Config, ConfigError> {
        let mut config = parse_as(self.format, text, &self.path.to_string_lossy(), user_id)?.config;
        config.routes.splice(..0, self.routes.iter().cloned());
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::route::To;

    #[test]
    fn the_routes_of_the_launch_come_first() {
        let mut source = Source::file("/etc/c.toml", Format::Underpass);
        let direct = Route { domains: vec![".internal".parse().unwrap()], ..Route::default() };
        source.routes.push(direct.clone());
        let text = "proxy = 'local:'\n[[route]]\nport = 25\nto = 'refuse'\n";
        let config = source.parse(text, |_| None).unwrap();
        assert_eq!(config.routes[0], direct);
        assert!(matches!(config.routes[1].to, To::Refuse(_)));
        let error = source.parse("proxi = 'local:'\n", |_| None).unwrap_err().to_string();
        assert!(error.starts_with("/etc/c.toml:1:1: "), "{error}");
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
