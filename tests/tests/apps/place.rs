//! A world with one real proxy in it, or two relays of our own.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use underpass_tests::proxies::{self, Real};
use underpass_tests::servers::port;
use underpass_tests::{Command, PATIENCE, Running, World, artifacts};

/// The name of everything beyond the proxy; the client side cannot resolve it.
pub(crate) const NAME: &str = "web.test";

/// A world and a way out of it.
pub(crate) struct Place {
    pub(crate) world: World,
    /// The last hop.
    proxy: Real,
    urls: Vec<String>,
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
    let (urls, datagrams) = (vec![proxy.url().to_owned()], &[][..]);
    run(
        test,
        Place { world, proxy, urls, line: |port| format!(": connected to {NAME}:{port}\n"), datagrams },
    );
}

/// Runs a test through Dante.
pub(crate) fn dante(test: impl FnOnce(&Place)) {
    let world = World::new();
    let proxy = proxies::dante(&world);
    let (urls, datagrams) = (vec![proxy.url().to_owned()], &["udp/udpassociate ]"][..]);
    run(test, Place { world, proxy, urls, line: |port| format!(" 10.99.0.1.{port}\n"), datagrams });
}

/// Runs a test through two relays, which write down what has ended.
pub(crate) fn relays(test: impl FnOnce(&Place)) {
    let world = World::new();
    let key = proxies::key(&world, "client");
    let [first, exit] = [4431, 4432].map(|port| proxies::relay(&world, port, &[&key], port::HOLD));
    let first = first.allowed(&world);
    let urls = vec![first.url(&key), exit.url_at(NAME, &key)];
    let datagrams = &["\"protocol\":\"udp\"", "\"reason\":\"closed\""];
    let line = |port: u16| format!("\"host\":\"{NAME}\",\"port\":{port},\"protocol\":\"tcp\"");
    run(test, Place { world, proxy: exit.real, urls, line, datagrams });
    drop(first);
}

/// Runs a test through what carries datagrams: Dante, and then relays.
pub(crate) fn by_datagrams(test: impl Fn(&Place)) {
    dante(&test);
    relays(&test);
}

fn run(test: impl FnOnce(&Place), place: Place) {
    test(&place);
    assert_eq!(place.world.leaks(), 0, "{:?}", place.world.leaked());
}

/// Makes a test of a function for each of the two proxies, and for relays.
macro_rules! through_each {
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

            #[test]
            fn through_two_relays() {
                place::relays(test);
            }

            fn test($place: &Place) $body
        }
    };
}
pub(crate) use through_each;

impl Place {
    /// A program on the client side, under underpass.
    pub(crate) fn wrapped(&self, program: impl AsRef<OsStr>) -> Command {
        let urls = self.urls.iter().flat_map(|url| ["-x", url]);
        self.world.client(artifacts::underpass()).args(urls).arg("--").arg(program)
    }

    /// The same under a tier.
    pub(crate) fn under(&self, tier: &str, program: impl AsRef<OsStr>) -> Command {
        let urls = self.urls.iter().flat_map(|url| ["-x", url]);
        self.world.client(artifacts::underpass()).args(["--tier", tier]).args(urls).arg("--").arg(program)
    }

    /// A front door at this port of the client side's loopback, for programs that know a proxy themselves.
    pub(crate) fn door(&self, port: u16) -> Running {
        let temporary = self.path("tmp");
        std::fs::create_dir_all(&temporary).expect("the directory is ours");
        let agent = self.world.client(artifacts::agent()).env("TMPDIR", temporary);
        let urls = self.urls.iter().flat_map(|url| ["-x", url]);
        let door = agent.args(["forward", "-D", &port.to_string()]).args(urls).limit(Duration::MAX).spawn();
        let knock = format!("until exec 3<>/dev/tcp/127.0.0.1/{port}; do sleep 0.02; done 2>/dev/null");
        self.world.client("bash").args(["-c", &knock]).run().success();
        door
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
        let limit = Instant::now() + PATIENCE;
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
        let limit = Instant::now() + PATIENCE;
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
