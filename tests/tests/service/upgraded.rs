//! Another process takes the place of the one that serves.

use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::proxies::{self, Fake};
use underpass_tests::servers;
use underpass_tests::{Running, World, artifacts, wait};

use crate::place::{Manager, door, echo, listens, no_leaks, service, succeeded, succeeded_twice, world};

/// A program that connects again and again, holds some of what it has, and says each thing that went wrong.
const STORM: &str = r#"
import select, socket, sys, threading, time
kept, wrong, stop, made = [], [], threading.Event(), [0]
def once(blocking):
    s = socket.socket()
    s.settimeout(60)
    if blocking:
        s.connect(("far.test", 7007))
    else:
        s.setblocking(False)
        s.connect_ex(("far.test", 7007))
        select.select([], [s], [], 60)
        error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error: raise OSError(error, "connect")
        s.settimeout(60)
    said(s)
    return s
def said(s):
    if not s.getpeername()[0].startswith("198.18."): raise OSError("peer " + s.getpeername()[0])
    s.sendall(b"word\n")
    back = b""
    while len(back) < 5:
        more = s.recv(5 - len(back))
        if not more: raise OSError("end")
        back += more
def run(blocking):
    while not stop.is_set():
        try:
            once(blocking).close()
            made[0] += 1
        except Exception as error:
            wrong.append(repr(error))
            return
try:
    kept = [once(n % 2 == 0) for n in range(int(sys.argv[1]))]
except Exception as error:
    wrong.append(repr(error))
threads = [threading.Thread(target=run, args=(n % 2 == 0,)) for n in range(int(sys.argv[2]))]
for thread in threads: thread.start()
print("up", len(kept), flush=True)
for line in sys.stdin:
    if line == "end\n": break
    before = made[0]
    for s in kept:
        try: said(s)
        except Exception as error: wrong.append("kept " + repr(error))
    while threads and made[0] < before + 20 and not wrong: time.sleep(0.01)
    print("said", wrong, flush=True)
stop.set()
for thread in threads: thread.join()
print("made", made[0] > 0, wrong, flush=True)
"#;

/// Threads of it that connect.
const MANY: usize = 4;

/// A program whose connections take two seconds, and says when all have begun, and what went wrong with them.
const WAITS: &str = r#"
import os, select, socket, sys, threading
wrong, count = [], int(sys.argv[1])
def said(s):
    s.settimeout(60)
    s.sendall(b"x")
    if s.recv(1) != b"x": wrong.append("end")
def blocking():
    s = socket.socket()
    try:
        s.connect(("far.test", 9007))
        said(s)
    except OSError as error:
        wrong.append("blocking " + repr(error))
