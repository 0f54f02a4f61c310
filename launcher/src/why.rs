//! `--why`: the route of a connection, by the rules that the agent follows.

use std::net::{IpAddr, Ipv6Addr};

use underpass_core::destination::{DNS_PORT, is_local};
use underpass_core::upstream::Upstream;
use underpass_core::wire::MAX_NAME;

use crate::messages::Failure;

/// One line for `HOST:PORT`.
pub(crate) fn why(destination: &str, upstream: &Upstream) -> Result<String, Failure> {
    let (host, port) = parse(destination).ok_or_else(|| {
        Failure::setup(format_args!("--why: {destination:?} is not HOST:PORT"))
            .hint("db.internal:5432, 10.0.0.1:80 or [2001:db8::1]:443")
    })?;
    let local = match &host {
        Host::Address(ip) => is_local(*ip),
        Host::Name(name) => is_localhost(name),
    };
    let route = match (local, &host) {
        (true, _) if port == DNS_PORT => "refused, DNS never leaves directly".to_owned(),
        (true, _) => "direct, loopback".to_owned(),
        (false, Host::Address(_)) => format!("carried by {upstream}"),
        (false, Host::Name(_)) if *upstream == Upstream::Local => {
            format!("carried by {upstream}, name resolved by the agent")
        }
        (false, Host::Name(_)) => format!("carried by {upstream}, name resolved there"),
    };
    Ok(format!("{destination}: {route}\n"))
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

    #[test]
    fn each_route_is_said() {
        let proxy: Upstream = "socks5h://10.0.0.1:1080".parse().unwrap();
        let table = [
            ("db.internal:5432", "carried by socks5h://10.0.0.1:1080, name resolved there"),
            ("10.1.2.3:80", "carried by socks5h://10.0.0.1:1080"),
            ("[2001:db8::1]:80", "carried by socks5h://10.0.0.1:1080"),
            ("8.8.8.8:53", "carried by socks5h://10.0.0.1:1080"),
            ("127.0.0.1:80", "direct, loopback"),
            ("[::ffff:127.0.0.1]:80", "direct, loopback"),
            ("localhost:80", "direct, loopback"),
            ("a.LOCALHOST.:80", "direct, loopback"),
            ("127.0.0.1:53", "refused, DNS never leaves directly"),
            ("[::1]:53", "refused, DNS never leaves directly"),
        ];
        for (destination, route) in table {
            assert_eq!(why(destination, &proxy), Ok(format!("{destination}: {route}\n")));
        }
        let local = why("a.example:1", &Upstream::Local).unwrap();
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
            let failed = why(destination, &Upstream::Local).unwrap_err();
            assert_eq!(failed.status, 125, "{destination}");
        }
    }
}
