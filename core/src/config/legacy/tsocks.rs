//! `tsocks.conf`: one server for each of several networks, and one for the rest.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::super::pattern::{AddressRange, PortRange};
use super::super::problem::{nearest, shown};
use super::super::route::{Route, To};
use super::super::{Chain, Config, ConfigError, Kind, MAIN_CHAIN, Parsed};
use super::{Notes, hop, mask, port};
use crate::failure::errno;
use crate::upstream::{HopHost, Isolation, Protocol, Upstream};

/// The port of SOCKS, where no other is said (RFC 1928 section 3).
const PORT: u16 = 1080;

const KEYS: [&str; 7] =
    ["server", "server_port", "server_type", "default_user", "default_pass", "local", "reaches"];

/// The default server, or one of a `path` block.
#[derive(Default)]
struct Server<'t> {
    line: usize,
    host: Option<&'t str>,
    port: Option<u16>,
    protocol: Option<Protocol>,
    user: Option<&'t str>,
    password: Option<&'t str>,
    reaches: Vec<Route>,
}

/// Reads a file.
pub fn parse(text: &str, file: &str) -> Result<Parsed, ConfigError> {
    let mut notes = Notes::new(text, file)?;
    let mut routes = Vec::new();
    let mut default = Server::default();
    let mut paths: Vec<Server<'_>> = Vec::new();
    let mut in_path = false;
    for (number, line) in text.lines().enumerate() {
        notes.line = number + 1;
        let words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let words: Vec<_> = words.take_while(|word| !word.starts_with('#')).collect();
        match words.as_slice() {
            [] => {}
            ["path", "{"] if in_path => return notes.fail("a path within a path"),
            ["path", "{"] => {
                paths.push(Server { line: notes.line, ..Server::default() });
                in_path = true;
            }
            ["path", ..] => return notes.fail("a path begins with: path {"),
            ["}"] => {
                if !in_path {
                    notes.warn("} has no effect: no path is open");
                }
                in_path = false;
            }
            ["}", ..] => return notes.fail("a path ends with } alone on its line"),
            ["local", "=", _] if in_path => return notes.fail("local within a path"),
            ["local", "=", range] => {
                let route = network(range).or_else(|why| notes.fail(format!("local: {why}")))?;
                if !route.ports.is_empty() {
                    return notes.fail("local takes no ports");
                }
                routes.push(route);
            }
            ["reaches", "=", _] if !in_path => notes.warn("reaches has no effect outside a path"),
            [key, "=", value] => {
                let path = if in_path { paths.last_mut() } else { None };
                set(path.unwrap_or(&mut default), &notes, key, value)?;
            }
            [key, ..] => {
                let hint = "write KEY = VALUE, with blanks round the equals sign";
                let key = key.split('=').next().unwrap_or_default();
                return notes.fail(format!("{}: {hint}", shown(key)));
            }
        }
    }
    if in_path {
        notes.warn("the last path has no end: } is missing");
    }
    let mut chains = BTreeMap::new();
    // The path that comes last in the file is the first that tsocks looks at.
    for (number, path) in paths.iter().enumerate().rev() {
        notes.line = path.line;
        let Some(hop) = server(path, &mut notes)? else { return notes.fail("the path has no server") };
        // tsocks counts loopback as local before it looks at any path.
        let (loopback, reaches): (Vec<_>, Vec<_>) =
            path.reaches.iter().partition(|route| route.names_loopback());
        if !loopback.is_empty() {
            notes.warn("reaches has no effect for loopback, which is local");
        }
        if reaches.is_empty() {
            notes.warn("the path has no effect: it reaches nothing");
            continue;
        }
        let name = format!("path{}", number + 1);
        routes
            .extend(reaches.into_iter().map(|route| Route { to: To::Chain(name.clone()), ..route.clone() }));
        chains.insert(name, alone(hop));
    }
    notes.line = default.line;
    let otherwise = match server(&default, &mut notes)? {
        Some(hop) => {
            chains.insert(MAIN_CHAIN.to_owned(), alone(hop));
            To::Chain(MAIN_CHAIN.to_owned())
        }
        None if chains.is_empty() => {
            return Err(ConfigError::whole(file, "no server: write server = ADDRESS"));
        }
        None => To::Refuse(errno::ECONNREFUSED),
    };
    notes.warnings.sort_by_key(|warning| warning.line);
    Ok(Parsed {
        config: Config { chains, routes, otherwise, ..Config::strict(Vec::new()) },
        warnings: notes.warnings,
    })
}

