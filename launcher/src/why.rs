//! `--why`: the route of a connection, by the rules that the agent follows.
//!
//! # Layout
//!
//! - [`words`]: ways and routes in words.

pub(crate) mod words;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use underpass_core::config::dns::Mode;
use underpass_core::config::pattern::number;
use underpass_core::config::route::{Asked, Route, To};
use underpass_core::destination::{DNS_PORT, is_local};
use underpass_core::wire::MAX_NAME;

use crate::configuration::Found;
use crate::messages::Failure;
use words::{place, resolved, way};

/// What is not known of a connection that is only asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here<'a> {
    /// hosts(5): its names are resolved here.
    pub(crate) hosts: &'a str,
    /// Who asks.
    pub(crate) user: u32,
}

/// The answer for `HOST` or `HOST:PORT`: where it goes and, where there are routes, which one says so and
/// on what else it depends.
pub(crate) fn why(destination: &str, found: &Found, here: Here<'_>) -> Result<String, Failure> {
    let (host, port) = parse(destination).ok_or_else(|| {
        // It is not repeated: it may be a URL, with a password.
        Failure::setup("--why: not HOST or HOST:PORT")
            .hint("db.internal, db.internal:5432, 10.0.0.1:80 or [2001:db8::1]:443")
    })?;
    let config = &found.config;
    let asked = Asked { port, user: Some(here.user), ..Asked::default() };
    let (asked, origin) = match &host {
        Host::Address(ip) => (Asked { ip: Some(*ip), ..asked }, String::new()),
        Host::Name(name) => {
            let by_name = Asked { name: Some(name), ..asked };
            // What goes direct by its name is resolved by the system, with or without a hosts file.
            let direct = config.direct_name(name, None, asked.user);
            let by_hosts = find(name, here.hosts).map(|ip| (ip, format!(" ({ip} by the hosts file)")));
            let localhost = || is_localhost(name).then(|| (Ipv4Addr::LOCALHOST.into(), String::new()));
            match by_hosts.or_else(localhost).filter(|(ip, _)| !direct || is_local(*ip)) {
                Some((ip, origin)) => (Asked { ip: Some(ip), ..asked }, origin),
                None => (by_name, String::new()),
            }
        }
    };
    let mut text = String::new();
    let local = asked.ip.is_some_and(is_local);
    let dns = if local { "answered by the agent, DNS never leaves directly" } else { "" };
    if local && port == Some(DNS_PORT) {
        return Ok(format!("{destination}: {dns}{origin}\n"));
    }
    let (number, to) = config.decide(&asked);
    let way_there = if local && number.is_none() { "direct, loopback".to_owned() } else { way(config, to) };
    let by_name = match (asked.name, config.dns.mode) {
        (None, _) => "",
        (Some(name), mode) if mode == Mode::Fake || config.minds_name(name) => resolved(config, to),
        (Some(_), Mode::Exit) => ", unless a route is for its address (--dns exit)",
        (Some(_), _) => ", unless a route is for its address (--dns local)",
    };
    let first = match (port, to) {
        (Some(DNS_PORT), To::Chain(_)) => "DNS, answered by the agent, and what it does not know ",
        _ => "",
    };
    let but = if local && port.is_none() { format!("; port {DNS_PORT} {dns}") } else { String::new() };
    let _ = writeln!(text, "{destination}: {first}{way_there}{by_name}{but}{origin}");
    if let To::Chain(name) = to
        && config.chains.get(name).is_some_and(|chain| chain.begins_at(&asked))
    {
        text.push_str(
            "  that is the first hop itself: a program that connects there goes through it twice\n",
        );
    }
    if let Some(number) = number {
        text.push_str(&place(found, number));
    } else if !config.routes.is_empty() && !local {
        let _ = writeln!(text, "  no route matches, so by default");
    }
    for (earlier, route) in config.routes.iter().enumerate().take(number.unwrap_or(usize::MAX)) {
        if let Some(condition) = condition(route, &asked) {
            let _ = writeln!(text, "but {condition}: {}", way(config, &route.to));
            text.push_str(&place(found, earlier));
        }
    }
    Ok(text)
}

/// On what it depends whether a route that does not match for want of knowledge does.
fn condition(route: &Route, asked: &Asked<'_>) -> Option<String> {
    let mut open = Route { programs: Vec::new(), ..route.clone() };
    if asked.port.is_none() {
        open.ports.clear();
    }
    if !open.matches(asked) {
        return None;
    }
    let mut conditions = Vec::new();
    if asked.port.is_none() && !route.ports.is_empty() {
        conditions.push(format!("on port {}", words::list(&route.ports)));
    }
    if !route.programs.is_empty() {
        conditions.push(format!("by the program {}", words::list(&route.programs)));
    }
    Some(conditions.join(" "))
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

fn parse(destination: &str) -> Option<(Host, Option<u16>)> {
    let port = |port: &str| number(port).filter(|&port| port != 0);
    if let Some(inside) = destination.strip_prefix('[') {
        let (ip, rest) = inside.split_once(']')?;
        let ip: Ipv6Addr = ip.parse().ok()?;
        let port = match rest {
            "" => None,
            rest => Some(port(rest.strip_prefix(':')?)?),
        };
        return Some((Host::Address(ip.into()), port));
    }
    // Alone, an IPv6 address is clear; with a port behind it, it would leave open where it ends, and
    // such a text is an address of its own mostly.
    if let Ok(ip) = destination.parse::<IpAddr>() {
        return Some((Host::Address(ip), None));
    }
    let (host, port) = match destination.rsplit_once(':') {
        Some((host, text)) => (host, Some(port(text)?)),
        None => (destination, None),
    };
    if let Ok(ip) = host.parse::<IpAddr>() {
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
mod tests;
