//! resolv.conf(5), read again when it changes: who is asked where nobody is named, and the domains that are
//! searched.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use parking_lot::Mutex;
use underpass_core::destination::{DNS_PORT, is_local};

/// Who is asked where the file names none but this machine.
const LAST_RESORT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(1, 1, 1, 1)), DNS_PORT);
/// No more domains are searched (resolv.conf(5) had this limit until glibc 2.26).
const MAX_SEARCH: usize = 6;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: Option<usize>,
}

/// Device, inode, size and time of change of the file that was read.
type Version = Option<(u64, u64, u64, i64, i64)>;

/// The file of one agent.
pub(super) struct Settings {
    path: PathBuf,
    known: Mutex<(Version, Contents)>,
}

impl Settings {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), known: Mutex::default() }
    }

    pub(super) fn read(&self) -> Contents {
        let version = std::fs::metadata(&self.path).ok();
        let version = version.map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
        let mut known = self.known.lock();
        if known.0 != version {
            let text = std::fs::read(&self.path).unwrap_or_default();
            *known = (version, parse(&String::from_utf8_lossy(&text)));
        }
        known.1.clone()
    }
}

impl Contents {
    /// The resolver that is asked beyond the chain: the first that is not this machine.
    pub(super) fn server(&self) -> SocketAddr {
        let other = self.servers.iter().find(|ip| !is_local(**ip));
        other.map_or(LAST_RESORT, |ip| SocketAddr::new(ip.to_canonical(), DNS_PORT))
    }

    /// Whether this is a name server of the system.
    pub(super) fn names(&self, server: IpAddr) -> bool {
        self.servers.iter().any(|ip| ip.to_canonical() == server.to_canonical())
    }

    /// The names that are looked up for one, in order: a name with fewer dots than `ndots` is searched in the
    /// domains first; one with more is taken as it is.
    pub(super) fn candidates(&self, name: &str, is_absolute: bool) -> Vec<String> {
        let dots = name.matches('.').count();
        let mut names = Vec::new();
        if !is_absolute && dots < self.ndots.unwrap_or(1) {
            names.extend(self.search.iter().map(|domain| format!("{name}.{domain}")));
        }
        names.push(name.to_owned());
        names
    }
}

fn parse(text: &str) -> Contents {
    let mut contents = Contents::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            // An address may have a zone, which is of this machine alone.
            Some("nameserver") => {
                contents.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
            }
            // The last line counts.
            Some("search" | "domain") => {
                let domains = words.map(|domain| domain.trim_matches('.').to_ascii_lowercase());
                contents.search = domains.filter(|domain| !domain.is_empty()).take(MAX_SEARCH).collect();
            }
            Some("options") => {
                let mut ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse::<usize>().ok());
                contents.ndots = ndots.next_back().map(|ndots| ndots.min(15)).or(contents.ndots);
            }
            _ => {}
        }
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_server_that_is_not_this_machine_is_asked() {
        for (text, server) in [
            ("", "1.1.1.1:53"),
            ("nameserver 127.0.0.53\noptions edns0\n", "1.1.1.1:53"),
            ("# nameserver 9.9.9.9\nnameserver\nnameserver ::1\nnameserver 10.0.0.1 x\n", "10.0.0.1:53"),
            ("nameserver fe80::1%eth0\nnameserver 2620:fe::fe\n", "[2620:fe::fe]:53"),
        ] {
            assert_eq!(parse(text).server(), server.parse().unwrap(), "{text}");
        }
        assert!(parse("nameserver 10.0.0.1").names("::ffff:10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn short_names_are_searched_first() {
        let plain = parse("domain old.test\nsearch a.test. B.test\n");
        assert_eq!(plain.candidates("db", false), ["db.a.test", "db.b.test", "db"]);
        assert_eq!(plain.candidates("db", true), ["db"]);
        assert_eq!(plain.candidates("db.c", false), ["db.c"]);
        let dotted = parse("search a.test\noptions rotate ndots:2\n");
        assert_eq!(dotted.candidates("db.c", false), ["db.c.a.test", "db.c"]);
        assert_eq!(parse("").candidates("db", false), ["db"]);
    }
}
