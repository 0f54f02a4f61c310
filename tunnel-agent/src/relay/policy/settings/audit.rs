//! `[audit]`

use std::path::Path;

use underpass_core::config::ConfigError;
use underpass_core::config::problem::unknown;
use underpass_core::config::reader::{Entry, Reader};

use super::super::audit::{Audit, Names, To};
use super::{path, secret, size};

const KEYS: [&str; 6] = ["to", "size", "keep", "names", "names-key", "neighbour"];

pub(super) fn audit(
    reader: &Reader<'_>,
    entry: Option<Entry<'_>>,
    folder: &Path,
) -> Result<Audit, ConfigError> {
    let mut audit = Audit::default();
    let Some(entry) = entry else { return Ok(audit) };
    let mut table = reader.table(&entry, &KEYS, "[audit]")?;
    if let Some(entry) = table.take("to") {
        audit.to = match reader.string(&entry)? {
            "off" => To::Off,
            "journal" => To::Journal,
            text if text.contains('/') => To::file(path(reader, &entry, folder)?),
            text => return reader.fail(entry.at, unknown("to", text, ["off", "journal", "./PATH"])),
        };
    }
    for key in ["size", "keep"] {
        let Some(entry) = table.take(key) else { continue };
        match &mut audit.to {
            To::File { size: bytes, .. } if key == "size" => *bytes = size(reader, &entry)?,
            To::File { keep, .. } => *keep = reader.number(&entry, 1000)?,
            _ => return reader.fail(entry.key_at, format!("{key} has a meaning with a file alone")),
        }
    }
    if let Some(entry) = table.take("names") {
        audit.names =
            reader.word(&entry, &[("plain", false), ("hashed", true)]).map(|hashed| match hashed {
                true => Names::Hashed(None),
                false => Names::Plain,
            })?;
    }
    if let Some(entry) = table.take("names-key") {
        let Names::Hashed(key) = &mut audit.names else {
            return reader.fail(entry.key_at, "names-key has a meaning with names = \"hashed\" alone");
        };
        *key = Some(secret(reader, &entry, folder)?);
    }
    audit.neighbour = table.take("neighbour").map_or(Ok(false), |entry| reader.boolean(&entry))?;
    Ok(audit)
}
