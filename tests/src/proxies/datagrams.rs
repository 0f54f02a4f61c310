//! A proxy of datagrams that answers by itself, for faults: `src/bin/fake-relay.rs` is its other half.

use std::sync::Mutex;
use std::time::Duration;

use crate::{Running, World, artifacts};

/// It, and what has happened.
pub struct Relay {
    process: Mutex<(Running, Vec<String>)>,
    url: String,
}

/// Starts one on a port of its own; the client side may reach it.
pub fn start(world: &World, port: u16) -> Relay {
    world.allow_proxy(port);
    world.allow_relays(41_000, 41_999);
    let program = world.far(artifacts::helper("fake-relay"));
    let mut process = program.arg(port.to_string()).limit(Duration::MAX).spawn();
    assert_eq!(process.next_line(), "ready");
    Relay { process: Mutex::new((process, Vec::new())), url: format!("socks5h://10.77.0.1:{port}") }
}

impl Relay {
    /// Its URL, for `-x`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on requests for associations are not answered.
    pub fn hold(&self) {
        self.command("hold");
    }

    /// They are, with this code, and those that wait too.
    pub fn answer(&self, code: u8) {
        self.command(&format!("answer {code}"));
    }

    /// How many associations were made.
    pub fn associations(&self) -> usize {
        self.notes().iter().filter(|note| *note == "associated").count()
    }

    /// The datagrams that have come, in their order: `HOST:PORT WORD`.
    pub fn datagrams(&self) -> Vec<String> {
        self.notes().iter().filter_map(|note| note.strip_prefix("for ").map(String::from)).collect()
    }

    fn notes(&self) -> Vec<String> {
        self.command("sync");
        self.lock().1.clone()
    }

    fn command(&self, command: &str) {
        let (process, notes) = &mut *self.lock();
        process.say(command);
        loop {
            match process.next_line() {
                line if line == "ok" => return,
                note => notes.push(note),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Running, Vec<String>)> {
        self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
