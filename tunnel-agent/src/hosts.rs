//! The hosts file, read again when it changes: what it names is known on this machine and is not
//! asked for elsewhere (hosts(5)). `localhost` is always known (RFC 6761 section 6.3), and so is the machine's own name where
//! nsswitch.conf(5) has a module that knows it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use parking_lot::Mutex;
use underpass_core::wire::{Family, MAX_ADDRESSES, MAX_NAME};

/// What the file says of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    /// Those of the family that was asked for, no more than are answered; perhaps none.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its first name in the file, and the others behind it, with blanks between them.
    pub(crate) names: String,
}

#[derive(Default)]
struct Contents {
    /// Device, inode, size and time of change of the file that was read.
    version: Option<(u64, u64, u64, i64, i64)>,
    /// An address and its names, as they are written.
    lines: Vec<(IpAddr, Vec<String>)>,
    /// The lines of each name, which is in lower case.
    names: HashMap<String, Vec<usize>>,
}

/// The hosts file of one agent.
pub(crate) struct Hosts {
    path: PathBuf,
    /// nsswitch.conf(5).
    services: PathBuf,
    contents: Mutex<Contents>,
}

/// What nss-myhostname(8) says of the machine's own name where there is no network, and none is that programs here have.
const OWN: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))];

impl Hosts {
    /// By these files, as /etc/hosts and /etc/nsswitch.conf.
    pub(crate) fn new(path: impl Into<PathBuf>, services: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), services: services.into(), contents: Mutex::default() }
    }

    /// What is known of `name`, in lower case and without a trailing dot, if it is local.
    pub(crate) fn find(&self, name: &str, family: Family) -> Option<Local> {
        let found = self.read(|contents| {
            let lines = contents.names.get(name)?.iter().filter_map(|number| contents.lines.get(*number));
            Some(of_lines(lines, family))
        });
        found.or_else(|| {
            let local = name == "localhost" || name.ends_with(".localhost");
            let both = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
            let both = if local { Some(both) } else { self.is_own(name).then_some(OWN) };
            let names = vec![name.to_owned()];
            let lines = both?.map(|ip| (ip, names.clone()));
            // Of both lines glibc would make two IPv4 addresses.
            let lines = lines.iter().filter(|(ip, _)| family != Family::V4 || ip.is_ipv4());
            Some(of_lines(lines, family))
        })
    }

    /// Whether it is the machine's own name, and this machine's resolver would know it without asking.
    fn is_own(&self, name: &str) -> bool {
        own_name() == name && std::fs::read_to_string(&self.services).is_ok_and(|text| has_own_name(&text))
    }

    /// The names of an address, as in [`Local`].
    pub(crate) fn name_of(&self, ip: IpAddr) -> Option<String> {
        let found = self.read(|contents| {
            let line = contents.lines.iter().find(|(listed, _)| *listed == ip)?;
            Some(joined(line.1.iter()))
        });
        let own = || OWN.contains(&ip) && ip.is_ipv4() && self.is_own(&own_name());
        found.or_else(|| own().then(own_name)).or_else(|| ip.is_loopback().then(|| "localhost".to_owned()))
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

/// The machine's own name, as names are looked up (gethostname(2)).
fn own_name() -> String {
    let own = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    own.trim_end_matches('.').to_owned()
}

/// Whether hosts are looked up by nss-myhostname(8) or nss-resolve(8).
fn has_own_name(services: &str) -> bool {
    let lines =
        services.lines().filter_map(|line| line.split('#').next()?.trim_start().strip_prefix("hosts:"));
    lines.flat_map(str::split_whitespace).any(|module| matches!(module, "myhostname" | "resolve"))
}

/// What lines with one name say together, as glibc's `files` with `multi on` has it: `::1` is also
/// 127.0.0.1. Without a wanted family IPv6 is first, as RFC 6724 orders loopback.
fn of_lines<'a>(lines: impl Iterator<Item = &'a (IpAddr, Vec<String>)>, family: Family) -> Local {
    let as_wanted = |(ip, names): &'a (IpAddr, Vec<String>)| match (family, ip) {
        (Family::V4, IpAddr::V6(v6)) if v6.is_loopback() => Some((Ipv4Addr::LOCALHOST.into(), names)),
        (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => None,
        _ => Some((*ip, names)),
    };
    let lines: Vec<(IpAddr, &Vec<String>)> = lines.filter_map(as_wanted).collect();
    let (v6, v4): (Vec<IpAddr>, _) = lines.iter().map(|(ip, _)| *ip).partition(IpAddr::is_ipv6);
    Local {
        addresses: v6.into_iter().chain(v4).take(MAX_ADDRESSES).collect(),
        names: joined(lines.iter().flat_map(|(_, names)| names.iter())),
    }
}

