//! `dns`, `fake-pool`, `fake-pool6`.

use std::str::FromStr;

use super::super::ConfigError;
use super::super::dns::Dns;
use super::super::pool::Pool;
use super::super::reader::{Entry, Reader};

pub(super) fn dns(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Dns, ConfigError> {
    reader.string(entry)?.parse().or_else(|why| reader.fail(entry.at, format!("dns: {why}")))
}

pub(super) fn pool(
    reader: &Reader<'_>,
    v4: Option<Entry<'_>>,
    v6: Option<Entry<'_>>,
) -> Result<Pool, ConfigError> {
    let Some(v4) = v4 else {
        return match v6 {
            Some(v6) => reader.fail(v6.key_at, "fake-pool6 needs fake-pool beside it"),
            None => Ok(Pool::default()),
        };
    };
    let six = v6.map(|entry| range(reader, &entry)).transpose()?;
    Pool::new(range(reader, &v4)?, six).or_else(|why| reader.fail(v4.at, format!("fake-pool: {why}")))
}

fn range<R: FromStr>(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<R, ConfigError> {
    let text = reader.string(entry)?;
    text.parse().or_else(|_| {
        let form = if entry.key == "fake-pool" { "198.18.0.0/15" } else { "fd00::/64" };
        reader.fail(entry.at, format!("{} is a range of addresses, as {form}", entry.key))
    })
}