fn alone(hop: Upstream) -> Chain {
    Chain { kind: Kind::Strict, hops: vec![hop], length: None }
}

fn set<'t>(server: &mut Server<'t>, notes: &Notes<'_>, key: &str, value: &'t str) -> Result<(), ConfigError> {
    let twice = match key {
        "server" => server.host.replace(value).is_some(),
        "server_port" => {
            let Some(port) = port(value) else { return notes.fail("server_port is not from 1 to 65535") };
            server.port.replace(port).is_some()
        }
        "server_type" => {
            let protocol = match value {
                // Names are asked for as SOCKS4a has it, addresses as SOCKS4 has it.
                "4" => Protocol::Socks4a,
                "5" => Protocol::Socks5,
                _ => return notes.fail("server_type is 4 or 5"),
            };
            server.protocol.replace(protocol).is_some()
        }
        "default_user" => server.user.replace(value).is_some(),
        "default_pass" => server.password.replace(value).is_some(),
        "reaches" => {
            let route = network(value).or_else(|why| notes.fail(format!("reaches: {why}")))?;
            server.reaches.push(route);
            false
        }
        _ => {
            let near =
                nearest(key, KEYS).map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
            return notes.fail(format!("unknown key {}{near}", shown(key)));
        }
    };
    if server.line == 0 {
        server.line = notes.line;
    }
    if twice { notes.fail(format!("{key} is said twice for this server")) } else { Ok(()) }
}

/// The hop; `None` if no server is named.
fn server(server: &Server<'_>, notes: &mut Notes<'_>) -> Result<Option<Upstream>, ConfigError> {
    let protocol = server.protocol.unwrap_or(Protocol::Socks4a);
    let Some(host) = server.host else {
        if server.line != 0 && server.reaches.is_empty() {
            notes.warn("port, type, user and password have no effect without a server");
        }
        return Ok(None);
    };
    let login = match (server.user, server.password) {
        (None, Some(_)) => return notes.fail("default_pass needs default_user"),
        (Some(user), Some(_)) if protocol == Protocol::Socks4a => {
            notes.warn("default_pass has no effect: SOCKS4 has no password");
            Some((user, ""))
        }
        (Some(user), password) => Some((user, password.unwrap_or_default())),
        (None, None) => None,
    };
    let host = host.parse().map_or_else(|_| HopHost::Name(host.to_owned()), HopHost::Address);
    let hop = hop(protocol, host, server.port.unwrap_or(PORT), login, Isolation::No);
    hop.map(Some).or_else(|error| notes.fail(error.to_string()))
}

/// `IPV4[:PORT[-PORT]]/MASK`
fn network(text: &str) -> Result<Route, &'static str> {
    let (place, bits) = text.split_once('/').ok_or("write ADDRESS/MASK, as 10.0.0.0/255.0.0.0")?;
    let (ip, ports) = place.split_once(':').map_or((place, None), |(ip, ports)| (ip, Some(ports)));
    let ip: Ipv4Addr = ip.parse().map_err(|_| "not an address of IPv4")?;
    let prefix = mask(bits).ok_or("not a mask such as 255.0.0.0, or one with holes")?;
    let beyond = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    if u32::from(ip) & beyond != 0 {
        return Err("the address has bits that its mask has not");
    }
    let ports = ports.map(|ports| ports.parse::<PortRange>()).transpose();
    let ports = ports.map_err(|_| "the ports are not from 1 to 65535, or in the wrong order")?;
    let range = AddressRange::new(IpAddr::V4(ip), prefix).ok_or("not a range")?;
    Ok(Route { addresses: vec![range], ports: ports.into_iter().collect(), ..Route::default() })
}

#[cfg(test)]
mod tests;
