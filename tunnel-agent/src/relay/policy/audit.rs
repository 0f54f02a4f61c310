//! What is written down of each decision: one line of JSON, from which an operator can answer who went where, and
//! nothing that was said there. No address of a client is in it, unless it is asked for.
//!
//! A line is made where the decision is made, and written by a thread of its own ([`writer`]): a disk that is
//! slow or full stops no connection. What it cannot take is lost and counted.
//!
//! # Layout
//!
//! - [`mod@line`]: what a line has. [`names`]: destinations that are not to be read from it.
//! - [`writer`]: the queue and its thread; [`mod@file`]: a file of bounded size.

mod file;
mod line;
mod names;
mod writer;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::client::Client;
use super::rules::Protocol;
use names::Hasher;
use writer::Writer;

/// How decisions are written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) to: To,
    pub(crate) names: Names,
    /// Whether the address is written from which the client's connection came.
    pub(crate) neighbour: bool,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum To {
    Off,
    /// To standard error, which is systemd's journal in a service.
    #[default]
    Journal,
    /// To a file of so many bytes at most, of which so many old ones are kept.
    File {
        path: PathBuf,
        size: u64,
        keep: u32,
    },
}

impl To {
    /// A file with the usual bounds.
    pub(super) fn file(path: PathBuf) -> Self {
        Self::File { path, size: 10 << 20, keep: 5 }
    }
}

/// How destinations are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Names {
    #[default]
    Plain,
    /// As a keyed hash: whoever has the key can look for a name, and nobody else. Without a file the key is
    /// made anew by each start.
    Hashed(Option<PathBuf>),
}

/// A decision, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Decision<'a> {
    pub(crate) client: &'a Client,
    /// As [`super::host::Host`] has it.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    /// What of a client's listener it is, if it is not a connection that goes out.
    pub(crate) listens: Option<&'static str>,
    /// The address that was dialled, or is forbidden, if the host is a name.
    pub(crate) address: Option<IpAddr>,
    pub(crate) permitted: bool,
    pub(crate) rule: Option<&'a str>,
    /// Why it is refused, or how it has ended.
    pub(crate) reason: Option<String>,
    /// Bytes from the client and to it.
    pub(crate) bytes: (u64, u64),
    pub(crate) duration: Duration,
    /// Where the client's connection came from: the relay before this one, or the client itself.
    pub(crate) neighbour: Option<IpAddr>,
}

/// The audit of one relay.
#[derive(Debug)]
pub(crate) struct Log {
    writer: Option<Writer>,
    hasher: Option<Hasher>,
    neighbour: bool,
}

impl Log {
    /// Opens the file and starts the thread that writes.
    pub(crate) fn open(audit: &Audit) -> io::Result<Self> {
        let hasher = match &audit.names {
            Names::Plain => None,
            Names::Hashed(key) => Some(Hasher::new(key.as_deref())?),
        };
        let writer = match &audit.to {
            To::Off => None,
            To::Journal => Some(Writer::start(Box::new(io::stderr()))?),
            To::File { path, size, keep } => {
                Some(Writer::start(Box::new(file::Rotated::open(path.clone(), *size, *keep)?))?)
            }
        };
        Ok(Self { writer, hasher, neighbour: audit.neighbour })
    }

    /// Writes a decision down, or counts it. It never waits.
    pub(crate) fn write(&self, decision: &Decision<'_>, now: SystemTime) {
        let Some(writer) = &self.writer else { return };
        writer.take(line::line(decision, self.hasher.as_ref(), self.neighbour, now));
    }

    /// Writes down that somebody was refused before anything was judged, and that so many were before of whom there is
    /// no line. What they have asked for is not in it.
    pub(crate) fn write_turned_away(
        &self,
        client: Option<&Client>,
        why: &str,
        before: u64,
        neighbour: Option<IpAddr>,
        now: SystemTime,
    ) {
        let Some(writer) = &self.writer else { return };
        writer.take(line::turned_away(client, why, before, neighbour.filter(|_| self.neighbour), now));
    }

    /// How many lines could not be written, from the start.
    pub(crate) fn lost(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::lost)
    }

    /// Waits until what was taken is written, but no longer than this.
    pub(crate) fn close(self, most: Duration) {
        if let Some(writer) = self.writer {
            writer.close(most);
        }
    }
}

#[cfg(test)]
mod tests;
