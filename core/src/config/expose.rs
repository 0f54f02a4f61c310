//! What listens at the exit of a chain: which of the programs' listeners are exposed there, and nowhere else; and
//! listeners that lead to one place here without a program that we carry, as those of `ssh -R`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Config;
use super::pattern::{PortRange, ProgramPattern};
use super::route::To;
use crate::destination::Destination;

/// Listeners, and where they are exposed. One matches if each list that is not empty has an entry that matches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expose {
    /// Ports that programs bind. One for which the system chooses a port matches where there are none.
    pub ports: Vec<PortRange>,
    /// Program files.
    pub programs: Vec<ProgramPattern>,
    /// The chain at whose exit they listen.
    pub at: String,
    /// The exit's address; without one, the exit chooses.
    pub address: Option<IpAddr>,
    /// The port there; without one, it is that of the program.
    pub exit_port: Option<u16>,
}

impl Expose {
    /// All listeners, at the exit of this chain.
    pub fn all(chain: String) -> Self {
        Self { at: chain, ..Self::default() }
    }

    fn matches(&self, port: u16, program: Option<&str>) -> bool {
        let ports = self.ports.is_empty() || self.ports.iter().any(|range| range.contains(port));
        let programs = self.programs.is_empty()
            || program.is_some_and(|path| self.programs.iter().any(|pattern| pattern.matches(path)));
        ports && programs
    }
}

/// A listener at an exit. Whoever connects to it is connected to one place, from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// The chain at whose exit it listens; `None`: the one of what no route matches.
    pub at: Option<String>,
    /// The exit's address; without one, the exit chooses.
    pub address: Option<IpAddr>,
    /// The port there; 0: the exit chooses.
    pub port: u16,
    /// Where it leads.
    pub to: Inside,
}

/// A place that this machine reaches by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    /// A host, whose name this machine resolves.
    Host(Destination),
    /// A Unix socket.
    Path(PathBuf),
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// As the option `-R` has it.
impl fmt::Display for Reverse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => {}
            Some(IpAddr::V4(v4)) => write!(f, "{v4}:")?,
            Some(IpAddr::V6(v6)) => write!(f, "[{v6}]:")?,
        }
        write!(f, "{}:{}", self.port, self.to)
    }
}

impl Config {
    /// The chain at whose exit a listener is to be; `None` where what no route matches goes by none.
    pub fn chain_of<'a>(&'a self, reverse: &'a Reverse) -> Option<&'a str> {
        match (&reverse.at, &self.otherwise) {
            (Some(at), _) => Some(at),
            (None, To::Chain(chain)) => Some(chain),
            (None, To::Direct | To::Refuse(_)) => None,
        }
    }

    /// What is said of a listener at this port (0: the system chooses one).
    pub fn exposed(&self, port: u16, program: Option<&str>) -> Option<&Expose> {
        self.exposes.iter().find(|expose| expose.matches(port, program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_matches_decides_and_a_chosen_port_is_in_no_list() {
        let ports = |text: &str| vec![text.parse().unwrap()];
        let mut config = Config::strict(vec!["socks5h://h:1".parse().unwrap()]);
        let web = Expose { ports: ports("8000-8009"), ..Expose::all("a".to_owned()) };
        let lftp = Expose { programs: vec!["lftp".parse().unwrap()], ..Expose::all("b".to_owned()) };
        config.exposes = vec![web, lftp];
        let at = |port, program| config.exposed(port, program).map(|expose| expose.at.as_str());
        assert_eq!(at(8009, None), Some("a"));
        assert_eq!(at(8010, None), None);
        assert_eq!(at(0, Some("/usr/bin/lftp")), Some("b"));
        assert_eq!(at(0, Some("/usr/bin/curl")), None);
        assert_eq!(at(8000, Some("/usr/bin/lftp")), Some("a"));
    }
}
