//! `[limits]`

use std::time::Duration;

use underpass_core::config::ConfigError;
use underpass_core::config::reader::{Entry, Reader};

use super::super::limits::Limits;
use super::size;

const KEYS: [&str; 8] = ["streams", "new", "rate", "total", "all-streams", "memory", "udp-idle", "drain"];
/// In seconds.
const LONGEST: u32 = 24 * 60 * 60;

/// Bounds of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelayLimits {
    /// For each client that has no others.
    pub(crate) client: Limits,
    /// Streams of all clients at once.
    pub(crate) streams: u32,
    /// Bytes that all streams together may keep in buffers.
    pub(crate) memory: u64,
    /// Datagrams that nobody sends any more end after this.
    pub(crate) udp_idle: Duration,
    /// What is open may take so long to end after SIGTERM; nothing said is no time at all.
    pub(crate) drain: Option<Duration>,
}

/// RFC 9298 section 3.1 wants two minutes at least, if nobody says otherwise.
pub(crate) const UDP_IDLE: Duration = Duration::from_secs(300);

impl Default for RelayLimits {
    fn default() -> Self {
        let client = Limits { streams: Some(10_000), new: Some(1_000), rate: None, total: None };
        Self { client, streams: 20_000, memory: 256 << 20, udp_idle: UDP_IDLE, drain: None }
    }
}

pub(super) fn limits(reader: &Reader<'_>, entry: Option<Entry<'_>>) -> Result<RelayLimits, ConfigError> {
    let mut limits = RelayLimits::default();
    let Some(entry) = entry else { return Ok(limits) };
    let mut table = reader.table(&entry, &KEYS, "[limits]")?;
    let mut number = |key: &str, most| table.take(key).map(|entry| reader.number(&entry, most)).transpose();
    limits.client.streams = number("streams", u32::MAX)?.or(limits.client.streams);
    limits.client.new = number("new", u32::MAX)?.or(limits.client.new);
    limits.streams = number("all-streams", u32::MAX)?.unwrap_or(limits.streams);
    let idle = number("udp-idle", LONGEST)?.map(|seconds| Duration::from_secs(seconds.into()));
    limits.udp_idle = idle.unwrap_or(limits.udp_idle);
    limits.drain = number("drain", LONGEST)?.map(|seconds| Duration::from_secs(seconds.into()));
    let mut bytes = |key: &str| table.take(key).map(|entry| size(reader, &entry)).transpose();
    limits.client.rate = bytes("rate")?;
    limits.client.total = bytes("total")?;
    limits.memory = bytes("memory")?.unwrap_or(limits.memory);
    Ok(limits)
}
