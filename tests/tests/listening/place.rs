//! A world with a relay at which others may listen.

use std::time::Instant;

use underpass_tests::proxies::{self, Key, Relay};
use underpass_tests::{Command, PATIENCE, Running, World};

/// Where the relay is.
const PORT: u16 = 4431;
/// The exit's address, and those ports of it.
pub(crate) const EXIT: &str = "10.99.0.1";
const DENIED: u16 = 7088;

/// Whoever is known may listen there, and an ordinary port more.
pub(crate) const EXPOSED: &str = "[[expose]]\naddress = ['10.99.0.1', 'fd99::1']\nport = '8000-9999'\n";

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) relay: Relay,
    pub(crate) key: Key,
}

impl Place {
    /// A relay with these tables.
    pub(crate) fn new(tables: &str) -> Self {
        let world = World::new();
        let key = proxies::key(&world, "client");
        let relay = proxies::relay_with(&world, PORT, &[&key], DENIED, tables).allowed(&world);
        Self { world, relay, key }
    }

    /// A program whose listeners are at the exit.
    pub(crate) fn exposed(&self, program: &str) -> Command {
        let underpass = self.world.client(underpass_tests::artifacts::underpass());
        underpass.args(["-x", &self.relay.url(&self.key), "--listen-at", "main", "--"]).arg(program)
    }

    /// Waits until something listens at the exit.
    pub(crate) fn wait_listening(&self, port: u16) {
        self.world.wait_listening(port);
    }

    /// Waits until nothing does any more.
    #[track_caller]
    pub(crate) fn wait_closed(&self, port: u16) {
        let limit = Instant::now() + PATIENCE;
        while self.world.listens(port) {
            assert!(Instant::now() < limit, "something listens on port {port}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.world.leaks(), 0, "{:?}", self.world.leaked());
        }
    }
}

/// The next line that begins so.
#[track_caller]
pub(crate) fn line(program: &mut Running, start: &str) -> String {
    loop {
        let line = program.next_line();
        if line.starts_with(start) {
            return line;
        }
    }
}
