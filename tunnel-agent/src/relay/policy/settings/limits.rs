//! `[limits]`

use underpass_core::config::ConfigError;
use underpass_core::config::reader::{Entry, Reader};

use super::super::limits::Limits;
use super::size;

const KEYS: [&str; 6] = ["streams", "new", "rate", "total", "all-streams", "memory"];

/// Bounds of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelayLimits {
    /// For each client that has no others.
    pub(crate) client: Limits,
    /// Streams of all clients at once.
    pub(crate) streams: u32,
    /// Bytes that all streams together may keep in buffers.
    pub(crate) memory: u64,
}

impl Default for RelayLimits {
    fn default() -> Self {
        let client = Limits { streams: Some(10_000), new: Some(1_000), rate: None, total: None };
        Self { client, streams: 20_000, memory: 256 << 20 }
    }
}

pub(super) fn limits(reader: &Reader<'_>, entry: Option<Entry<'_>>) -> Result<RelayLimits, ConfigError> {
    let mut limits = RelayLimits::default();
    let Some(entry) = entry else { return Ok(limits) };
    let mut table = reader.table(&entry, &KEYS, "[limits]")?;
    let mut number = |key: &str| table.take(key).map(|entry| reader.number(&entry, u32::MAX)).transpose();
    limits.client.streams = number("streams")?.or(limits.client.streams);
    limits.client.new = number("new")?.or(limits.client.new);
    limits.streams = number("all-streams")?.unwrap_or(limits.streams);
    let mut bytes = |key: &str| table.take(key).map(|entry| size(reader, &entry)).transpose();
    limits.client.rate = bytes("rate")?;
    limits.client.total = bytes("total")?;
    limits.memory = bytes("memory")?.unwrap_or(limits.memory);
    Ok(limits)
}
