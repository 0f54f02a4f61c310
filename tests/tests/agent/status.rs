//! What an agent tells of itself: connections, hops, logs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use underpass_tests::proxies::{self, Fake};
use underpass_tests::{Command, Running, World, artifacts};

use crate::{directory, no_leaks, wait, world};

/// Sends five bytes to the echo server and gets them back, tells its process, and waits for a line before
/// and after.
const ECHO: &str = "echo $$; read line; exec 3<>/dev/tcp/far.test/7007; printf hello >&3; head -c5 <&3; \
                    echo; read line";

/// A configuration file of the world's.
pub(crate) fn file(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.directory().join(name);
    std::fs::write(&path, text).expect("the directory is ours");
    path
}

/// A bash script with the configuration of a file.
pub(crate) fn script(world: &World, file: &Path, script: &str) -> Command {
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(file);
    underpass.args(["--", "bash", "-c", script])
}

pub(crate) fn ask(world: &World, words: &[&str]) -> Command {
    world.client(artifacts::agent()).args(words)
}

fn status(world: &World) -> Value {
    serde_json::from_str(&ask(world, &["status", "--json"]).run().success()).expect("it is JSON")
}

/// Starts the script and takes its process id.
fn start(command: Command) -> (Running, u64) {
    let mut program = command.spawn();
    let pid = program.next_line().parse().expect("a process id");
    program.say("");
    assert_eq!(program.next_line(), "hello");
    (program, pid)
}

#[test]
fn without_an_agent_there_is_nothing_to_tell() {
    let world = World::new();
    for words in [&["status"][..], &["status", "--json"], &["reload"], &["status", "--directory", "/run"]] {
        let done = ask(&world, words).run();
        assert_eq!((done.code(), &*done.stdout), (1, ""), "{done}");
        assert_eq!(done.stderr, "underpass-agent: no agent is running\n");
    }
}

#[test]
fn connections_of_both_mechanisms_are_shown_with_what_has_passed() {
    let (world, proxy) = world();
    let text = |handoff| format!("proxy = '{}'\nhandoff = '{handoff}'\n", proxy.url());
    let files = ["always", "never"].map(|handoff| file(&world, handoff, &text(handoff)));
    let programs = files.map(|file| start(script(&world, &file, ECHO)));
    let shown = status(&world);
    let connections = shown["connections"].as_array().expect("a list");
    assert_eq!(connections.len(), 2, "{shown}");
    for ((_, pid), mechanism) in programs.iter().zip(["handed off", "relayed"]) {
        let found = connections.iter().find(|it| it["mechanism"] == mechanism).expect(mechanism);
        assert!(found["program"].as_str().is_some_and(|file| file.ends_with("/bash")), "{found}");
        assert_eq!(found["pid"], *pid);
        assert_eq!(found["destination"], "far.test:7007");
        assert_eq!((&found["chain"], &found["route"]), (&"main".into(), &Value::Null));
        assert_eq!((&found["bytes_up"], &found["bytes_down"]), (&5.into(), &5.into()), "{found}");
        assert!(found["age_seconds"].as_u64().is_some_and(|age| age < 300), "{found}");
    }
    let hops = shown["hops"].as_array().expect("a list");
    assert_eq!(hops.len(), 2, "one for each configuration: {shown}");
    for hop in hops {
        assert_eq!((&hop["hop"], &hop["of"], &hop["failures"]), (&1.into(), &1.into(), &0.into()));
        assert_eq!(hop["url"], proxy.url());
        assert_eq!(hop["passed_over_seconds"], Value::Null);
        assert!(hop["round_trip_microseconds"].is_u64(), "{hop}");
        assert_eq!(hop["dialled_by"], Value::Null);
    }

    let place = directory(&world).display().to_string();
    let table = ask(&world, &["status", "--directory", &place]).run().success();
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    for words in ["PROGRAM", "bash ", "far.test:7007", "relayed", "handed off", "main#", " up "] {
        assert!(table.contains(words), "{words}: {table}");
    }

    let [(mut relayed, _), _] = programs;
    relayed.say("");
    assert_eq!(relayed.wait().code(), 0);
    wait("one connection less", || {
        status(&world)["connections"].as_array().is_some_and(|list| list.len() == 1)
    });
    no_leaks(&world);
}

