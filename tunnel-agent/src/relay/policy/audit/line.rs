//! One line of the audit.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::Serialize;

use super::super::client::Client;
use super::super::moment::rfc3339;
use super::Decision;
use super::names::Hasher;

/// In the order in which it is written; what is not known is left out.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    client: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    host: String,
    port: u16,
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    listens: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    up: u64,
    down: u64,
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbour: Option<IpAddr>,
}

/// With its newline.
pub(super) fn line(
    decision: &Decision<'_>,
    hasher: Option<&Hasher>,
    neighbour: bool,
    now: SystemTime,
) -> String {
    let (up, down) = decision.bytes;
    json(&Line {
        time: rfc3339(now),
        client: &decision.client.name,
        key: &decision.client.fingerprint,
        host: hasher.map_or_else(|| decision.host.to_owned(), |hasher| hasher.hash(decision.host)),
        port: decision.port,
        protocol: decision.protocol.to_string(),
        listens: decision.listens,
        // The address says what the name would have said.
        address: decision.address.filter(|_| hasher.is_none()),
        verdict: if decision.permitted { "permit" } else { "deny" },
        rule: decision.rule,
        reason: decision.reason.as_deref(),
        up,
        down,
        ms: u64::try_from(decision.duration.as_millis()).unwrap_or(u64::MAX),
        neighbour: decision.neighbour.filter(|_| neighbour),
    })
}

/// Somebody was refused before anything was judged, as so many times before.
pub(super) fn turned_away(
    client: Option<&Client>,
    why: &str,
    before: u64,
    neighbour: Option<IpAddr>,
    now: SystemTime,
) -> String {
    #[derive(Serialize)]
    struct TurnedAway<'a> {
        time: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<&'a str>,
        #[serde(skip_serializing_if = "str::is_empty")]
        key: &'a str,
        verdict: &'static str,
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        neighbour: Option<IpAddr>,
    }
    let mut reason = why.to_owned();
    if before > 0 {
        let _ = write!(reason, ", as {before} times before");
    }
    json(&TurnedAway {
        time: rfc3339(now),
        client: client.map(|client| &*client.name),
        key: client.map_or("", |client| &client.fingerprint),
        verdict: "deny",
        reason,
        neighbour,
    })
}

/// So many lines were lost before this one.
pub(super) fn lost(count: u64, now: SystemTime) -> String {
    #[derive(Serialize)]
    struct Lost {
        time: String,
        lost: u64,
    }
    json(&Lost { time: rfc3339(now), lost: count })
}

/// No text of ours has anything that JSON could not say.
fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default() + "\n"
}
