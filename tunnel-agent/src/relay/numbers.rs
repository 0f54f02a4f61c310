//! What a relay tells of itself, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Relay;
use crate::metrics::process;
use crate::metrics::text::{Kind, Text};

/// All of it. It waits for nobody.
pub(crate) fn tell(relay: &Relay) -> String {
    let mut text = Text::default();
    process::tell(&mut text);
    let clients = relay.usage.all();
    let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
    text.metric("underpass_relay_streams_total", Kind::Counter, "Streams that were asked for and might be.");
    clients.iter().for_each(|(name, used)| text.sample(&[("client", name)], now(&used.streams)));
    text.metric("underpass_relay_streams_open", Kind::Gauge, "Streams that are open.");
    clients.iter().for_each(|(name, used)| text.sample(&[("client", name)], now(&used.open)));
    let help = "Bytes of streams, from clients (up) and to them (down).";
    text.metric("underpass_relay_bytes_total", Kind::Counter, help);
    for (name, used) in &clients {
        text.sample(&[("client", name), ("direction", "up")], now(&used.up));
        text.sample(&[("client", name), ("direction", "down")], now(&used.down));
    }
    let help = "Requests that were refused, by the error of Proxy-Status (RFC 9209).";
    text.metric("underpass_relay_refusals_total", Kind::Counter, help);
    for (name, used) in &clients {
        for (reason, count) in &*used.refusals.lock() {
            text.sample(&[("client", name), ("reason", reason)], count);
        }
    }
    let help = "Requests with a token that is not known.";
    text.single("underpass_relay_strangers_total", Kind::Counter, help, now(&relay.usage.strangers));
    let lost = relay.log.lock().as_ref().map_or(0, |log| log.lost());
    let help = "Lines of the audit that could not be written.";
    text.single("underpass_relay_audit_lost_total", Kind::Counter, help, lost);
    text.end()
}
