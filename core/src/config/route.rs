//! Routes: the first that matches a connection decides where it goes.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Config;

/// One route. A connection matches if each list that is not empty has an entry that matches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Names: `db.internal` (exactly), `.internal` (below it, and itself), `*.eu-?.example` (a glob).
    pub domains: Vec<String>,
    /// Ranges: `10.0.0.0/8`, `fd00::/8`, `192.0.2.1`.
    pub addresses: Vec<String>,
    /// Ports and ranges of them, inclusive.
    pub ports: Vec<(u16, u16)>,
    /// Program files: a glob of the path, or of the last part if it has no slash.
    pub programs: Vec<String>,
    /// User ids.
    pub users: Vec<u32>,
    /// Where the connection goes.
    pub to: To,
}

/// Where a connection goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// Through the chain of this name.
    Chain(String),
    /// From this machine, as without underpass.
    #[default]
    Direct,
    /// Nowhere: `connect()` fails with this errno.
    Refuse(i32),
}

/// What is known of a connection before it is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The name, if the program has asked for one.
    pub name: Option<&'a str>,
    /// The address, if there is no name.
    pub ip: Option<IpAddr>,
    /// `None` while only a name is looked up: then only routes without ports can match.
    pub port: Option<u16>,
    /// The program's file.
    pub program: Option<&'a str>,
    /// The program's user.
    pub user: Option<u32>,
}

impl Config {
    /// The number of the route that matches, from 0, and where it leads.
    pub fn decide(&self, asked: &Asked<'_>) -> (Option<usize>, &To) {
        let found = self.routes.iter().enumerate().find(|(_, route)| route.matches(asked));
        found.map_or((None, &self.otherwise), |(number, route)| (Some(number), &route.to))
    }
}

impl Route {
    /// Whether the route is for this connection.
    pub fn matches(&self, _asked: &Asked<'_>) -> bool {
        false
    }
}
