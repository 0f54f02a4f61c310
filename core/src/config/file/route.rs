//! `[[route]]`: which connections, and where they go.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use toml::de::DeValue;

use super::super::pattern::PortRange;
use super::super::problem::shown;
use super::super::route::{Route, To};
use super::super::{Chain, ConfigError};
use super::reader::{Entry, Reader, integer};
use crate::failure::errno;

const KEYS: [&str; 7] = ["domain", "address", "port", "program", "user", "to", "errno"];

const ERRNOS: [(&str, i32); 5] = [
    ("ECONNREFUSED", errno::ECONNREFUSED),
    ("EACCES", errno::EACCES),
    ("ENETUNREACH", errno::ENETUNREACH),
    ("EHOSTUNREACH", errno::EHOSTUNREACH),
    ("ETIMEDOUT", errno::ETIMEDOUT),
];

pub(super) fn routes(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    chains: &BTreeMap<String, Chain>,
) -> Result<Vec<Route>, ConfigError> {
    const WRONG: &str = "route is a list of tables: write [[route]] above each";
    let DeValue::Array(array) = entry.value else { return reader.fail(entry.key_at, WRONG) };
    if array.is_empty() {
        return Ok(Vec::new());
    }
    let route = |element: &Entry<'_>| match element.value {
        DeValue::Table(_) => route(reader, element, chains),
        _ => reader.fail(element.at, WRONG),
    };
    reader.elements(entry)?.iter().map(route).collect()
}

fn route(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    chains: &BTreeMap<String, Chain>,
) -> Result<Route, ConfigError> {
    let mut table = reader.table(reader.as_table(entry)?, &KEYS)?;
    let (domain, address) = (table.take("domain"), table.take("address"));
    if let (Some(_), Some(address)) = (&domain, &address) {
        return reader.fail(
            address.key_at,
            "domain and address in one route: no connection matches both, because a name matches before it is resolved",
        );
    }
    let mut route = Route {
        domains: list(reader, domain)?,
        addresses: list(reader, address)?,
        programs: list(reader, table.take("program"))?,
        ..Route::default()
    };
    for entry in elements(reader, table.take("port"))? {
        route.ports.push(port(reader, &entry)?);
    }
    for entry in elements(reader, table.take("user"))? {
        route.users.push(user(reader, &entry)?);
    }
    let Some(to) = table.take("to") else {
        return reader
            .fail(entry.at, "the route leads nowhere: write to = \"CHAIN\", \"direct\" or \"refuse\"");
    };
    route.to = super::to(reader, &to, chains)?;
    if let Some(entry) = table.take("errno") {
        match &mut route.to {
            To::Refuse(errno) => *errno = reader.word(&entry, &ERRNOS)?,
            _ => return reader.fail(entry.key_at, "errno has a meaning with to = \"refuse\" alone"),
        }
    }
    if (Route { to: To::default(), ..route.clone() }) == Route::default() {
        return reader.fail(
            entry.at,
            "an empty route matches everything: write default = … instead, or one of domain, address, port, \
             program and user",
        );
    }
    Ok(route)
}

fn elements<'t>(reader: &Reader<'_>, entry: Option<Entry<'t>>) -> Result<Vec<Entry<'t>>, ConfigError> {
    entry.map_or(Ok(Vec::new()), |entry| reader.elements(&entry))
}

fn list<P: FromStr<Err: Display>>(
    reader: &Reader<'_>,
    entry: Option<Entry<'_>>,
) -> Result<Vec<P>, ConfigError> {
    elements(reader, entry)?.iter().map(|entry| pattern(reader, entry)).collect()
}

fn pattern<P: FromStr<Err: Display>>(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<P, ConfigError> {
    let text = reader.string(entry)?;
    text.parse().or_else(|why| reader.fail(entry.at, format!("{} {}: {why}", entry.key, shown(text))))
}

fn port(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<PortRange, ConfigError> {
    match entry.value {
        DeValue::Integer(_) => {
            let port = integer(entry.value).and_then(|port| u16::try_from(port).ok());
            let range = port.and_then(|port| PortRange::new(port, port));
            range.map_or_else(|| reader.fail(entry.at, "port is not from 1 to 65535"), Ok)
        }
        _ => pattern(reader, entry),
    }
}

/// A name or a number; a string of digits is a number.
fn user(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<u32, ConfigError> {
    if let DeValue::Integer(_) = entry.value {
        let id = integer(entry.value);
        return id.map_or_else(|| reader.fail(entry.at, "no user id: from 0 to 4294967295"), Ok);
    }
    let name = reader.string(entry)?;
    let number = name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
    let id = number.or_else(|| if name.is_empty() { None } else { (reader.user_id)(name) });
    id.map_or_else(|| reader.fail(entry.at, format!("no user {} on this system", shown(name))), Ok)
}
