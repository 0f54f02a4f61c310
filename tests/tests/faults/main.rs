//! Faults: proxies that misbehave, clients that send nonsense to the agent, agents that are killed.
//! In each case the program gets a documented errno within the deadline and not one byte that is
//! not its own, nothing goes around the proxy, and the agent serves on and keeps no descriptor.

mod addresses;
mod agent_killed;
mod agent_socket;
mod clocks;
mod datagrams;
mod descriptors;
mod full_disk;
mod memory;
mod ports;
mod proxy;
mod relays;
mod torture;

use std::time::{Duration, Instant};

use underpass_tests::proxies::{self, Fake};
use underpass_tests::{PATIENCE, World, servers};

/// A world with servers, a proxy that works, and an agent that has served once.
fn world() -> (World, Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    serves(&world, &proxy);
    (world, proxy)
}

/// What `programs/greeting.c` writes when all is well.
const GREETED: &str = "0\ngreeting 6\nhello\nsend 4\necho word\nend 0\nrecv 0\n";

/// A command of this world works, and waits for no deadline of its own.
#[track_caller]
fn serves(world: &World, proxy: &Fake) {
    for mode in ["blocking", "nonblocking"] {
        let program = underpass_tests::artifacts::program("greeting");
        let arguments = ["v4", mode, "1", &servers::port::GREETER.to_string()];
        let done = world.wrapped(proxy.url(), program).args(arguments).run();
        assert_eq!(done.stdout, GREETED, "{done}");
        assert!(done.elapsed < PATIENCE, "{done}");
    }
}

#[track_caller]
fn no_leaks(world: &World) {
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}

/// The one agent of this world.
#[track_caller]
fn agent(world: &World) -> u32 {
    let agents = world.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    agents[0]
}

/// What a process has open, by kind.
fn descriptors(pid: u32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the agent lives");
    let link = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
    entries.filter_map(link).map(|target| target.to_string_lossy().into_owned()).collect()
}

/// Waits until the agent has no more open than before: connections that are kept warm, to a proxy that looks far away
/// on a busy machine, are closed after 8 s.
#[track_caller]
fn no_descriptor_is_kept(agent: u32, before: &[String]) {
    let limit = Instant::now() + PATIENCE;
    while descriptors(agent).len() > before.len() {
        let now = descriptors(agent);
        assert!(Instant::now() < limit, "{} before, {} now: {now:?}", before.len(), now.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}
