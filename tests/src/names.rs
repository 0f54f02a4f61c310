//! Very many names over programs and launches: a check that two tests make, a short and a long one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::proxies::Fake;
use crate::servers::{self, port};
use crate::{World, artifacts, proxies};

/// Checks that exactly these names have been asked for, each once.
#[track_caller]
pub fn assert_reached(proxy: &Fake, names: impl Iterator<Item = String>) {
    let mut left: HashSet<String> = names.map(|name| format!("name {name} {}", port::BANNER)).collect();
    for request in proxy.requests() {
        assert!(left.remove(&request.to_string()), "{request} was not asked for, or twice");
    }
    assert!(left.is_empty(), "{} were not reached, as {:?}", left.len(), left.iter().next());
}

/// Resolves `count` names by two programs at once, and dials all of their addresses by two others, of other
/// launches: the names that reach the proxy must be those that were asked for, each once, and no two names may
/// have one address.
pub fn reach_what_they_name(count: u32) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let program = artifacts::workspace().join("tests/programs/many_names.py");
    let run = |prefix: &str| {
        let told = world.directory().join(prefix);
        let python = world.wrapped(proxy.url(), "/usr/bin/python3").arg(&program);
        let line = [prefix, &(count / 2).to_string(), &port::BANNER.to_string()];
        python.args(line).arg(told).limit(Duration::from_secs(600)).spawn()
    };
    for said in ["resolved", "made"] {
        for running in [run("a"), run("b")] {
            assert_eq!(running.wait().success(), format!("{said} {}\n", count / 2));
        }
    }
    let mut given = HashMap::new();
    for prefix in ["a", "b"] {
        let told = std::fs::read_to_string(world.directory().join(prefix)).expect("the programs wrote it");
        for line in told.lines() {
            let (name, address) = line.split_once(' ').expect("a name and its address");
            assert_eq!(given.insert(address.to_owned(), name.to_owned()), None, "{address} is given twice");
        }
    }
    assert_eq!(given.len() as u32, count / 2 * 2);
    assert_reached(&proxy, given.into_values());
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
