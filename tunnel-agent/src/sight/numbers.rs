//! What an agent tells of itself, for metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::agent::Agent;
use crate::metrics::process;
use crate::metrics::text::{Kind, Text};
use crate::plan::Plan;
use crate::sock_diag;
use crate::tally::{MOST, OTHERS};

/// For a thread that may wait: the kernel is asked for the sockets that were handed off.
pub(super) fn tell(agent: &Agent) -> String {
    let mut text = Text::default();
    process::tell(&mut text);
    let help = "Sessions: configurations of launches whose programs may be carried, and of doors.";
    text.single("underpass_sessions", Kind::Gauge, help, agent.sessions.count());
    let help = "Connections for which there is still room.";
    text.single("underpass_connections_free", Kind::Gauge, help, agent.room.free());
    connections(agent, &mut text);
    chains(agent, &mut text);
    text.end()
}

fn connections(agent: &Agent, text: &mut Text) {
    let all = agent.courses.tallies.all();
    let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
    text.metric("underpass_connections_total", Kind::Counter, "Connections, by what has become of them.");
    for (chain, tally) in &all {
        text.sample(&[("chain", chain), ("outcome", "handed_off")], now(&tally.handed_off));
        text.sample(&[("chain", chain), ("outcome", "relayed")], now(&tally.relayed));
        let failed: u64 = tally.failures.lock().values().sum();
        text.sample(&[("chain", chain), ("outcome", "failed")], failed);
    }
    let help = "Connections that have not come about, by reason.";
    text.metric("underpass_connection_failures_total", Kind::Counter, help);
    for (chain, tally) in &all {
        for (reason, count) in &*tally.failures.lock() {
            text.sample(&[("chain", chain), ("reason", reason)], count);
        }
    }
    let help = "From a program's request to its connection, in seconds.";
    text.metric("underpass_connect_seconds", Kind::Histogram, help);
    for (chain, tally) in &all {
        text.histogram(&[("chain", chain)], &tally.connect.snapshot());
    }
    let help = "Bytes of relayed connections, from programs (up) and to them (down).";
    text.metric("underpass_bytes_total", Kind::Counter, help);
    for (chain, tally) in &all {
        text.sample(&[("chain", chain), ("direction", "up")], now(&tally.up));
        text.sample(&[("chain", chain), ("direction", "down")], now(&tally.down));
    }
    text.metric("underpass_connections_open", Kind::Gauge, "Connections that are open.");
    for (chain, tally) in &all {
        text.sample(&[("chain", chain), ("mechanism", "relayed")], now(&tally.open));
    }
    for (chain, count) in handed_off(agent) {
        text.sample(&[("chain", &chain), ("mechanism", "handed_off")], count);
    }
}

/// How many sockets that were handed off are open; nothing where the kernel does not tell.
fn handed_off(agent: &Agent) -> BTreeMap<Box<str>, u64> {
    let mut open: BTreeMap<Box<str>, u64> = BTreeMap::new();
    let read = sock_diag::tcp_infos(|infos| {
        for info in infos.iter().filter(|info| info.owned) {
            let Some((_, to)) = agent.carried.handed_off(info.cookie) else { continue };
            let course = agent.courses.get(to.course);
            let chain = course.as_ref().and_then(|course| course.chain.as_deref()).unwrap_or(OTHERS);
            let chain = if open.len() < MOST || open.contains_key(chain) { chain } else { OTHERS };
            *open.entry(chain.into()).or_default() += 1;
        }
        true
    });
    if let Err(error) = read {
        tracing::debug!(%error, "the kernel's list of sockets cannot be read");
        open.clear();
    }
    open
}

/// A hop of a chain, in whatever configuration: by the chain's name, its place and its URL.
type Place = (String, usize, String);

/// How it fares; of several configurations, the worst of it.
#[derive(Default)]
struct Fares {
    is_tried: bool,
    failures: u32,
    round_trip: Option<f64>,
}

fn chains(agent: &Agent, text: &mut Text) {
    let (mut warm, mut sessions) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    let mut hops: BTreeMap<Place, Fares> = BTreeMap::new();
    let mut plans: BTreeMap<u32, std::sync::Arc<Plan>> = BTreeMap::new();
    plans.extend(agent.sessions.plans().into_iter().map(|plan| (plan.number, plan)));
    for (name, chain) in plans.values().flat_map(|plan| plan.chains()) {
        if warm.len() >= MOST && !warm.contains_key(name) {
            continue;
        }
        *warm.entry(name.to_owned()).or_default() += chain.warm();
        *sessions.entry(name.to_owned()).or_default() += chain.sessions();
        for (place, hop) in chain.hops().iter().enumerate() {
            let key = (name.to_owned(), place + 1, hop.upstream.to_string());
            if hops.len() >= 4 * MOST && !hops.contains_key(&key) {
                continue;
            }
            let health = hop.health();
            let fares = hops.entry(key).or_default();
            fares.is_tried |= health.tried.is_some();
            fares.failures = fares.failures.max(health.failures);
            let round_trip = health.round_trip.map(|time| time.as_secs_f64());
            fares.round_trip = fares.round_trip.into_iter().chain(round_trip).reduce(f64::max);
        }
    }
    let help = "Connections kept ready, which have gone the chain but for the destination.";
    text.metric("underpass_warm_connections", Kind::Gauge, help);
    warm.iter().for_each(|(chain, count)| text.sample(&[("chain", chain)], count));
    text.metric("underpass_relay_sessions", Kind::Gauge, "Sessions of HTTP/2 with relays.");
    sessions.iter().for_each(|(chain, count)| text.sample(&[("chain", chain)], count));
    let mut each = |name, help: &str, value: &dyn Fn(&Fares) -> Option<f64>| {
        text.metric(name, Kind::Gauge, help);
        for ((chain, place, url), fares) in &hops {
            if let Some(value) = value(fares) {
                text.sample(&[("chain", chain), ("hop", &place.to_string()), ("url", url)], value);
            }
        }
    };
    let help = "1, or 0 for a hop that has failed and has not served since.";
    each("underpass_hop_up", help, &|fares| {
        fares.is_tried.then_some(if fares.failures > 0 { 0.0 } else { 1.0 })
    });
    let help = "How often a hop has failed in a row, since it has served last.";
    each("underpass_hop_failures", help, &|fares| Some(fares.failures.into()));
    let help = "From the first packet to the connection with a first hop, in seconds.";
    each("underpass_hop_round_trip_seconds", help, &|fares| fares.round_trip);
}