#[test]
fn a_hop_that_failed_is_shown_as_passed_over() {
    let (world, proxy) = world();
    let dead = proxies::down(&world);
    let text = format!("[chain.spare]\nkind = 'failover'\nhops = ['{dead}', '{}']\n", proxy.url());
    let file = file(&world, "c.toml", &text);
    // On a busy machine the 5 seconds may be over before it is asked: then it has failed once more.
    let (shown, failures) = (1..=10)
        .find_map(|failures| {
            let begin = Instant::now();
            let done = script(&world, &file, crate::HELLO).run();
            assert_eq!(done.stdout, "hello\n", "{done}");
            let shown = status(&world);
            (begin.elapsed() < Duration::from_secs(4)).then_some((shown, failures))
        })
        .expect("one of ten is quick enough");
    let hops = shown["hops"].as_array().expect("a list");
    assert_eq!(hops.len(), 2, "{shown}");
    assert_eq!(hops[0]["url"], dead, "{shown}");
    assert!(hops[0]["failures"].as_u64().is_some_and(|found| (1..=failures).contains(&found)), "{shown}");
    assert!(hops[0]["passed_over_seconds"].as_u64().is_some_and(|left| (1..=60).contains(&left)), "{shown}");
    assert_eq!((&hops[1]["chain"], &hops[1]["failures"]), (&"spare".into(), &0.into()), "{shown}");
    wait("its connection has ended", || {
        ask(&world, &["status"]).run().success().starts_with("no connection is carried\n")
    });
}

/// The lines of the agent's log with this message.
fn lines(world: &World, message: &str) -> Vec<Value> {
    let log = world.client("cat").arg(directory(world).join("agent.log")).run().success();
    let lines = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
    lines.filter(|line: &Value| line["message"] == message).collect()
}

fn logged(world: &World, proxy: &Fake, handoff: &str, connection: &str) {
    let text = format!("proxy = '{}'\nhandoff = '{handoff}'\n", proxy.url());
    let file = file(world, handoff, &text);
    let command = script(world, &file, &format!("{connection}; true"));
    let done = command.env("UNDERPASS_LOG", "info").env("UNDERPASS_LOG_FORMAT", "json").run();
    assert_eq!(done.code(), 0, "{done}");
}

/// A program that sends datagrams in vain does so again and again.
#[test]
fn why_datagrams_are_not_carried_is_said_once() {
    let (world, _proxy) = world();
    let http = "proxy = 'http://10.77.0.1:3128'\n";
    let refused = "proxy = 'socks5h://10.77.0.1:1'\nudp = 'refuse'\n";
    for (name, text, reason) in [
        (
            "http",
            http,
            "hop 1 of 1, http://10.77.0.1:3128: only SOCKS5 proxies carry datagrams, and a relay that is the last hop",
        ),
        ("refused", refused, "datagrams are refused (--udp refuse)"),
    ] {
        let file = file(&world, name, text);
        let send = "for i in 1 2 3; do echo x >/dev/udp/far.test/7007 || :; done";
        let command = script(&world, &file, send);
        let done = command.env("UNDERPASS_LOG", "info").env("UNDERPASS_LOG_FORMAT", "json").run();
        assert_eq!(done.stderr.matches("line 1: ").count(), 3, "{done}");
        let said = lines(&world, "datagrams are not carried");
        let said: Vec<_> = said.iter().filter(|line| line["reason"] == reason).collect();
        assert_eq!(said.len(), 1, "{:?}", lines(&world, "datagrams are not carried"));
        assert!(said[0]["program"].as_str().is_some_and(|file| file.ends_with("/bash")), "{said:?}");
        assert_eq!(said[0]["errno"], 101, "{said:?}");
    }
    no_leaks(&world);
}

#[test]
fn a_program_that_has_the_proxy_too_is_noticed_once_and_served() {
    let (world, proxy) = world();
    let curl = format!("curl -sS --http0.9 --noproxy '' -x {} http://far.test:7001/", proxy.url());
    logged(&world, &proxy, "auto", &format!("{curl}; {curl}"));
    let to_itself = proxy.requests().iter().filter(|request| request.host == "10.77.0.1").count();
    assert_eq!(to_itself, 2, "{:?}", proxy.requests());
    let noticed = lines(&world, "a program connects to the first hop itself, and goes through it twice");
    assert_eq!(noticed.len(), 1, "{noticed:?}");
    assert_eq!(noticed[0]["chain"], "main", "{noticed:?}");
    // And shown to whoever asks, whether there is a log or not.
    let hop = &status(&world)["hops"][0];
    assert!(hop["dialled_by"].as_i64().is_some_and(|pid| pid > 0), "{hop}");
    let table = ask(&world, &["status"]).run().success();
    let note = format!("chain main: process {} connects to the first hop itself", hop["dialled_by"]);
    assert!(table.contains(&note), "{table}");
}

