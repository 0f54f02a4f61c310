//! `[[expose]]`

use std::time::Duration;

use underpass_core::config::ConfigError;
use underpass_core::config::reader::{Entry, Reader};

use super::super::exposing::Exposing;
use super::name;
use super::rule::client;

const KEYS: [&str; 7] = ["name", "client", "address", "port", "most", "age", "grace"];
/// Listeners of one client at once, if nothing is said.
const MOST: u32 = 16;
/// In seconds.
const LONGEST: u32 = 366 * 24 * 60 * 60;

pub(super) fn exposing(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Vec<Exposing>, ConfigError> {
    let tables = reader.tables(entry)?;
    tables.iter().enumerate().map(|(number, entry)| one(reader, entry, number + 1)).collect()
}

fn one(reader: &Reader<'_>, entry: &Entry<'_>, number: usize) -> Result<Exposing, ConfigError> {
    let mut table = reader.table(entry, &KEYS, "[[expose]]")?;
    let label = table.take("name").map(|entry| name(reader, &entry)).transpose()?;
    let clients = reader.list(table.take("client"), client)?;
    let addresses = reader.list(table.take("address"), Reader::parsed)?;
    let ports = reader.list(table.take("port"), Reader::ports)?;
    let mut number_of = |key: &str| table.take(key).map(|entry| reader.number(&entry, LONGEST)).transpose();
    let most = number_of("most")?.unwrap_or(MOST);
    let seconds = |number: u32| Duration::from_secs(number.into());
    let (age, grace) = (number_of("age")?.map(seconds), number_of("grace")?.map(seconds).unwrap_or_default());
    Ok(Exposing {
        label: label.unwrap_or_else(|| number.to_string()).into(),
        clients,
        addresses,
        ports,
        most,
        age,
        grace,
    })
}
