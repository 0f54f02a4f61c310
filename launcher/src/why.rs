//! `--why`: the route of a connection, by the rules that the agent follows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use underpass_core::config::Config;
use underpass_core::config::route::{Asked, To};
use underpass_core::destination::{DNS_PORT, is_local};
use underpass_core::upstream::Upstream;
use underpass_core::wire::MAX_NAME;

use crate::messages::Failure;

/// One line for `HOST:PORT`. `hosts` is what the hosts file says: its names are resolved here.
pub(crate) fn why(destination: &str, config: &Config, hosts: &str) -> Result<String, Failure> {
    let (host, port) = parse(destination).ok_or_else(|| {
        Failure::setup(format_args!("--why: {destination:?} is not HOST:PORT"))
            .hint("db.internal:5432, 10.0.0.1:80 or [2001:db8::1]:443")
    })?;
    let (address, origin) = match &host {
        Host::Address(ip) => (Some(*ip), String::new()),
        Host::Name(name) => match find(name, hosts) {
            Some(ip) => (Some(ip), format!(" ({ip} by the hosts file)")),
            None if is_localhost(name) => (Some(Ipv4Addr::LOCALHOST.into()), String::new()),
            None => (None, String::new()),
        },
    };
    let name = match &host {
        Host::Name(name) => Some(name.as_str()),
        Host::Address(_) => None,
    };
    let asked = Asked { name, ip: address, port: Some(port), ..Asked::default() };
    let route = match address {
        Some(ip) if is_local(ip) && port == DNS_PORT => "refused, DNS never leaves directly".to_owned(),
        Some(ip) if is_local(ip) => "direct, loopback".to_owned(),
        _ => {
            let (_, to) = config.decide(&asked);
            path(config, to) + if address.is_none() { resolved(config, to) } else { "" }
        }
    };
    Ok(format!("{destination}: {route}{origin}\n"))
}

/// Where a connection goes, in words; no hop shows its credentials.
pub(crate) fn path(config: &Config, to: &To) -> String {
    match to {
        To::Direct => "direct".to_owned(),
        To::Refuse(errno) => format!("refused, errno {errno}"),
        To::Chain(name) => {
            let hops = config.chains.get(name).map(|chain| chain.hops.as_slice()).unwrap_or_default();
            let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
            format!("carried by {}", hops.join(", "))
        }
    }
}

/// Who resolves the names of what goes there.
fn resolved(config: &Config, to: &To) -> &'static str {
    let To::Chain(name) = to else { return "" };
    match config.chains.get(name).and_then(|chain| chain.hops.last()) {
        Some(Upstream::Local) => ", name resolved by the agent",
        _ => ", name resolved there",
    }
}

/// The first address of a name in hosts(5).
fn find(name: &str, hosts: &str) -> Option<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(ip)
    })
}

enum Host {
    Address(IpAddr),
    Name(String),
}

fn parse(destination: &str) -> Option<(Host, u16)> {
    let (host, port) = destination.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|&port| port != 0)?;
    if let Some(inside) = host.strip_prefix('[') {
        let ip: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some((Host::Address(ip.into()), port));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        // An IPv6 address without brackets would leave open where it ends.
        return ip.is_ipv4().then_some((Host::Address(ip), port));
    }
    let fits = (1..=MAX_NAME).contains(&host.len());
    let clean = !host.contains(|c: char| c.is_whitespace() || c.is_control() || ":/@[]".contains(c));
    (fits && clean).then(|| (Host::Name(host.to_owned()), port))
}

/// RFC 6761 section 6.3: `localhost` and all below it are this machine.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "127.0.1.1 box # web\n# 1.1.1.1 no\n10.0.0.9 db.lan Web\n";

    #[test]
    fn each_route_is_said() {
        let proxy = Config::strict(vec!["socks5h://10.0.0.1:1080".parse().unwrap()]);
        let table = [
            ("db.internal:5432", "carried by socks5h://10.0.0.1:1080, name resolved there"),
            ("10.1.2.3:80", "carried by socks5h://10.0.0.1:1080"),
            ("[2001:db8::1]:80", "carried by socks5h://10.0.0.1:1080"),
            ("8.8.8.8:53", "carried by socks5h://10.0.0.1:1080"),
            ("127.0.0.1:80", "direct, loopback"),
            ("[::ffff:127.0.0.1]:80", "direct, loopback"),
            ("localhost:80", "direct, loopback"),
            ("a.LOCALHOST.:80", "direct, loopback"),
            ("BOX:80", "direct, loopback (127.0.1.1 by the hosts file)"),
            ("web.:80", "carried by socks5h://10.0.0.1:1080 (10.0.0.9 by the hosts file)"),
            ("no:80", "carried by socks5h://10.0.0.1:1080, name resolved there"),
            ("127.0.0.1:53", "refused, DNS never leaves directly"),
            ("[::1]:53", "refused, DNS never leaves directly"),
        ];
        for (destination, route) in table {
            assert_eq!(why(destination, &proxy, HOSTS), Ok(format!("{destination}: {route}\n")));
        }
        let local = why("a.example:1", &Config::strict(vec![Upstream::Local]), HOSTS).unwrap();
        assert_eq!(local, "a.example:1: carried by local:, name resolved by the agent\n");
    }

    #[test]
    fn what_is_not_host_and_port_is_a_failure() {
        for destination in [
            "",
            ":",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "a:x",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[a]:1",
            "a b:1",
            "http://a:1",
        ] {
            let failed = why(destination, &Config::strict(vec![Upstream::Local]), HOSTS).unwrap_err();
            assert_eq!(failed.status, 125, "{destination}");
        }
    }
}
