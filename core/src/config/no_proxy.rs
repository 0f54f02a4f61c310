//! `NO_PROXY`: what goes direct, as a list that curl and others read from the environment.

use std::net::IpAddr;

use super::pattern::{AddressRange, DomainPattern, PortRange};
use super::problem::shown;
use super::route::{Route, To};

/// The direct routes of a list: entries between commas or blanks, each `*`, a name (with or without a
/// leading dot: all below it too), an address or a range, each with `:PORT` if wanted.
/// The error is for a person.
pub(super) fn routes(list: &str) -> Result<Vec<Route>, String> {
    let (mut names, mut addresses) = (Route::default(), Route::default());
    let mut routes = Vec::new();
    for entry in list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty()) {
        if entry == "*" {
            return Ok(vec![Route { to: To::Direct, ..Route::default() }]);
        }
        let (host, port) = parse(entry).map_err(|why| format!("entry {}: {why}", shown(entry)))?;
        let alone = || Route { ports: port.into_iter().collect(), ..Route::default() };
        match (host, port) {
            (Host::Any, _) => routes.push(alone()),
            (Host::Name(name), None) => names.domains.push(name),
            (Host::Address(range), None) => addresses.addresses.push(range),
            (Host::Name(name), Some(_)) => routes.push(Route { domains: vec![name], ..alone() }),
            (Host::Address(range), Some(_)) => routes.push(Route { addresses: vec![range], ..alone() }),
        }
    }
    routes.extend([names, addresses].into_iter().filter(|route| *route != Route::default()));
    Ok(routes)
}

enum Host {
    Any,
    Name(DomainPattern),
    Address(AddressRange),
}

fn parse(entry: &str) -> Result<(Host, Option<PortRange>), String> {
    if let Ok(range) = entry.parse() {
        return Ok((Host::Address(range), None));
    }
    let (host, port) = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or("text after the bracket")?)),
        None => entry.split_once(':').map_or((entry, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(|port| {
        let range = super::pattern::number(port).and_then(|port| PortRange::new(port, port));
        range.ok_or("not a port from 1 to 65535")
    });
    let port = port.transpose()?;
    if host == "*" && !entry.starts_with('[') {
        return Ok((Host::Any, port));
    }
    if let Ok(range) = host.parse::<AddressRange>() {
        let v6 = host.split('/').next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()));
        return match v6 == entry.starts_with('[') {
            true => Ok((Host::Address(range), port)),
            false => Err("brackets are for IPv6".to_owned()),
        };
    }
    if entry.starts_with('[') {
        return Err("no IPv6 address in the brackets".to_owned());
    }
    // The error of what is meant to be a range is that of a range.
    if host.contains('/') {
        return Err(host.parse::<AddressRange>().err().map(|error| error.to_string()).unwrap_or_default());
    }
    let dotted = match host.starts_with('.') || host.contains(['*', '?']) {
        true => host.to_owned(),
        false => format!(".{host}"),
    };
    dotted.parse().map(|name| (Host::Name(name), port)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::route::Asked;
    use super::*;

    #[test]
    fn what_is_listed_goes_direct_and_the_rest_does_not() {
        for (list, yes, no) in [
            ("example.com", "example.com:1 a.example.com:1 A.EXAMPLE.COM.:1", "xexample.com:1 com:1"),
            (".example.com", "example.com:1 a.example.com:1", "xexample.com:1"),
            ("*.example.com", "a.example.com:1", "example.com:1"),
            ("a,b c", "a:1 b:1 c:1", "d:1"),
            (" , ,a,,", "a:1", "d:1"),
            ("a:80", "a:80 x.a:80", "a:81"),
            ("10.0.0.1", "10.0.0.1:1", "10.0.0.2:1"),
            ("10.0.0.0/8,fd00::/8", "10.9.9.9:1 fd00::1:1", "11.0.0.1:1"),
            ("10.0.0.0/8:443", "10.9.9.9:443", "10.9.9.9:80"),
            ("::1", "::1:1", "::2:1"),
            ("[::1]", "::1:1", "::2:1"),
            ("[fd00::1]:80", "fd00::1:80", "fd00::1:81"),
            ("[fd00::/8]:80", "fd00::9:80", "2001:db8::1:80"),
            ("*", "a:1 10.0.0.1:1 ::1:1", ""),
            ("a,*", "b:1", ""),
            ("*:80", "a:80 10.0.0.1:80", "a:81 fd00::1:81"),
            ("", "", "a:1 10.0.0.1:1"),
        ] {
            let mut config = Config::strict(Vec::new());
            config.routes = routes(list).expect(list);
            for (list_of, direct) in [(yes, true), (no, false)] {
                for text in list_of.split_whitespace() {
                    let (host, port) = text.rsplit_once(':').expect(text);
                    let ip = host.parse().ok();
                    let name = ip.is_none().then_some(host);
                    let asked = Asked { name, ip, port: port.parse().ok(), ..Asked::default() };
                    assert_eq!(*config.decide(&asked).1 == To::Direct, direct, "{list}: {text}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for list in [
            "a/b",
            "10.0.0.0/33",
            "a:0",
            "a:x",
            "a:",
            "a:1:2",
            "[::1",
            "[::1]x",
            "[a]:1",
            "[10.0.0.1]:1",
            "192.168.*",
            "[*]:443",
            "http://a",
            "<local>:x",
            "10.0.0.300",
            "..a",
            "::1/129",
            "fd00::/8:443",
        ] {
            assert!(routes(list).is_err(), "{list}");
        }
    }
}
