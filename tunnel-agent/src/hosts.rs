//! The hosts file, read again when it changes: what it names is known on this machine and is not
//! asked for elsewhere (hosts(5)). `localhost` is always known (RFC 6761 section 6.3).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use parking_lot::Mutex;

/// The addresses of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
}

#[derive(Default)]
struct Contents {
    /// Device, inode, size and time of change of the file that was read.
    version: Option<(u64, u64, u64, i64, i64)>,
    names: HashMap<String, Local>,
    addresses: HashMap<IpAddr, String>,
}

/// The hosts file of one agent.
pub(crate) struct Hosts {
    path: PathBuf,
    contents: Mutex<Contents>,
}

impl Hosts {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), contents: Mutex::default() }
    }

    /// The addresses of `name`, in lower case and without a trailing dot, if it is local.
    pub(crate) fn find(&self, name: &str) -> Option<Local> {
        let found = self.read(|contents| contents.names.get(name).copied());
        found.or_else(|| {
            let local = name == "localhost" || name.ends_with(".localhost");
            local.then_some(Local { v4: Some(Ipv4Addr::LOCALHOST), v6: Some(Ipv6Addr::LOCALHOST) })
        })
    }

    /// The first name of an address.
    pub(crate) fn name_of(&self, ip: IpAddr) -> Option<String> {
        let found = self.read(|contents| contents.addresses.get(&ip).cloned());
        found.or_else(|| ip.is_loopback().then(|| "localhost".to_owned()))
    }

    fn read<T>(&self, look: impl FnOnce(&Contents) -> T) -> T {
        let version = std::fs::metadata(&self.path)
            .ok()
            .map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
        let mut contents = self.contents.lock();
        if contents.version != version {
            let text = std::fs::read(&self.path).unwrap_or_default();
            *contents = parse(&String::from_utf8_lossy(&text));
            contents.version = version;
        }
        look(&contents)
    }
}

fn parse(text: &str) -> Contents {
    let mut contents = Contents::default();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let entry = contents.names.entry(name.clone()).or_default();
            match ip {
                IpAddr::V4(v4) => entry.v4 = entry.v4.or(Some(v4)),
                IpAddr::V6(v6) => entry.v6 = entry.v6.or(Some(v6)),
            }
            contents.addresses.entry(ip).or_insert(name);
        }
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_comments_are_read_as_hosts_5_says() {
        let contents = parse("# c\n10.0.0.1 a.test A2 # x\n::1 six\n10.0.0.2 a.test\nnonsense here\n");
        assert_eq!(contents.names["a.test"].v4, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(contents.names["a2"].v4, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(contents.names["six"].v6, Some(Ipv6Addr::LOCALHOST));
        assert_eq!(contents.addresses[&IpAddr::from([10, 0, 0, 2])], "a.test");
        assert!(!contents.names.contains_key("here"));
    }

    #[test]
    fn localhost_is_local_without_a_file() {
        let hosts = Hosts::new("/nonexistent");
        assert_eq!(hosts.find("localhost").unwrap().v4, Some(Ipv4Addr::LOCALHOST));
        assert!(hosts.find("x.localhost").is_some());
        assert_eq!(hosts.find("example.org"), None);
        assert_eq!(hosts.name_of("127.0.0.1".parse().unwrap()).as_deref(), Some("localhost"));
    }
}
