//! What is around a program that tries a way out: before it runs, and while it does.

use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::{Running, World, artifacts};

use crate::tiers::Tier;

pub(crate) type Prepare = fn(&World);
pub(crate) type During = fn(&World, &mut Running, Tier);

/// A process outside of the wrapper, at this socket.
fn helper_at(world: &World, path: &str) {
    let program = artifacts::workspace().join("tests/programs/leak_helper.py");
    let helper = world.client("/usr/bin/python3").arg(program).arg(path).limit(Duration::MAX);
    let mut helper = helper.spawn();
    assert_eq!(helper.next_line(), "serves");
    helper.detach();
}

pub(crate) fn helper(world: &World) {
    helper_at(world, &format!("{}/helper/socket", world.directory().display()));
}

/// In the place of nscd, which glibc asks first for every name.
pub(crate) fn cache(world: &World) {
    helper_at(world, "/run/nscd/socket");
}

pub(crate) fn resolved(world: &World) {
    helper_at(world, "/run/systemd/resolve/io.systemd.Resolve");
}

pub(crate) fn avahi(world: &World) {
    helper_at(world, "/run/avahi-daemon/socket");
}

/// Users are looked up by a module of ours.
pub(crate) fn module(world: &World) {
    let library = artifacts::program("leak_plain").with_file_name("libnss_leak.so.2");
    std::fs::copy(library, world.directory().join("libnss_leak.so.2")).expect("the directory is ours");
    std::fs::write(world.directory().join("nsswitch.conf"), "passwd: files leak\nhosts: files dns\n")
        .expect("the directory is ours");
}

/// A page beyond the proxy.
pub(crate) fn web(world: &World) {
    std::fs::write(world.directory().join("page"), "found\n").expect("the directory is ours");
    let server = world.far("/usr/bin/python3").args(["-m", "http.server", "--bind", "10.99.0.1", "8088"]);
    server.limit(Duration::MAX).spawn().detach();
    world.wait_listening(8088);
}

/// Everybody may have ping sockets, as many distributions have it.
pub(crate) fn pings(world: &World) {
    world.client("sh").args(["-c", "echo 0 0 >/proc/sys/net/ipv4/ping_group_range"]).run().success();
}

/// That nothing listens is no leak.
pub(crate) fn refusals_do_not_count(world: &World) {
    let rule = "insert rule inet world in iifname veth-n tcp sport 7777 tcp flags & rst == rst drop";
    world.far("nft").args(rule.split(' ')).run().success();
}

/// Somebody from outside asks a server of the program's.
pub(crate) fn somebody_comes(world: &World, program: &mut Running, _: Tier) {
    if program.next_line() == "listens" {
        let come = "timeout 2 bash -c ': </dev/tcp/10.77.0.2/7777'";
        world.far("sh").args(["-c", come]).run();
    }
}

/// What carries the program is gone, and then it goes on.
pub(crate) fn agent_ends(world: &World, program: &mut Running, _: Tier) {
    assert_eq!(program.next_line(), "ready");
    for agent in world.agents() {
        world.signal(agent, Signal::KILL);
    }
    program.say("go on");
}
