//! A world with doors on its client side.

use std::time::{Duration, Instant};

use underpass_tests::proxies::{self, Fake};
use underpass_tests::{PATIENCE, Running, World, artifacts, servers};

pub(crate) fn world() -> (World, Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

/// Opens a door for SOCKS at port 1081 and one for HTTP at 1082, in front of what `options` say.
pub(crate) fn open(world: &World, options: &[&str]) -> Running {
    let doors = ["--listen", "socks5://127.0.0.1:1081", "--listen", "http://127.0.0.1:1082"];
    let running = start(world, &[&["run"], &doors[..], options].concat());
    for port in [1081, 1082] {
        wait_here(world, port);
    }
    running
}

/// Starts the agent with these arguments.
pub(crate) fn start(world: &World, arguments: &[&str]) -> Running {
    let temporary = world.directory().join("tmp");
    let _ = std::fs::create_dir(&temporary);
    let agent = world.client(artifacts::agent()).env("TMPDIR", &temporary).args(arguments);
    agent.limit(Duration::MAX).spawn()
}

/// Waits until somebody listens on the client's side.
pub(crate) fn wait_here(world: &World, port: u16) {
    let knock = format!("until exec 3<>/dev/tcp/127.0.0.1/{port}; do sleep 0.02; done 2>/dev/null");
    world.client("bash").args(["-c", &knock]).run().success();
}

/// The next line of standard error that holds this.
#[track_caller]
pub(crate) fn complaint(agent: &mut Running, text: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match agent.try_complaint() {
            Some(line) if line.contains(text) => return line,
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(5)),
        }
        assert!(Instant::now() < end, "no {text:?}");
    }
}

/// Runs a script on the client's side.
pub(crate) fn python(world: &World, script: &str) -> String {
    world.client("/usr/bin/python3").args(["-c", script]).run().success().to_owned()
}

#[track_caller]
pub(crate) fn no_leaks(world: &World) {
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}
