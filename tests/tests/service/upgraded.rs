//! Another process takes the place of the one that serves.

use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::proxies::{self, Fake};
use underpass_tests::servers;
use underpass_tests::{Running, World, artifacts, wait};

use crate::place::{Manager, door, echo, listens, no_leaks, service, world};

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
threads = [threading.Thread(target=run, args=(n % 2 == 0,)) for n in range(4)]
for thread in threads: thread.start()
print("up", len(kept), flush=True)
for line in sys.stdin:
    if line == "end\n": break
    before = made[0]
    for s in kept:
        try: said(s)
        except Exception as error: wrong.append("kept " + repr(error))
    while made[0] < before + 20 and not wrong: time.sleep(0.01)
    print("said", wrong, flush=True)
stop.set()
for thread in threads: thread.join()
print("made", made[0] > 0, wrong, flush=True)
"#;

fn storm(world: &World, file: &std::path::Path, kept: usize) -> Running {
    let program = world.client(artifacts::underpass()).arg("-f").arg(file);
    let program = program.args(["--", "python3", "-c", STORM, &kept.to_string()]);
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

/// Waits until a manager is told of another process, and that it serves.
#[track_caller]
fn succeeded(manager: &Manager) {
    let limit = std::time::Instant::now() + underpass_tests::PATIENCE;
    while std::time::Instant::now() < limit {
        let told = manager.next_within(underpass_tests::PATIENCE);
        if told.is_some_and(|told| told.starts_with("MAINPID=")) {
            manager.wait("READY=1");
            return;
        }
    }
    panic!("no other process was told of");
}

/// Nothing is lost of what is open, nor of what comes, whoever of the three has accepted it.
#[test]
fn programs_notice_nothing() {
    let (world, proxy, manager) = world();
    let agent = service(&world, &["run"]).spawn();
    manager.wait("READY=1");
    let first = agent.pid();
    let mut storm = storm(&world, &relayed(&world, &proxy), 100);
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
    let mut storm = storm(&world, &file, 50);
    relay.signal(Signal::USR2);
    succeeded(&manager);
    storm.say("now");
    assert_eq!(storm.next_line(), "said []");
    storm.say("end");
    assert_eq!(storm.next_line(), "made True []");
    assert_eq!(relay.wait().code(), 0);
    world.wait_listening(4433);
    no_leaks(&world);
}
