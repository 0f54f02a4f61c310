//! Descriptors, daemons, look-ups and files of the agent.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use underpass_tests::servers::port;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::{agent_of, redirected, wait_until};

/// Under CI an agent leaves with its last program.
fn daemon(early: &str) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let file = world.directory().join("daemon");
    // Root without capabilities cannot read the memory map, as an ordinary user cannot.
    let done = world
        .client("setpriv")
        .args(["--bounding-set", "-all", "--inh-caps", "-all"])
        .arg(artifacts::underpass())
        .args(["-x", proxy.url(), "--"])
        .arg(artifacts::program("r_daemon"))
        .arg(&file)
        .arg(early)
        .env("CI", "1")
        .run();
    assert!(done.status.success(), "{done}");
    let found = || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
    wait_until("the daemon's answer", found);
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), "found\n");
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}

#[test]
fn the_agent_left_a_daemon_that_hides_its_memory() {
    daemon("1");
}

#[test]
fn the_agent_left_a_daemon_that_hides_its_memory_and_has_not_asked_yet() {
    daemon("0");
}

/// Sockets that are held already were forgotten when the agent could not take them.
#[test]
fn connections_hung_when_the_agent_had_no_descriptors_left() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let script =
        format!("ulimit -n 64; exec {} -x {} -- true", artifacts::underpass().display(), proxy.url());
    world.client("bash").args(["-c", &script]).run().success();
    let (greeter, hold) = (port::GREETER.to_string(), port::HOLD.to_string());
    let crowd = |port: &str, count: &str| {
        let done = redirected(&world, proxy.url(), "r_crowd", &["v4", "nonblocking", "1", port, count]);
        assert!(done.stdout.contains(" other 0 pending 0\n"), "{done}");
    };
    for count in ["30", "200", "400"] {
        crowd(&greeter, count);
        crowd(&hold, count);
        // A connection that is closed frees its descriptors within moments.
        wait_until("recovery", || {
            redirected(&world, proxy.url(), "greeting", &["v4", "blocking", "1", &greeter])
                .stdout
                .starts_with("0\n")
        });
        let done = redirected(&world, proxy.url(), "greeting", &["v4", "nonblocking", "1", &greeter]);
        assert!(done.stdout.starts_with("0\ngreeting 6\n"), "{done}");
    }
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}

#[test]
fn a_dead_name_server_made_connect_deaf_to_signals() {
    let world = World::direct();
    servers::start(&world);
    proxies::fake(&world);
    let dead = "nameserver 10.99.0.66\noptions timeout:5 attempts:2\n";
    std::fs::write(world.directory().join("resolv.conf"), dead).expect("the directory is ours");
    let arguments = ["v4", "blocking", "66", "7007"];
    for done in [
        world.client(artifacts::program("r_alarm")).args(arguments).run(),
        redirected(&world, "socks5h://proxy.nowhere.test:1080", "r_alarm", &arguments),
    ] {
        assert_eq!(done.stdout, "connect EINTR in time\n", "{done}");
    }
}

/// Where the agents of this world keep their files.
fn files(world: &World, proxy: &proxies::Fake) -> PathBuf {
    let session = world.wrapped(proxy.url(), "printenv").arg("UNDERPASS_SESSION").run().success();
    let path = session.trim().rsplit(':').next().expect("a path").to_owned();
    Path::new(&path).parent().expect("it lies in a directory").to_owned()
}

#[test]
fn a_name_that_was_cut_short_was_joined_with_the_next() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let names = files(&world, &proxy).join("names");
    let resolve = |name: &str| {
        let done = redirected(&world, proxy.url(), "names", &["resolve", name, "7007"]);
        done.success().lines().last().unwrap_or_default().to_owned()
    };
    let read = || world.client("cat").arg(&names).run().success();
    let first = resolve("first.test");
    let pid = agent_of(&world);
    kill_process(i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id"), Signal::KILL)
        .expect("the agent lives");
    wait_until("the agent's end", || !world.agents().contains(&pid));
    let cut = format!("printf 'echo.te' >>'{}'", names.display());
    world.client("sh").args(["-c", &cut]).run().success();
    let second = resolve("second.test");
    assert!(first != second && first == resolve("first.test"), "{first} {second}");
    assert_eq!(read(), "first.test\nsecond.test\n");
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}