#[test]
fn each_connection_has_its_line_in_the_log() {
    let (world, proxy) = world();
    let echo = "exec 3<>/dev/tcp/far.test/7007; printf hello >&3; head -c5 <&3";
    logged(&world, &proxy, "never", echo);
    wait("the end is logged", || !lines(&world, "ended").is_empty());
    let ended = &lines(&world, "ended")[0];
    assert_eq!((&ended["bytes_up"], &ended["bytes_down"]), (&5.into(), &5.into()), "{ended}");
    assert_eq!((&ended["destination"], &ended["chain"]), (&"far.test:7007".into(), &"main".into()));
    assert!(ended["program"].as_str().is_some_and(|file| file.ends_with("/bash")), "{ended}");
    assert!(ended["seconds"].is_f64() && ended["pid"].is_u64(), "{ended}");
    assert_eq!(ended["level"], "INFO");

    logged(&world, &proxy, "never", "exec 3<>/dev/tcp/far.test/7002; printf x >&3; head -c1 <&3");
    wait("the reset is logged", || lines(&world, "ended").len() == 2);
    assert_eq!(lines(&world, "ended")[1]["reason"], "reset by the far end");

    logged(&world, &proxy, "always", echo);
    wait("the hand-off is logged", || !lines(&world, "handed off").is_empty());
    let handed_off = lines(&world, "handed off");
    assert_eq!((handed_off.len(), &handed_off[0]["destination"]), (1, &"far.test:7007".into()));

    proxy.behave(underpass_tests::behaviour::Behaviour::NoMethod);
    for (handoff, count) in [("never", 1), ("always", 2)] {
        logged(&world, &proxy, handoff, echo);
        wait("the failure is logged", || lines(&world, "failed").len() >= count);
        let failed = lines(&world, "failed");
        assert_eq!(failed.len(), count, "{failed:?}");
        let last = &failed[count - 1];
        let reason = last["reason"].as_str().expect("a text");
        assert!(reason.starts_with(&format!("hop 1 of 1, {}: ", proxy.url())), "{last}");
        assert!(last["hint"].is_string(), "{last}");
        assert_eq!((&last["destination"], &last["errno"]), (&"far.test:7007".into(), &13.into()));
    }
    no_leaks(&world);
}

#[test]
fn a_log_that_cannot_be_is_refused() {
    let world = World::new();
    for (variable, value) in [("UNDERPASS_LOG_FORMAT", "xml"), ("UNDERPASS_LOG", "underpass=loud")] {
        let command = world.wrapped("local:", "true").env("UNDERPASS_LOG", "info").env(variable, value);
        let done = command.run();
        assert_eq!(done.code(), 125, "{done}");
        assert!(done.stderr.contains(variable), "{done}");
    }
}

/// Started past every hook: busybox is static, and so stays without the library.
#[test]
fn programs_that_are_not_carried_are_named() {
    let (world, proxy) = world();
    let underpass = || {
        let underpass = world.client(artifacts::underpass()).env("UNDERPASS_LOG", "warn");
        underpass.env("UNDERPASS_LOG_FORMAT", "json").args(["-x", proxy.url()])
    };
    let carried = underpass().args(["sleep", "100"]).spawn();
    let script = "echo $$; exec \"$0\" /bin/busybox sleep 100";
    let by_hand = artifacts::program("exec_by_hand");
    let mut program = underpass().args(["bash", "-c", script]).arg(by_hand).spawn();
    let pid: u64 = program.next_line().parse().expect("a process id");
    let named = || status(&world)["unhooked"].as_array().expect("a list").clone();
    wait("it has become busybox", || !named().is_empty());
    let named = named();
    assert!(named.len() == 1 && named[0]["pid"] == pid, "{named:?}");
    let file = named[0]["program"].as_str().expect("it lives");
    assert!(file.ends_with("/busybox"), "{file}");
    let table = ask(&world, &["status"]).run().success();
    assert!(table.contains("\n\nNOT CARRIED  PID\n") && table.contains(&pid.to_string()), "{table}");
    let message = "not hooked: what it sends is not carried";
    wait("it is written down", || !lines(&world, message).is_empty());
    assert_eq!(lines(&world, message)[0]["pid"], pid);
    drop((carried, program));
    no_leaks(&world);
}
