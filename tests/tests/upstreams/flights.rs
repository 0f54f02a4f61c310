//! Whether greeting and request travel together: real proxies that take it and that hang on it, before
//! and after the probe.

use std::time::{Duration, Instant};

use underpass_tests::PATIENCE;
use underpass_tests::proxies::{self, Real};

use crate::place::{GREETED, MODES, Place, greeter, visit};

/// More than a proxy serves before it is probed.
const VISITS: usize = 24;
const SSHD: u16 = 2022;
const PORT: u16 = 1085;

/// What the agent's log says of the probe.
fn probed(place: &Place, proxy: &Real) -> String {
    let limit = Instant::now() + PATIENCE;
    let directory = place.world.agent_directory(place.world.agents()[0]);
    loop {
        let log = place.world.client("cat").arg(directory.join("agent.log")).run().success();
        if let Some(line) = log.lines().find(|line| line.contains("in one flight")) {
            return line.to_owned();
        }
        assert!(Instant::now() < limit, "port {} is not probed:\n{log}", proxy.port());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn found(proxy: impl FnOnce(&Place) -> Real, one: bool) {
    let place = Place::new();
    let proxy = proxy(&place);
    let target = greeter();
    for round in ["before", "after"] {
        for mode in MODES {
            let targets = vec![target.as_str(); VISITS];
            let command = place.through(&[proxy.url()], "python3").env("UNDERPASS_LOG", "debug");
            let done = command.args(visit(mode, targets)).run();
            assert_eq!(done.stdout, format!("{GREETED}\n").repeat(VISITS), "{round}, {mode}: {done}");
        }
        let line = probed(&place, &proxy);
        assert!(line.contains(&format!("one={one}")), "{line}");
    }
}

#[test]
fn dante_takes_both_in_one_flight() {
    found(|place| proxies::dante(&place.world), true);
}

#[test]
fn microsocks_hangs_on_it_and_is_not_sent_it() {
    found(|place| proxies::microsocks(&place.world, None), false);
}

/// OpenSSH closes without a word when it cannot connect, which could mean anything.
#[test]
fn ssh_is_not_sent_it() {
    found(
        |place| {
            let sshd = proxies::sshd(&place.world, SSHD);
            proxies::ssh_dynamic(&place.world, PORT, &sshd).allowed(&place.world)
        },
        false,
    );
}
