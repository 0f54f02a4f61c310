//! What once broke, one test each, named after it. The programs are `programs/r_*.c`; each runs natively
//! too where it can, and must write the same.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `calls` | what a program's calls do: cancelled, interrupted, repeated, given up |
//! | `streams` | what a relay does with bytes and resets |
//! | `agent` | descriptors, daemons, look-ups and files of the agent |

mod agent;
mod calls;
mod streams;

use std::time::Duration;

use underpass_tests::proxies::{self, Fake};
use underpass_tests::{Finished, PATIENCE, World, artifacts, servers};

const MODES: [&str; 2] = ["blocking", "nonblocking"];

/// A native world, and one behind a proxy.
struct Both {
    native: World,
    redirected: World,
    proxy: Fake,
}

impl Both {
    fn new() -> Self {
        let (native, redirected) = (World::direct(), World::new());
        servers::start(&native);
        servers::start(&redirected);
        let proxy = proxies::fake(&redirected);
        Self { native, redirected, proxy }
    }

    /// Runs a program in both worlds, which must write `expected`, and checks that nothing leaked.
    #[track_caller]
    fn write(&self, program: &str, arguments: &[&str], expected: &str) {
        let natively = self.native.client(artifacts::program(program)).args(arguments).run_or_kill();
        assert_eq!(natively.stdout, expected, "natively: {natively}");
        self.redirected_writes(program, arguments, expected);
    }

    /// Runs a program in both worlds, which must write something that begins so, and end well.
    #[track_caller]
    fn write_lines(&self, program: &str, arguments: &[&str], beginning: &str) {
        let native = self.native.client(artifacts::program(program)).args(arguments).run();
        let redirected = redirected(&self.redirected, self.proxy.url(), program, arguments);
        for done in [native, redirected] {
            assert!(done.status.success() && done.stdout.starts_with(beginning), "{done}");
        }
        self.no_leaks();
    }

    #[track_caller]
    fn redirected_writes(&self, program: &str, arguments: &[&str], expected: &str) {
        let done = redirected(&self.redirected, self.proxy.url(), program, arguments);
        assert_eq!(done.stdout, expected, "redirected: {done}");
        self.no_leaks();
    }

    #[track_caller]
    fn no_leaks(&self) {
        assert_eq!(self.redirected.leaks(), 0, "leaked: {:?}", self.redirected.leaked());
    }
}

fn redirected(world: &World, upstream: &str, program: &str, arguments: &[&str]) -> Finished {
    world.wrapped(upstream, artifacts::program(program)).args(arguments).run_or_kill()
}

/// The one agent of this world.
#[track_caller]
fn agent_of(world: &World) -> u32 {
    let agents = world.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    agents[0]
}

/// Waits until `done` says so.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
