//! Relays in a row.

use rustix::process::{Pid, Signal, kill_process};
use underpass_tests::proxies::{self, Key, Relay};

use crate::place::{DENIED, NAME, Place};

/// The port of the first.
const FIRST: u16 = 4431;

/// So many relays, of which the client side can reach the first.
pub(crate) struct Row {
    pub(crate) place: Place,
    pub(crate) relays: Vec<Relay>,
    pub(crate) urls: Vec<String>,
    pub(crate) keys: Vec<Key>,
}

/// The client shows a key of its own to each relay.
pub(crate) fn row(length: u16) -> Row {
    let place = Place::new();
    let world = &place.world;
    let keys: Vec<_> = (0..length).map(|number| proxies::key(world, &format!("client-{number}"))).collect();
    let numbers = (FIRST..FIRST + length).zip(&keys);
    let relays: Vec<_> = numbers.map(|(port, key)| proxies::relay(world, port, &[key], DENIED)).collect();
    world.allow_proxy(FIRST);
    let urls = relays.iter().zip(&keys).enumerate();
    let urls = urls.map(|(number, (relay, key))| match number {
        0 => relay.url(key),
        _ => relay.url_at(NAME, key),
    });
    Row { urls: urls.collect(), place, relays, keys }
}

impl Row {
    /// For `-x`.
    pub(crate) fn urls(&self) -> Vec<&str> {
        self.urls.iter().map(String::as_str).collect()
    }

    /// Ends the agents, and with them the tunnels, which a relay writes down when they end.
    pub(crate) fn end_agents(&self) {
        for agent in self.place.world.agents() {
            let pid = i32::try_from(agent).ok().and_then(Pid::from_raw).expect("a process");
            kill_process(pid, Signal::TERM).expect("it is ours");
        }
    }

    /// Each relay but the last has connected to the next one, and knows nothing of these ports of the destination.
    #[track_caller]
    pub(crate) fn knows_neighbours_alone(&self, destinations: &[u16]) {
        for pair in self.relays.windows(2) {
            pair[0].real.wait_served(NAME, pair[1].real.port(), 1);
            let log = pair[0].real.log();
            for port in destinations {
                assert!(!log.contains(&format!("\"port\":{port},")), "{port} in {log}");
            }
        }
    }
}
