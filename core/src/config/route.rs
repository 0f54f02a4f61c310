//! Routes: the first that matches a connection decides where it goes.
//!
//! Loopback is direct unless a route names it, by a range of loopback addresses or as `localhost`: one
//! that is for everything does not mean what programs of one machine say to each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Config;
use super::pattern::{AddressRange, DomainPattern, PortRange, ProgramPattern};
use crate::destination::is_local;

/// One route. A connection matches if each list that is not empty has an entry that matches it.
///
/// Names match before they are resolved: a route with `addresses` matches no connection that is known
/// by its name, and one with `domains` none that is known by its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Names: `db.internal` (exactly), `.internal` (below it, and itself), `*.eu-?.example` (a glob).
    pub domains: Vec<DomainPattern>,
    /// Ranges: `10.0.0.0/8`, `fd00::/8`, `192.0.2.1`.
    pub addresses: Vec<AddressRange>,
    /// Ports and ranges of them, inclusive.
    pub ports: Vec<PortRange>,
    /// Program files: a glob of the path, or of the last part if it has no slash.
    pub programs: Vec<ProgramPattern>,
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

impl Asked<'_> {
    /// The address, if it is this machine's loopback; the unspecified addresses mean it, too.
    fn loopback(&self) -> Option<IpAddr> {
        let ip = self.ip.filter(|ip| self.name.is_none() && is_local(*ip))?;
        Some(match ip.to_canonical() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        })
    }
}

impl Config {
    /// The number of the route that matches, from 0, and where it leads.
    pub fn decide(&self, asked: &Asked<'_>) -> (Option<usize>, &To) {
        let found = self.routes.iter().enumerate().find(|(_, route)| route.matches(asked));
        let otherwise = if asked.loopback().is_some() { &To::Direct } else { &self.otherwise };
        found.map_or((None, otherwise), |(number, route)| (Some(number), &route.to))
    }

    /// Whether a connection to loopback may not be direct.
    pub fn routes_loopback(&self) -> bool {
        self.routes.iter().any(|route| route.to != To::Direct && route.names_loopback())
    }

    /// Whether a route may look at the name: then it must reach the agent as a name.
    pub fn minds_name(&self, name: &str) -> bool {
        self.routes.iter().any(|route| route.domains.iter().any(|domain| domain.matches(name)))
    }

    /// Whether this machine's resolver may be asked for a name: only if connections to every port of it
    /// are direct. A route by port that leads elsewhere is enough for a no, because the look-up would
    /// show the name.
    pub fn direct_name(&self, name: &str, program: Option<&str>, user: Option<u32>) -> bool {
        let asked = Asked { name: Some(name), ip: None, port: None, program, user };
        let mut decisive = self.routes.iter().filter(|route| route.matches_but_for_ports(&asked));
        loop {
            match decisive.next() {
                Some(route) if route.to != To::Direct => return false,
                Some(route) if route.ports.is_empty() => return true,
                Some(_) => {}
                None => return self.otherwise == To::Direct,
            }
        }
    }
}

impl Route {
    /// Whether the route is for this connection.
    pub fn matches(&self, asked: &Asked<'_>) -> bool {
        match asked.loopback() {
            None => self.is_for(asked),
            // `localhost` has its address already when it is connected to.
            Some(ip) => {
                let by_name = Asked { name: Some("localhost"), ip: None, ..*asked };
                let by_address = Asked { ip: Some(ip), ..*asked };
                // A range that has other addresses, too, does not mean it, whatever else the route has.
                let is_meant = self.addresses.is_empty()
                    || self.addresses.iter().any(|range| range.is_loopback() && range.contains(ip));
                self.names_loopback() && (is_meant && self.is_for(&by_address) || self.is_for(&by_name))
            }
        }
    }

    /// Whether the route is meant for loopback, too.
    pub fn names_loopback(&self) -> bool {
        self.addresses.iter().any(AddressRange::is_loopback)
            || self.domains.iter().any(DomainPattern::is_localhost)
    }

    fn is_for(&self, asked: &Asked<'_>) -> bool {
        let port = |port| self.ports.iter().any(|range| range.contains(port));
        self.matches_but_for_ports(asked) && (self.ports.is_empty() || asked.port.is_some_and(port))
    }

    fn matches_but_for_ports(&self, asked: &Asked<'_>) -> bool {
        let address = asked.ip.filter(|_| asked.name.is_none());
        any(&self.domains, asked.name, |domain, name| domain.matches(name))
            && any(&self.addresses, address, |range, ip| range.contains(ip))
            && any(&self.programs, asked.program, |pattern, path| pattern.matches(path))
            && any(&self.users, asked.user, |user, asked| *user == asked)
    }
}

