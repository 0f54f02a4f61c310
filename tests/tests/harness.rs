//! The harness tests itself: a leak that it could not see would make every other test worthless.

use std::time::{Duration, Instant};

use underpass_tests::servers::{V4, V6, port};
use underpass_tests::{PATIENCE, World, proxies, servers};

/// Bash's own `/dev/tcp`: connects, says a line, prints the answer.
fn talk(address: impl std::fmt::Display, port: u16) -> [String; 2] {
    ["-c".into(), format!("exec 3<>/dev/tcp/{address}/{port}; echo hi >&3; read -t 60 x <&3; echo $x")]
}

#[track_caller]
fn wait_for_leak(world: &World, what: &str) {
    let limit = Instant::now() + PATIENCE;
    while !world.leaked().contains(&what.to_owned()) {
        assert!(Instant::now() < limit, "{what} is not in {:?}", world.leaked());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_direct_connection_is_counted_as_a_leak() {
    let world = World::new();
    servers::start(&world);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    let mut attempt = world.client("bash").args(talk(V4, port::ECHO)).spawn();
    wait_for_leak(&world, "10.99.0.1 . tcp . 7007");
    assert!(world.leaks() >= 1);
    assert_eq!(world.leaked(), ["10.99.0.1 . tcp . 7007"]);
    assert_eq!(attempt.try_line(), None, "it has reached something");
    let before = world.leaks();
    let _attempts = [
        world.client("bash").args(talk(V6, port::ECHO)).spawn(),
        world.client("getent").args(["ahosts", "example.org"]).spawn(),
    ];
    wait_for_leak(&world, "fd99::1 . tcp . 7007");
    wait_for_leak(&world, "10.77.0.1 . udp . 53");
    assert!(world.leaks() >= before + 2);
}

#[test]
fn a_proxy_may_be_reached_and_nothing_else_of_its_machine() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let curl = |url: &str| {
        world.client("curl").args(["-sv", "-m", "60", "--noproxy", "", "-x", proxy.url(), url]).run()
    };
    let done = curl("http://nobody.invalid/");
    assert_eq!(done.code(), 97, "{done}");
    assert_eq!(proxy.requests()[0].to_string(), "name nobody.invalid 80");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    let _attempt = world.client("bash").args(talk("10.77.0.1", 1079)).spawn();
    wait_for_leak(&world, "10.77.0.1 . tcp . 1079");
    assert_eq!(world.leaked(), ["10.77.0.1 . tcp . 1079"]);
}

#[test]
fn a_direct_world_reaches_everything() {
    let world = World::direct();
    servers::start(&world);
    for address in [V4, V6] {
        let done = world.client("bash").args(talk(address, port::ECHO)).run();
        assert_eq!(done.stdout, "hi\n", "{done}");
        let done = world.client("bash").args(talk(address, port::slow(port::ECHO))).run();
        assert_eq!(done.stdout, "hi\n", "{done}");
        assert!(done.elapsed.as_millis() >= 900, "{done}");
    }
    for (address, why) in [
        ("10.99.0.1", "refused"),
        ("10.99.0.77", "No route to host"),
        ("fd99::77", "No route to host"),
        ("10.99.0.78", "Network is unreachable"),
        ("fd99::78", "Network is unreachable"),
    ] {
        let done = world.client("bash").args(talk(address, port::REFUSED)).run();
        assert!(done.stderr.contains(why), "{done}");
    }
}

#[test]
fn the_real_proxies_serve_and_keep_a_log() {
    let world = World::new();
    servers::start(&world);
    for (proxy, log) in [
        (proxies::microsocks(&world, Some(("me", "pw"))), "connected to"),
        (proxies::dante(&world), "10.99.0.1.7001"),
    ] {
        let done = world
            .client("curl")
            .args([
                "-s",
                "--http0.9",
                "-m",
                "60",
                "--noproxy",
                "",
                "-x",
                proxy.url(),
                "http://far.test:7001/",
            ])
            .run();
        assert_eq!(done.stdout, "hello\n", "{done}\n{}", proxy.log());
        proxy.wait_log(log);
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn nothing_is_left_of_a_world() {
    let world = World::new();
    let directory = world.directory().to_path_buf();
    let mut daemon =
        world.client("sh").args(["-c", "setsid sh -c 'echo up; exec sleep 1000' & wait"]).spawn();
    assert_eq!(daemon.next_line(), "up");
    let processes = world.processes();
    assert!(processes.len() > 3, "{processes:?}");
    drop(daemon);
    let comm = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    drop(world);
    assert!(!directory.exists());
    for pid in processes {
        assert!(!std::path::Path::new(&format!("/proc/{pid}/ns")).exists(), "{}", comm(&pid));
    }
}