threads = [threading.Thread(target=blocking) for _ in range(count // 2)]
for thread in threads: thread.start()
others = [socket.socket() for _ in range(count // 2)]
for s in others:
    s.setblocking(False)
    s.connect_ex(("far.test", 9007))
print("begun", flush=True)
for s in others:
    select.select([], [s], [], 60)
    error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error: wrong.append("non-blocking " + os.strerror(error))
    else: said(s)
for thread in threads: thread.join()
print("waited", wrong, flush=True)
"#;

/// A program that sends datagrams by sockets that it keeps, and by new ones, and says what did not come back.
const DATAGRAMS: &str = r#"
import socket, sys
AT = ("10.99.0.1", 7007)
def new(connected):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(30)
    if connected: s.connect(AT)
    return s, connected
def said(s, connected):
    if connected: s.send(b"word")
    else: s.sendto(b"word", AT)
    if s.recv(100) != b"word": raise OSError("another word")
kept = [new(n % 2 == 0) for n in range(10)]
for s in kept: said(*s)
print("up", flush=True)
for line in sys.stdin:
    wrong = []
    for s in kept + [new(n % 2 == 0) for n in range(10)]:
        try: said(*s)
        except OSError as error: wrong.append(repr(error))
    print("said", wrong, flush=True)
"#;

fn storm(world: &World, options: &[&str], kept: usize, threads: usize) -> Running {
    let program = world.client(artifacts::underpass()).args(options);
    let program = program.args(["--", "python3", "-c", STORM, &kept.to_string(), &threads.to_string()]);
    let mut program = program.limit(Duration::from_secs(240)).spawn();
    assert_eq!(program.next_line(), format!("up {kept}"));
    program
}

fn relayed(world: &World, proxy: &Fake) -> std::path::PathBuf {
    let file = world.directory().join("c.toml");
    let text = format!("handoff = 'never'\nproxy = '{}'\n", proxy.url());
    std::fs::write(&file, text).expect("the directory is ours");
    file
}

/// Nothing is lost of what is open, nor of what comes, whoever of the three has accepted it.
#[test]
fn programs_notice_nothing() {
    let (world, proxy, manager) = world();
    let agent = service(&world, &["run"]).spawn();
    manager.wait("READY=1");
    let first = agent.pid();
    let file = relayed(&world, &proxy);
    let mut storm = storm(&world, &["-f", file.to_str().expect("it is UTF-8")], 100, MANY);
    let mut serving = first;
    for _ in 0..2 {
        assert!(world.signal(serving, Signal::USR2));
        succeeded(&manager);
        storm.say("now");
        assert_eq!(storm.next_line(), "said []");
        let agents = world.agents();
        serving = *agents.iter().max_by_key(|pid| started(**pid)).expect("one serves");
        assert!(serving != first && agents.contains(&first), "{agents:?}");
    }
    storm.say("end");
    assert_eq!(storm.next_line(), "made True []");
    // Those that carry nothing any more have ended.
    wait("one is left", || world.agents() == [serving]);
    // Launches find it, and it ends as the first would have.
    let hello = world.wrapped(proxy.url(), "bash").args(["-c", "exec 3<>/dev/tcp/far.test/7001; cat <&3"]);
    assert_eq!(hello.run().success(), "hello\n");
    assert!(world.signal(serving, Signal::TERM));
    wait("it ends", || world.agents().is_empty());
    no_leaks(&world);
}

/// It has connected to the one before, which waits for it.
#[test]
fn who_asks_only_when_the_next_one_serves_is_answered() {
    let (world, proxy, manager) = world();
    let agent = service(&world, &["run"]).spawn();
    manager.wait("READY=1");
    let session = world.wrapped(proxy.url(), "printenv").arg("UNDERPASS_SESSION").run().success();
    let mut serving = agent.pid();
    // None waits longer than 5 s: what has taken as long does not count.
    let answer = (0..20).find_map(|_| {
        let slow = world.client(artifacts::helper("wire-client")).args([session.trim(), "late"]);
        let mut slow = slow.spawn();
        assert_eq!(slow.next_line(), "connected");
        assert!(world.signal(serving, Signal::USR2));
        succeeded(&manager);
        serving = world.agents().into_iter().max_by_key(|pid| started(*pid)).expect("one serves");
        slow.say("now");
        Some(slow.next_line()).filter(|answer| answer != "late")
    });
    assert!(answer.as_ref().is_some_and(|answer| answer.starts_with("Resolved")), "{answer:?}");
    no_leaks(&world);
}

/// The process that has handed it off has nothing to drain, and has ended when the program asks.
#[test]
fn whom_a_connection_leads_to_that_was_handed_off_is_known_to_the_next() {
    const ASKS: &str = r#"
import socket, sys
s = socket.create_connection(("far.test", 7007))
print("up", flush=True)
for line in sys.stdin: print(s.getpeername()[0].startswith("198.18."), s.getpeername()[1], flush=True)
"#;
    let (world, proxy, manager) = world();
    let agent = service(&world, &["run"]).spawn();
    manager.wait("READY=1");
    let mut asks = world.wrapped(proxy.url(), "python3").args(["-c", ASKS]).spawn();
    assert_eq!(asks.next_line(), "up");
    succeeded_twice(&world, &manager, agent);
    asks.say("now");
    assert_eq!(asks.next_line(), "True 7007");
    no_leaks(&world);
}

/// 200 connections: relayed, handed off, of a program that the kernel holds, and that wait for their far end; and datagrams.
#[test]
fn connections_of_every_kind_go_on() {
    let (world, proxy, manager) = world();
    let dante = proxies::dante(&world);
    let agent = service(&world, &["run"]).spawn();
    manager.wait("READY=1");
    let first = agent.pid();
    let file = relayed(&world, &proxy);
    let guard = ["--tier", "guard", "-x", proxy.url()];
    let mut storms = [
        (storm(&world, &guard, 30, 0), "made False []"),
        (storm(&world, &["-f", file.to_str().expect("it is UTF-8")], 80, MANY), "made True []"),
        (storm(&world, &["-x", proxy.url()], 40, MANY), "made True []"),
    ];
    let mut datagrams = world.wrapped(dante.url(), "python3").args(["-c", DATAGRAMS]).spawn();
    assert_eq!(datagrams.next_line(), "up");
    let mut waits = world.wrapped(proxy.url(), "python3").args(["-c", WAITS, "50"]).spawn();
    assert_eq!(waits.next_line(), "begun");
    agent.signal(Signal::USR2);
    let pid = succeeded(&manager);
    // While the process before it lives; systemd waits for the end of its own children alone.
    let parent = "ps -o comm= -p $(ps -o ppid= -p $0)";
    let parent = world.client("sh").args(["-c", parent, &pid]).run().success();
    assert!(!parent.is_empty() && !parent.starts_with("underpass"), "{pid}: {parent}");
    for (storm, _) in &mut storms {
        storm.say("now");
        assert_eq!(storm.next_line(), "said []");
    }
    datagrams.say("now");
    assert_eq!(datagrams.next_line(), "said []");
    assert_eq!(waits.next_line(), "waited []");
    for (storm, made) in &mut storms {
        storm.say("end");
        assert_eq!(storm.next_line(), *made);
    }
    drop((storms, datagrams));
    assert_eq!(agent.succeeded(), Some(0));
    assert!(world.agents().len() == 1 && world.agents() != [first]);
    let hello = world.client(artifacts::underpass()).args(guard).args(["--", "bash", "-c"]);
    let hello = hello.arg("exec 3<>/dev/tcp/far.test/7001; cat <&3").run();
    assert_eq!(hello.success(), "hello\n");
    no_leaks(&world);
}

fn started(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let field = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)?.parse().ok());
    field.unwrap_or(0)
}

#[test]
fn what_comes_in_by_a_door_goes_on() {
    let (world, proxy, manager) = world();
    let unix = world.directory().join("door");
    let agent = door(&world, &proxy, &["--listen", &format!("any://{}", unix.display())]).spawn();
    manager.wait("READY=1");
    let mut open = echo(&world);
    agent.signal(Signal::USR2);
    succeeded(&manager);
    open.say("still");
    assert_eq!(open.next_line(), "still");
    let mut new = echo(&world);
    new.say("new");
    assert_eq!(new.next_line(), "new");
    drop(open);
    wait("the first ends", || world.agents().len() == 1);
    // The Unix socket is the second's now.
    let curl =
        world.client("curl").args(["-sS", "-p", "-x", &format!("socks5h://localhost{}", unix.display())]);
    assert_eq!(curl.arg("telnet://far.test:7001").run().success(), "hello\n");
    assert!(world.signal(world.agents()[0], Signal::TERM));
    wait("it ends", || world.agents().is_empty());
    assert!(!unix.exists() && !listens(&world, 1081));
    no_leaks(&world);
}

/// More of them than the kernel keeps on their way to the successor.
#[test]
fn all_of_very_many_doors_are_the_successors() {
    const DOORS: u16 = 700;
    const FIRST: u16 = 20_000;
    let (world, proxy, manager) = world();
    let doors = (0..DOORS).flat_map(|n| ["-L".to_owned(), format!("{}:far.test:7001", FIRST + n)]);
    let words: Vec<String> =
        ["forward", "-x", proxy.url()].map(String::from).into_iter().chain(doors).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let agent = service(&world, &words).spawn();
    manager.wait("READY=1");
    agent.signal(Signal::USR2);
    succeeded(&manager);
    assert_eq!(agent.succeeded(), Some(0));
    for port in [FIRST, FIRST + DOORS / 2, FIRST + DOORS - 1] {
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3");
        assert_eq!(world.client("bash").args(["-c", &script]).run().success(), "hello\n");
    }
    no_leaks(&world);
}

#[test]
fn a_successor_that_cannot_serve_changes_nothing() {
    let (world, proxy, manager) = world();
    let file = relayed(&world, &proxy);
    let file = file.to_str().expect("it is UTF-8");
    let agent = service(&world, &["run", "--listen", "socks5://127.0.0.1:1081", "-f", file]);
    let mut agent = agent.env("UNDERPASS_LOG", "error").spawn();
    manager.wait("READY=1");
    let mut open = echo(&world);
    std::fs::write(file, "proxi = 'local:'\n").expect("the directory is ours");
    agent.signal(Signal::USR2);
    let mut said = Vec::new();
    wait("it says why", || {
        said.extend(agent.try_complaint());
        said.iter().any(|line| line.contains("no successor") && line.contains("c.toml:1:1: "))
    });
    open.say("still");
    assert_eq!(open.next_line(), "still");
    let mut new = echo(&world);
    new.say("new");
    assert_eq!(new.next_line(), "new");
    assert_eq!(world.agents(), [agent.pid()]);
    no_leaks(&world);
}

#[test]
fn a_relays_streams_go_on_and_new_ones_come_to_the_next() {
    let world = World::new();
    servers::start(&world);
    let manager = Manager::new(&world);
    let key = proxies::key(&world, "client");
    let first = proxies::relay(&world, 4433, &[&key], 1).allowed(&world);
    first.real.kill();
    let config = world.directory().join("relay-4433.toml");
    let relay = world.far(artifacts::agent()).args(["relay", "--config"]).arg(config);
    let relay = relay.env("NOTIFY_SOCKET", world.directory().join("notify")).spawn();
    manager.wait("READY=1");
    let file = world.directory().join("c.toml");
    std::fs::write(&file, format!("proxy = \"{}\"\n", first.url(&key))).expect("the directory is ours");
    let mut storm = storm(&world, &["-f", file.to_str().expect("it is UTF-8")], 50, MANY);
    relay.signal(Signal::USR2);
    succeeded(&manager);
    storm.say("now");
    assert_eq!(storm.next_line(), "said []");
    storm.say("end");
    assert_eq!(storm.next_line(), "made True []");
    assert_eq!(relay.succeeded(), Some(0));
    world.wait_listening(4433);
    no_leaks(&world);
}