/// Whether a list is empty, or what is asked is known and an entry matches it.
fn any<P, A: Copy>(list: &[P], asked: Option<A>, matches: impl Fn(&P, A) -> bool) -> bool {
    list.is_empty() || asked.is_some_and(|asked| list.iter().any(|entry| matches(entry, asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `KEY=VALUE,VALUE …` as a route.
    fn route(text: &str, to: To) -> Route {
        let mut route = Route { to, ..Route::default() };
        for (key, values) in text.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            for value in values.split(',') {
                match key {
                    "domain" => route.domains.push(value.parse().expect(value)),
                    "address" => route.addresses.push(value.parse().expect(value)),
                    "port" => route.ports.push(value.parse().expect(value)),
                    "program" => route.programs.push(value.parse().expect(value)),
                    _ => route.users.push(value.parse().expect(value)),
                }
            }
        }
        route
    }

    /// `HOST:PORT PROGRAM USER`, with `-` for what is not known.
    fn asked(text: &str) -> Asked<'_> {
        let mut words = text.split(' ');
        let (host, port) = words.next().and_then(|word| word.rsplit_once(':')).expect(text);
        let ip = host.parse().ok();
        Asked {
            name: (ip.is_none() && host != "-").then_some(host),
            ip,
            port: port.parse().ok(),
            program: words.next().filter(|word| *word != "-"),
            user: words.next().and_then(|word| word.parse().ok()),
        }
    }

    #[test]
    fn a_route_matches_if_each_list_has_an_entry_that_does() {
        for (text, connection, matches) in [
            ("", "a.example:80", true),
            ("", "192.0.2.1:80 - 7", true),
            ("domain=a.example,.internal", "a.example:80", true),
            ("domain=a.example,.internal", "db.internal:80", true),
            ("domain=a.example,.internal", "b.example:80", false),
            ("domain=*", "192.0.2.1:80", false),
            ("address=0.0.0.0/0,::/0", "a.example:80", false),
            ("address=192.0.2.0/24,fd00::/8", "192.0.2.9:80", true),
            ("address=192.0.2.0/24,fd00::/8", "fd01::1:80", true),
            ("address=192.0.2.0/24", "::ffff:192.0.2.9:80", true),
            ("address=192.0.2.0/24", "192.0.3.9:80", false),
            ("port=443,1-1024", "a.example:22", true),
            ("port=443", "a.example:-", false),
            ("port=1-65535", "a.example:-", false),
            ("port=443", "192.0.2.1:444", false),
            ("program=curl", "a.example:80 /usr/bin/curl", true),
            ("program=/opt/*", "a.example:80 /usr/bin/curl", false),
            ("program=*", "a.example:80", false),
            ("user=1000,7", "a.example:80 - 7", true),
            ("user=1000", "a.example:80 - 0", false),
            ("user=0", "a.example:80 -", false),
            ("domain=.internal port=5432", "db.internal:5432", true),
            ("domain=.internal port=5432", "db.internal:80", false),
            ("domain=.internal port=5432 user=7", "db.internal:5432 - 8", false),
            ("domain=.internal port=5432 program=psql user=7", "db.internal:5432 /usr/bin/psql 7", true),
            ("domain=.internal address=10.0.0.0/8", "db.internal:80", false),
            ("domain=.internal address=10.0.0.0/8", "10.0.0.1:80", false),
        ] {
            assert_eq!(
                route(text, To::Direct).matches(&asked(connection)),
                matches,
                "{text} for {connection}"
            );
        }
    }

    #[test]
    fn the_first_route_that_matches_decides() {
        let mut config = Config::strict(Vec::new());
        config.routes = vec![
            route("domain=a.internal", To::Refuse(111)),
            route("domain=.internal", To::Direct),
            route("address=10.0.0.0/8", To::Chain("lan".into())),
        ];
        let main = To::Chain("main".into());
        for (connection, number, to) in [
            ("a.internal:1", Some(0), &To::Refuse(111)),
            ("b.internal:1", Some(1), &To::Direct),
            ("10.1.1.1:1", Some(2), &To::Chain("lan".into())),
            ("example:1", None, &main),
        ] {
            assert_eq!(config.decide(&asked(connection)), (number, to), "{connection}");
        }
    }

    #[test]
    fn loopback_is_direct_unless_a_route_names_it() {
        for (text, connection, matches) in [
            ("address=127.0.0.0/8", "127.0.0.1:80", true),
            ("address=127.0.0.0/8", "::ffff:127.9.9.9:80", true),
            ("address=127.0.0.0/8", "0.0.0.0:80", true),
            ("address=127.0.0.0/8", "::1:80", false),
            ("address=127.0.0.2", "127.0.0.1:80", false),
            ("address=::1", ":::80", true),
            ("address=::1 port=443", "::1:80", false),
            ("address=::1,10.0.0.0/8", "::1:80", true),
            ("domain=localhost", "127.0.0.1:80", true),
            ("domain=.localhost", "::1:80", true),
            ("domain=localhost program=curl", "::1:80 /usr/bin/curl", true),
            ("domain=localhost program=wget", "::1:80 /usr/bin/curl", false),
            ("address=0.0.0.0/0", "127.0.0.1:80", false),
            ("address=126.0.0.0/7", "127.0.0.1:80", false),
            ("address=127.0.0.2,0.0.0.0/0", "127.0.0.1:80", false),
            ("address=127.0.0.2,0.0.0.0/0", "127.0.0.2:80", true),
            ("address=127.0.0.0/8,::/0", "::1:80", false),
            ("address=127.0.0.0/8,::/0", "0.0.0.0:80", true),
            ("address=::/0", "::1:80", false),
            ("domain=*", "127.0.0.1:80", false),
            ("domain=db.localhost", "127.0.0.1:80", false),
            ("port=1-65535", "127.0.0.1:80", false),
            ("", "127.0.0.1:80", false),
        ] {
            let mut config = Config::strict(Vec::new());
            config.routes = vec![route(text, To::Refuse(13))];
            let expected = if matches { (Some(0), &To::Refuse(13)) } else { (None, &To::Direct) };
            assert_eq!(config.decide(&asked(connection)), expected, "{text} for {connection}");
            let names = text.contains("127.0.0.") || text.contains("=::1") || text.contains("=localhost");
            assert_eq!(config.routes_loopback(), names || text.contains("=.localhost"), "{text}");
            config.routes[0].to = To::Direct;
            assert!(!config.routes_loopback(), "{text}");
        }
    }

    #[test]
    fn a_name_is_looked_up_here_only_if_all_its_ports_are_direct() {
        let chain = || To::Chain("main".into());
        for (routes, otherwise, direct) in [
            (vec![], To::Direct, true),
            (vec![], chain(), false),
            (vec![], To::Refuse(13), false),
            (vec![("domain=.internal", To::Direct)], chain(), true),
            (vec![("domain=.other", To::Direct)], chain(), false),
            (vec![("domain=.internal port=443", To::Direct)], chain(), false),
            (vec![("domain=.internal port=443", To::Direct)], To::Direct, true),
            (vec![("port=443", chain()), ("domain=.internal", To::Direct)], chain(), false),
            (vec![("domain=.internal", To::Direct), ("port=443", chain())], chain(), true),
            (vec![("port=443", chain())], To::Direct, false),
            (vec![("port=443", To::Direct), ("domain=.internal", To::Direct)], chain(), true),
            (vec![("address=10.0.0.0/8 port=443", chain()), ("domain=.internal", To::Direct)], chain(), true),
            (vec![("program=curl", chain()), ("domain=.internal", To::Direct)], chain(), false),
            (vec![("program=wget port=1", chain()), ("domain=.internal", To::Direct)], chain(), true),
            (vec![("user=7", To::Direct)], chain(), true),
            (vec![("user=8", To::Direct)], chain(), false),
            (vec![("domain=db.internal", To::Refuse(13)), ("domain=.internal", To::Direct)], chain(), false),
        ] {
            let mut config = Config::strict(Vec::new());
            let text = format!("{routes:?} then {otherwise:?}");
            config.routes = routes.into_iter().map(|(text, to)| route(text, to)).collect();
            config.otherwise = otherwise;
            let answer = config.direct_name("db.internal", Some("/usr/bin/curl"), Some(7));
            assert_eq!(answer, direct, "{text}");
        }
    }

    #[test]
    fn a_name_matters_where_a_route_names_it() {
        let mut config = Config::strict(Vec::new());
        config.routes = vec![
            route("address=10.0.0.0/8 port=1", To::Direct),
            route("domain=.internal port=443 program=curl", To::Direct),
        ];
        assert!(config.minds_name("db.internal"));
        assert!(!config.minds_name("example.org"));
    }

    #[test]
    fn a_route_survives_the_way_to_the_agent() {
        let there = route(
            "domain=.a,*.b address=10.0.0.0/8,::1 port=1-2,443 program=/b/*,c user=0,7",
            To::Refuse(13),
        );
        let json = serde_json::to_string(&there).expect("json");
        assert_eq!(serde_json::from_str::<Route>(&json).expect("a route"), there, "{json}");
        assert!(serde_json::from_str::<Route>(r#"{"addresses":["10.0.0.0/99"]}"#).is_err());
        assert!(serde_json::from_str::<Route>(r#"{"prots":["1"]}"#).is_err());
    }
}
