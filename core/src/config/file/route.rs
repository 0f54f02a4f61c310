//! `[[route]]`: which connections, and where they go.

use std::collections::BTreeMap;

use super::super::problem::shown;
use super::super::reader::{Entry, Reader};
use super::super::route::{Route, To};
use super::super::{Chain, ConfigError};
use super::UserId;
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
    user_id: UserId<'_>,
) -> Result<Vec<Route>, ConfigError> {
    reader.tables(entry)?.iter().map(|entry| route(reader, entry, chains, user_id)).collect()
}

fn route(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    chains: &BTreeMap<String, Chain>,
    user_id: UserId<'_>,
) -> Result<Route, ConfigError> {
    let mut table = reader.table(entry, &KEYS, "[[route]]")?;
    let (domain, address) = (table.take("domain"), table.take("address"));
    if let (Some(_), Some(address)) = (&domain, &address) {
        return reader.fail(
            address.key_at,
            "domain and address in one route: no connection matches both, because a name matches before it is resolved",
        );
    }
    let mut route = Route {
        domains: reader.list(domain, Reader::parsed)?,
        addresses: reader.list(address, Reader::parsed)?,
        ports: reader.list(table.take("port"), Reader::ports)?,
        programs: reader.list(table.take("program"), Reader::parsed)?,
        users: reader.list(table.take("user"), |reader, entry| user(reader, entry, user_id))?,
        to: To::default(),
    };
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

/// A name or a number; a string of digits is a number.
fn user(reader: &Reader<'_>, entry: &Entry<'_>, user_id: UserId<'_>) -> Result<u32, ConfigError> {
    if let Some(id) = reader.integer(entry) {
        return id.map_or_else(|| reader.fail(entry.at, "no user id: from 0 to 4294967295"), Ok);
    }
    let name = reader.string(entry)?;
    let number = name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
    let id = number.or_else(|| if name.is_empty() { None } else { user_id(name) });
    id.map_or_else(|| reader.fail(entry.at, format!("no user {} on this system", shown(name))), Ok)
}
