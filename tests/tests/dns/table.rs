//! The table of names: many of them, over programs, launches and agents; a pool that is used up.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use rustix::process::Signal;
use underpass_tests::proxies::{self, Fake};
use underpass_tests::servers::{self, port};
use underpass_tests::{PATIENCE, World, artifacts};

fn place() -> (World, Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

/// As the long test has it with 70,000.
#[test]
fn names_of_two_programs_and_two_launches_reach_what_they_name() {
    underpass_tests::names::reach_what_they_name(3_000);
}

/// Waits until this holds.
#[track_caller]
fn wait(holds: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "not within {PATIENCE:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn configuration(world: &World, proxy: &Fake, name: &str, pool: &str) -> PathBuf {
    let path = world.directory().join(name);
    let text = format!("proxy = '{}'\nfake-pool = '{pool}'\n", proxy.url());
    std::fs::write(&path, text).expect("the directory is ours");
    path
}

const RESOLVE: &str = "
import socket, sys
for name in sys.argv[1:]:
    try:
        print(name, socket.getaddrinfo(name, 1, socket.AF_INET)[0][4][0])
    except socket.gaierror as error:
        print(name, error.errno)
";

#[test]
fn a_pool_that_is_used_up_gives_no_new_addresses_and_keeps_the_old_ones() {
    let (world, proxy) = place();
    let path = configuration(&world, &proxy, "small.toml", "10.9.0.0/29");
    let log = world.directory().join("log");
    let run = |program: &str| {
        let underpass = world.client(artifacts::underpass()).env("UNDERPASS_LOG", "warn");
        underpass.arg("-f").arg(&path).arg("--").arg(program)
    };
    let names: Vec<String> = (1..=8).map(|n| format!("n{n}.test")).collect();
    // One agent for all, so that there is one log.
    let keeper = run("sleep").arg("100").spawn();
    let done = run("/usr/bin/python3").args(["-c", RESOLVE]).args(&names).run().success();
    let lines: Vec<&str> = done.lines().collect();
    let given: HashSet<&str> =
        lines[..6].iter().filter_map(|line| line.split_once(' ')).map(|(_, ip)| ip).collect();
    assert!(given.len() == 6 && given.iter().all(|ip| ip.starts_with("10.9.0.")), "{done}");
    assert_eq!(lines[6..], ["n7.test -3", "n8.test -3"], "{done}");
    // To who asks by DNS it is a failure of the server.
    let dig = run("dig").args(["+tcp", "+tries=1", "@127.0.0.53", "n9.test"]).run();
    assert!(dig.stdout.contains("status: SERVFAIL"), "{dig}");
    // The old ones are good.
    assert_eq!(
        run("/usr/bin/python3").args(["-c", RESOLVE, "n6.test"]).run().success(),
        format!("{}\n", lines[5])
    );
    let script = format!("exec 3<>/dev/tcp/{}/{}; cat <&3", &lines[5][8..], port::BANNER);
    assert_eq!(run("bash").args(["-c", &script]).run().success(), "hello\n");
    assert_eq!(proxy.requests()[0].to_string(), format!("name n6.test {}", port::BANNER));
    // Others of the pool stand for nothing.
    let done = run("bash").args(["-c", "exec 3<>/dev/tcp/10.9.0.7/7001"]).run();
    assert!(done.stderr.contains("No route to host"), "{done}");
    assert_eq!(proxy.requests().len(), 1);
    // Another configuration has other addresses, and finds these.
    let done =
        world.wrapped(proxy.url(), "/usr/bin/python3").args(["-c", RESOLVE, "n7.test"]).run().success();
    assert!(done.starts_with("n7.test 198.18.0."), "{done}");
    assert_eq!(world.wrapped(proxy.url(), "bash").args(["-c", &script]).run().success(), "hello\n");
    let text = std::fs::read_to_string(find_log(&world)).expect("a log");
    assert_eq!(text.matches("the pool of fake addresses is used up").count(), 1, "{text}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    drop((keeper, log));
}

/// The agent's log, which lies in its directory.
fn find_log(world: &World) -> PathBuf {
    let found = world.client("find").args(["/run", "/tmp", "-name", "agent.log"]).run().stdout;
    let inside = found.lines().next().expect("a log").to_owned();
    let copy = world.directory().join("agent.log.copy");
    world.client("cp").arg(&inside).arg(&copy).run().success();
    copy
}

#[test]
fn pools_that_share_addresses_are_refused() {
    let (world, proxy) = place();
    let paths = [("a", "10.9.0.0/16"), ("b", "10.9.7.0/24"), ("c", "10.10.0.0/16")]
        .map(|(name, pool)| configuration(&world, &proxy, name, pool));
    let run = |path: &PathBuf| {
        world.client(artifacts::underpass()).arg("-f").arg(path).args(["--format", "underpass", "sleep"])
    };
    let keeper = run(&paths[0]).arg("100").spawn();
    wait(|| !world.agents().is_empty());
    assert_eq!(run(&paths[0]).arg("0").run().code(), 0);
    let done = run(&paths[1]).arg("0").run();
    assert!(done.code() == 125 && done.stderr.contains("shares addresses with another"), "{done}");
    assert_eq!(run(&paths[2]).arg("0").run().code(), 0);
    drop(keeper);
}

/// So is a file that brings one later: its programs keep the pool that they have.
#[test]
fn a_reload_brings_no_pool_that_shares_addresses_with_another() {
    let (world, proxy) = place();
    let first = configuration(&world, &proxy, "a", "10.9.0.0/16");
    let second = configuration(&world, &proxy, "b", "10.10.0.0/16");
    let run = |path: &PathBuf| {
        let underpass = world.client(artifacts::underpass()).arg("-f").arg(path);
        underpass.args(["--format", "underpass", "--", "/usr/bin/python3", "-u", "-c", RESOLVE_LINES])
    };
    let mut programs = [run(&first).spawn(), run(&second).spawn()];
    let mut resolve = |number: usize, name: &str| {
        programs[number].say(name);
        programs[number].next_line()
    };
    assert!(resolve(0, "one.test").starts_with("10.9."));
    assert!(resolve(1, "two.test").starts_with("10.10."));
    let reload = || world.client(artifacts::agent()).arg("reload").run();
    configuration(&world, &proxy, "b", "10.9.128.0/17");
    let done = reload();
    assert_eq!((done.code(), &*done.stdout), (1, "0 of 2 sessions changed, 2 unchanged, 0 without a file\n"));
    let why = "fake-pool 10.9.128.0/17";
    assert!(done.stderr.contains(why) && done.stderr.contains("shares addresses with another"), "{done}");
    assert!(resolve(1, "three.test").starts_with("10.10."));
    configuration(&world, &proxy, "b", "10.11.0.0/16");
    assert_eq!(reload().code(), 0);
    assert!(resolve(1, "four.test").starts_with("10.11."));
    // What was given before stands for what it did.
    let connect = format!("exec 3<>/dev/tcp/{}/7001; cat <&3", resolve(1, "two.test"));
    assert_eq!(world.wrapped(proxy.url(), "bash").args(["-c", &connect]).run().success(), "hello\n");
    underpass_tests::names::assert_reached(&proxy, std::iter::once("two.test".to_owned()));
}

/// The address of each name of the input.
const RESOLVE_LINES: &str = "
import socket, sys
for line in sys.stdin:
    print(socket.gethostbyname(line.strip()))
";

/// An agent that is killed has told nobody; the next one knows what it had given.
#[test]
fn addresses_outlive_an_agent_that_is_killed_in_the_middle() {
    let (world, proxy) = place();
    let program = artifacts::workspace().join("tests/programs/many_names.py");
    let told = world.directory().join("told");
    let run = |count: &str| {
        let python = world.wrapped(proxy.url(), "/usr/bin/python3").arg(&program);
        python.args(["k", count, &port::BANNER.to_string()]).arg(&told)
    };
    let keeper = world.wrapped(proxy.url(), "sleep").arg("100").spawn();
    assert_eq!(run("500").run().success(), "resolved 500\n");
    let killed = world.agents();
    assert_eq!(killed.len(), 1);
    let pid = rustix::process::Pid::from_raw(killed[0] as i32).expect("a process");
    rustix::process::kill_process(pid, Signal::KILL).expect("it is ours");
    wait(|| world.agents() != killed);
    assert_eq!(run("500").run().success(), "made 500\n");
    underpass_tests::names::assert_reached(&proxy, (1..=500).map(|n| format!("k{n}.test")));
    proxy.forget();
    let unknown = world.wrapped(proxy.url(), "bash").args(["-c", "exec 3<>/dev/tcp/198.18.100.1/7001"]).run();
    assert!(unknown.stderr.contains("No route to host"), "{unknown}");
    assert_eq!(proxy.requests(), []);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    drop(keeper);
}
