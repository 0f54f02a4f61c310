//! A world with one real proxy in it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use underpass_tests::proxies::{self, Real};
use underpass_tests::{Command, World};

/// The name of everything beyond the proxy; the client side cannot resolve it.
pub(crate) const NAME: &str = "web.test";

/// A world and a proxy.
pub(crate) struct Place {
    pub(crate) world: World,
    proxy: Real,
    url: String,
    /// How the proxy's log writes a connection to a port of the destination.
    line: fn(u16) -> String,
    /// What it has in each line about datagrams that have ended with their socket.
    datagrams: &'static [&'static str],
}

/// Runs a test through microsocks.
pub(crate) fn microsocks(test: impl FnOnce(&Place)) {
    let world = World::new();
    let proxy = proxies::microsocks(&world, None);
    // The name, not an address: it was resolved beyond the proxy.
    let (url, datagrams) = (proxy.url().to_owned(), &[][..]);
    run(test, Place { world, proxy, url, line: |port| format!(": connected to {NAME}:{port}\n"), datagrams });
}

/// Runs a test through Dante.
pub(crate) fn dante(test: impl FnOnce(&Place)) {
    let world = World::new();
    let proxy = proxies::dante(&world);
    let (url, datagrams) = (proxy.url().to_owned(), &["udp/udpassociate ]"][..]);
    run(test, Place { world, proxy, url, line: |port| format!(" 10.99.0.1.{port}\n"), datagrams });
}

/// Runs a test through a relay of ours.
fn relay(test: impl FnOnce(&Place)) {
    let world = World::new();
    let key = proxies::key(&world, "client");
    let relay = proxies::relay(&world, 4431, &[&key], 1).allowed(&world);
    let (url, proxy) = (relay.url(&key), relay.real);
    let datagrams = &["\"protocol\":\"udp\"", "\"reason\":\"closed\""];
    let line = |port: u16| format!("\"host\":\"{NAME}\",\"port\":{port},\"protocol\":\"tcp\"");
    run(test, Place { world, proxy, url, line, datagrams });
}

/// Runs a test through what carries datagrams: Dante, and then a relay.
pub(crate) fn by_datagrams(test: impl Fn(&Place)) {
    dante(&test);
    relay(&test);
}

fn run(test: impl FnOnce(&Place), place: Place) {
    test(&place);
    assert_eq!(place.world.leaks(), 0, "{:?}", place.world.leaked());
}

/// Makes a test of a function for each of the two proxies.
macro_rules! through_both {
    ($(#[$attribute:meta])* fn $name:ident($place:ident: &Place) $body:block) => {
        $(#[$attribute])*
        mod $name {
            use super::*;

            #[test]
            fn through_microsocks() {
                place::microsocks(test);
            }

            #[test]
            fn through_dante() {
                place::dante(test);
            }

            fn test($place: &Place) $body
        }
    };
}
pub(crate) use through_both;

impl Place {
    /// A program on the client side, under underpass.
    pub(crate) fn wrapped(&self, program: impl AsRef<OsStr>) -> Command {
        self.world.wrapped(&self.url, program)
    }

    /// A shell script on the client side, under underpass.
    pub(crate) fn script(&self, script: &str) -> Command {
        self.wrapped("bash").args(["-e", "-o", "pipefail", "-c", script])
    }

    /// A path in the world's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.world.directory().join(name)
    }

    /// Writes a file into the world's directory.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it lies in the directory"))
            .expect("the directory is ours");
        std::fs::write(&path, contents).expect("the directory is ours");
        path
    }

    /// Starts a server beyond the proxy, which ends with the world, and waits for its port.
    pub(crate) fn serve(&self, port: u16, server: Command) {
        server.limit(Duration::MAX).spawn().detach();
        self.world.wait_listening(port);
    }

    /// Starts the echo servers beyond the proxy.
    pub(crate) fn start_echo(&self) {
        underpass_tests::servers::start(&self.world);
    }

    /// Checks that so many associations of datagrams, or streams of them, have ended with their sockets, by the
    /// proxy's record.
    #[track_caller]
    pub(crate) fn associations_ended(&self, times: usize) {
        let limit = Instant::now() + Duration::from_secs(5);
        let is_one = |line: &&str| self.datagrams.iter().all(|part| line.contains(part));
        let count = || self.proxy.log().lines().filter(is_one).count();
        while count() < times && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(count(), times, "{}", self.proxy.log());
    }

    /// Checks that the proxy has connected to this port of the destination so many times.
    #[track_caller]
    pub(crate) fn proxied(&self, port: u16, times: usize) {
        let count = self.count(port, times);
        assert_eq!(count, times, "connections to port {port} in the proxy's log:\n{}", self.proxy.log());
    }

    /// Checks that the proxy has connected to this port of the destination so many times or more.
    #[track_caller]
    pub(crate) fn proxied_at_least(&self, port: u16, times: usize) {
        let count = self.count(port, times);
        assert!(
            count >= times,
            "{count} connections to port {port} in the proxy's log:\n{}",
            self.proxy.log()
        );
    }

    /// How often the proxy has connected to this port, as soon as it is so often or in a while.
    fn count(&self, port: u16, times: usize) -> usize {
        let line = (self.line)(port);
        let limit = Instant::now() + Duration::from_secs(2);
        // Dante writes a second line at the end of each connection, of another form.
        let count = || self.proxy.log().matches(&line).count();
        while count() < times && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        count()
    }
}

/// Whether the tests run as an ordinary user, who has only one user to be.
pub(crate) fn ordinary_user() -> bool {
    !rustix::process::geteuid().is_root()
}
