//! `[[rule]]`

use underpass_core::config::ConfigError;
use underpass_core::config::pattern::Glob;
use underpass_core::config::reader::{Entry, Reader};

use super::super::rules::{Protocol, Rule};
use super::name;

const KEYS: [&str; 8] = ["name", "client", "domain", "address", "port", "protocol", "private", "verdict"];

pub(super) fn rules(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Vec<Rule>, ConfigError> {
    let tables = reader.tables(entry)?;
    tables.iter().enumerate().map(|(number, entry)| rule(reader, entry, number + 1)).collect()
}

fn rule(reader: &Reader<'_>, entry: &Entry<'_>, number: usize) -> Result<Rule, ConfigError> {
    let mut table = reader.table(entry, &KEYS, "[[rule]]")?;
    let Some(verdict) = table.take("verdict") else {
        return reader.fail(entry.at, "the rule says nothing: write verdict = \"permit\" or \"deny\"");
    };
    let permit = reader.word(&verdict, &[("permit", true), ("deny", false)])?;
    let label = table.take("name").map(|entry| name(reader, &entry)).transpose()?;
    let protocol = table.take("protocol").map(|entry| reader.word(&entry, &Protocol::WORDS)).transpose()?;
    let private = table.take("private");
    if let Some(entry) = private.filter(|_| !permit) {
        return reader.fail(entry.key_at, "private has a meaning with verdict = \"permit\" alone");
    }
    Ok(Rule {
        label: label.unwrap_or_else(|| number.to_string()).into(),
        clients: reader.list(table.take("client"), client)?,
        domains: reader.list(table.take("domain"), Reader::parsed)?,
        addresses: reader.list(table.take("address"), Reader::parsed)?,
        ports: reader.list(table.take("port"), Reader::ports)?,
        protocol,
        private: private.map_or(Ok(false), |entry| reader.boolean(&entry))?,
        permit,
    })
}

/// A client's name, or a glob of such names. An empty one would match nobody.
pub(super) fn client(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Glob, ConfigError> {
    let text = reader.string(entry)?;
    let odd = |c: char| !c.is_ascii_alphanumeric() && !"-_.@*?".contains(c);
    match text.is_empty() || text.contains(odd) {
        true => reader.fail(entry.at, "client is a client's name, or a glob of such names, as build-*"),
        false => Ok(Glob::new(text.to_owned())),
    }
}