/// Each name once; what would be longer than an answer is left out.
fn joined<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut joined = String::new();
    for name in names {
        let known = joined.split(' ').any(|other| other == name);
        if !known && joined.len() + 1 + name.len() <= MAX_NAME {
            joined.extend((!joined.is_empty()).then_some(' '));
            joined.push_str(name);
        }
    }
    joined
}

fn parse(text: &str) -> Contents {
    let mut contents = Contents::default();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        let names: Vec<String> = words.map(str::to_owned).collect();
        for name in &names {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let lines = contents.names.entry(name).or_default();
            if lines.last() != Some(&contents.lines.len()) {
                lines.push(contents.lines.len());
            }
        }
        contents.lines.push((ip, names));
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Hosts {
        let hosts = Hosts::new("/nonexistent", "/nonexistent");
        *hosts.contents.lock() = parse(text);
        hosts
    }

    fn found(hosts: &Hosts, name: &str, family: Family) -> (Vec<String>, String) {
        let local = hosts.find(name, family).unwrap();
        (local.addresses.iter().map(IpAddr::to_string).collect(), local.names)
    }

    fn is(addresses: &[&str], names: &str) -> (Vec<String>, String) {
        (addresses.iter().map(|ip| (*ip).to_owned()).collect(), names.to_owned())
    }

    #[test]
    fn names_addresses_and_comments_are_read_as_hosts_5_says() {
        let hosts = hosts("# c\n10.0.0.1 a.test A2 # x\n::1 six\n10.0.0.2 a.test\nnonsense here\n");
        assert_eq!(found(&hosts, "a.test", Family::V4), is(&["10.0.0.1", "10.0.0.2"], "a.test A2"));
        assert_eq!(found(&hosts, "a2", Family::Any), is(&["10.0.0.1"], "a.test A2"));
        assert_eq!(found(&hosts, "six", Family::V6), is(&["::1"], "six"));
        assert_eq!(found(&hosts, "a2", Family::V6), is(&[], ""));
        assert_eq!(hosts.name_of([10, 0, 0, 1].into()).as_deref(), Some("a.test A2"));
        assert_eq!(hosts.find("here", Family::Any), None);
    }

    #[test]
    fn loopback_of_both_families_is_ordered_and_mapped_as_glibc_does() {
        let hosts = hosts("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
        let names = "localhost ip6-localhost";
        assert_eq!(found(&hosts, "localhost", Family::Any), is(&["::1", "127.0.0.1"], names));
        assert_eq!(found(&hosts, "localhost", Family::V4), is(&["127.0.0.1", "127.0.0.1"], names));
        assert_eq!(found(&hosts, "localhost", Family::V6), is(&["::1"], names));
    }

    #[test]
    fn localhost_is_local_without_a_file() {
        let hosts = Hosts::new("/nonexistent", "/nonexistent");
        assert_eq!(found(&hosts, "localhost", Family::V4), is(&["127.0.0.1"], "localhost"));
        assert_eq!(found(&hosts, "x.localhost", Family::Any).0, ["::1", "127.0.0.1"]);
        assert_eq!(hosts.find("example.org", Family::Any), None);
        assert_eq!(hosts.name_of("127.0.0.1".parse().unwrap()).as_deref(), Some("localhost"));
    }

    #[test]
    fn the_machines_own_name_is_known_where_a_module_knows_it() {
        assert!(has_own_name("passwd: files\nhosts:\tfiles myhostname resolve [!UNAVAIL=return] dns\n"));
        assert!(has_own_name("hosts: mymachines resolve\n"));
        assert!(!has_own_name("#hosts: myhostname\nhosts: files dns # resolve\npasswd: resolve\n"));
        assert_eq!(hosts("").find(&own_name(), Family::Any), None);
    }

    #[test]
    fn an_answer_is_bounded() {
        let line = |n: usize| format!("10.0.0.{n} many.test {}\n", "x".repeat(100 + n));
        let local = hosts(&(1..40).map(line).collect::<String>()).find("many.test", Family::V4).unwrap();
        assert_eq!(local.addresses.len(), MAX_ADDRESSES);
        assert!(local.names.len() <= MAX_NAME && local.names.starts_with("many.test x"), "{}", local.names);
    }
}
