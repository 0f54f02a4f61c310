//! `torsocks.conf`.

use std::net::{IpAddr, Ipv4Addr};

use super::super::pool::Pool;
use super::super::problem::{nearest, shown};
use super::super::{Config, ConfigError, Parsed};
use super::{Notes, hop, pool, port};
use crate::upstream::{HopHost, Isolation, Protocol};

/// Tor's own defaults.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 9050;

const KEYS: [&str; 8] = [
    "TorAddress",
    "TorPort",
    "OnionAddrRange",
    "SOCKS5Username",
    "SOCKS5Password",
    "AllowInbound",
    "AllowOutboundLocalhost",
    "IsolatePID",
];

#[derive(Default)]
struct Settings<'t> {
    address: Option<IpAddr>,
    port: Option<u16>,
    user: Option<&'t str>,
    password: Option<&'t str>,
    isolate: bool,
    pool: Pool,
}

/// Reads a file.
pub fn parse(text: &str, file: &str) -> Result<Parsed, ConfigError> {
    let mut notes = Notes::new(text, file)?;
    let mut settings = Settings::default();
    for (number, line) in text.split('\n').enumerate() {
        notes.line = number + 1;
        let line = line.strip_suffix('\r').unwrap_or(line);
        let words: Vec<_> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => {}
            _ if line.starts_with('#') => {}
            [_, _, _, _, _, _, ..] => return notes.fail("more than 5 words"),
            [key] => {
                let text = if KEYS.contains(key) { "has no value" } else { "is no key with its value" };
                return notes.fail(format!("{} {text}", shown(key)));
            }
            [key, value, rest @ ..] => {
                set(&mut settings, &mut notes, key, value)?;
                if !rest.is_empty() {
                    notes.warn(format!("{}: the text after the value is ignored", shown(key)));
                }
            }
        }
    }
    let login = match (settings.user, settings.password) {
        (None, None) => None,
        (Some(_), Some(_)) if settings.isolate => {
            return Err(ConfigError::whole(file, "IsolatePID excludes SOCKS5Username and SOCKS5Password"));
        }
        (Some(user), Some(password)) => Some((user, password)),
        _ => return Err(ConfigError::whole(file, "SOCKS5Username and SOCKS5Password need each other")),
    };
    let isolation = if settings.isolate { Isolation::Program } else { Isolation::No };
    let host = HopHost::Address(settings.address.unwrap_or(ADDRESS));
    let hop = hop(Protocol::Socks5, host, settings.port.unwrap_or(PORT), login, isolation)
        .map_err(|error| ConfigError::whole(file, error.to_string()))?;
    let config = Config { pool: settings.pool, ..Config::strict(vec![hop]) };
    Ok(Parsed { config, warnings: notes.warnings })
}

fn set<'t>(
    settings: &mut Settings<'t>,
    notes: &mut Notes<'_>,
    key: &str,
    value: &'t str,
) -> Result<(), ConfigError> {
    let number = |most: u8| {
        let number = value.parse().ok().filter(|number: &u8| *number <= most && value.len() == 1);
        number.ok_or_else(|| notes.error(format!("{key} is a number from 0 to {most}")))
    };
    match key {
        "TorAddress" => match value.parse() {
            Ok(address) => settings.address = Some(address),
            Err(_) => return notes.fail("TorAddress is not an address of IPv4 or IPv6"),
        },
        "TorPort" => match port(value) {
            Some(port) => settings.port = Some(port),
            None => return notes.fail("TorPort is not from 1 to 65535"),
        },
        "OnionAddrRange" => {
            let Ok(range) = value.parse::<ipnet::Ipv4Net>() else {
                return notes.fail("OnionAddrRange is not a range of IPv4, as 127.42.42.0/24");
            };
            if value != "127.42.42.0/24" {
                settings.pool = pool(notes, key, range);
            }
        }
        "SOCKS5Username" | "SOCKS5Password" if value.len() > 255 => {
            return notes.fail(format!("{key} is longer than 255 bytes"));
        }
        "SOCKS5Username" => settings.user = Some(value),
        "SOCKS5Password" => settings.password = Some(value),
        "AllowInbound" => {
            if number(1)? == 0 {
                notes.warn("AllowInbound 0 has no effect: programs may listen");
            }
        }
        "AllowOutboundLocalhost" => match number(2)? {
            0 => notes.warn("AllowOutboundLocalhost 0 has no effect: loopback is direct"),
            1 => notes.warn("AllowOutboundLocalhost 1 means 2 here: datagrams to loopback are direct too"),
            _ => {}
        },
        "IsolatePID" => {
            settings.isolate = number(1)? == 1;
            if settings.isolate {
                notes.warn("IsolatePID isolates by program file here, not by process");
            }
        }
        _ => {
            let near =
                nearest(key, KEYS).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            notes.warn(format!("unknown key {} has no effect{near}", shown(key)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
