//! `[[expose]]`: which listeners, and where they are reached.

use std::collections::BTreeMap;

use super::super::expose::Expose;
use super::super::problem::unknown;
use super::super::reader::{Entry, Reader};
use super::super::{Chain, ConfigError};

const KEYS: [&str; 5] = ["port", "program", "at", "address", "exit-port"];

pub(super) fn exposes(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    chains: &BTreeMap<String, Chain>,
) -> Result<Vec<Expose>, ConfigError> {
    reader.tables(entry)?.iter().map(|entry| expose(reader, entry, chains)).collect()
}

fn expose(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    chains: &BTreeMap<String, Chain>,
) -> Result<Expose, ConfigError> {
    let mut table = reader.table(entry, &KEYS, "[[expose]]")?;
    let Some(at) = table.take("at") else {
        return reader.fail(entry.at, "nothing says where: write at = \"CHAIN\"");
    };
    let name = reader.string(&at)?;
    if !chains.contains_key(name) {
        return reader.fail(at.at, unknown("chain", name, chains.keys().map(String::as_str)));
    }
    let ports = reader.list(table.take("port"), Reader::ports)?;
    let exit_port = table.take("exit-port");
    if let Some(entry) = exit_port.as_ref().filter(|_| ports.len() != 1) {
        return reader.fail(entry.key_at, "exit-port has a meaning beside one port alone");
    }
    let exit_port = exit_port.map(|entry| reader.number(&entry, u16::MAX.into())).transpose()?;
    Ok(Expose {
        ports,
        programs: reader.list(table.take("program"), Reader::parsed)?,
        at: name.to_owned(),
        address: table.take("address").map(|entry| reader.parsed(&entry)).transpose()?,
        exit_port: exit_port.and_then(|port| u16::try_from(port).ok()),
    })
}
