//! What a service manager is told.

use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::proxies;
use underpass_tests::{Command, World};

use crate::place::{Manager, door, no_leaks, service, world};

/// From its readiness to its end, with signs of life as long as it is not stopped.
fn tells(manager: &Manager, command: Command) {
    let micros = Duration::from_millis(200).as_micros().to_string();
    let service = command.env("WATCHDOG_USEC", micros).spawn();
    assert_eq!(manager.wait("READY=1"), "READY=1\nSTATUS=serving");
    manager.wait("WATCHDOG=1");
    manager.wait("WATCHDOG=1");
    service.signal(Signal::HUP);
    let reloading = manager.wait("RELOADING=1");
    let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let at: u64 = at.and_then(|at| at.parse().ok()).expect("a time is told");
    // What proc_uptime(5) counts with it is the time that the machine has slept.
    let uptime = std::fs::read_to_string("/proc/uptime").expect("it is Linux");
    let now = uptime.split('.').next().and_then(|now| now.parse::<u64>().ok()).expect("it is a number");
    assert!(at > 0 && at / 1_000_000 <= now, "{at} µs, and it is {now} s");
    manager.wait("READY=1");
    // One that hangs gives none.
    service.signal(Signal::STOP);
    let silent = (0..50).any(|_| manager.next_within(Duration::from_millis(500)).is_none());
    assert!(silent, "it still gives signs of life");
    service.signal(Signal::CONT);
    manager.wait("WATCHDOG=1");
    service.signal(Signal::TERM);
    manager.wait("STOPPING=1");
}

#[test]
fn a_door_tells_what_it_does() {
    let (world, proxy, manager) = world();
    tells(&manager, door(&world, &proxy, &[]));
    no_leaks(&world);
}

#[test]
fn a_forward_and_the_agent_of_programs_tell_it_too() {
    let (world, proxy, manager) = world();
    tells(&manager, service(&world, &["forward", "-L", "1082:far.test:7001", "-x", proxy.url()]));
    tells(&manager, service(&world, &["run"]));
    no_leaks(&world);
}

#[test]
fn a_relay_tells_it_too() {
    let world = World::new();
    let manager = Manager::new(&world);
    let key = proxies::key(&world, "client");
    // Its files; then one of its own is started with them.
    let first = proxies::relay(&world, 4433, &[&key], 1);
    first.real.kill();
    let config = world.directory().join("relay-4433.toml");
    tells(&manager, service(&world, &["relay", "--config", config.to_str().expect("it is UTF-8")]));
}

/// A watchdog that is meant for whoever has started it.
#[test]
fn a_watchdog_of_another_process_gets_nothing() {
    let (world, proxy, manager) = world();
    let agent = door(&world, &proxy, &[]).env("WATCHDOG_USEC", "20000").env("WATCHDOG_PID", "1");
    let agent = agent.spawn();
    manager.wait("READY=1");
    assert_eq!(manager.next_within(Duration::from_millis(200)), None);
    agent.signal(Signal::TERM);
    manager.wait("STOPPING=1");
    assert_eq!(agent.wait().code(), 0);
}

/// Whoever launches a program may be a service: what is told to its manager is its own affair.
#[test]
fn an_agent_in_the_background_tells_nobody_anything() {
    let (world, proxy, manager) = world();
    let notify = world.directory().join("notify");
    let program = world.wrapped(proxy.url(), "true").env("NOTIFY_SOCKET", notify);
    program.run().success();
    assert_eq!(world.agents().len(), 1);
    assert_eq!(manager.next_within(Duration::from_millis(50)), None);
    no_leaks(&world);
}
