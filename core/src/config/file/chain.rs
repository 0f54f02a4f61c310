//! `[chain.NAME]`: hops, and how a path is made of them.

use std::num::NonZeroUsize;

use super::super::reader::{Entry, Reader};
use super::super::{Chain, ConfigError, Kind};
use crate::upstream::Upstream;

const KEYS: [&str; 3] = ["kind", "hops", "length"];

pub(super) fn chain(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Chain, ConfigError> {
    let mut table = reader.table(entry, &KEYS, "[chain.NAME]")?;
    let kind = table.take("kind").map_or(Ok(Kind::default()), |entry| reader.word(&entry, &Kind::WORDS))?;
    let hops = match table.take("hops") {
        Some(entry) => hops(reader, &entry)?,
        None => return reader.fail(entry.key_at, format!("chain \"{}\" has no hops", entry.key)),
    };
    let counted = matches!(kind, Kind::Random | Kind::RoundRobin);
    let length = match table.take("length") {
        Some(entry) if !counted => {
            return reader.fail(entry.key_at, "length has a meaning for kind random and round-robin alone");
        }
        Some(entry) => {
            let length = reader.number(&entry, u32::MAX)? as usize;
            if length > hops.len() {
                let text = format!("length is larger than the number of hops, which is {}", hops.len());
                return reader.fail(entry.at, text);
            }
            NonZeroUsize::new(length)
        }
        None => counted.then_some(NonZeroUsize::MIN),
    };
    Ok(Chain { kind, hops, length })
}

/// One URL or a list of them.
pub(super) fn hops(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Vec<Upstream>, ConfigError> {
    let elements = reader.elements(entry)?;
    let hop = |entry: &Entry<'_>| {
        let url = reader.string(entry)?;
        url.parse::<Upstream>().or_else(|error| reader.fail(entry.at, error.to_string()))
    };
    elements.iter().map(hop).collect()
}
