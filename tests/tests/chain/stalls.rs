//! A session that stalls: what comes new goes by another one beside it, and what it carries goes on when its line does.

use std::time::{Duration, Instant};

use underpass_tests::World;
use underpass_tests::servers::port;

use crate::place::{self, NAME};
use crate::relays::row;

/// Makes a connection for each line that it reads, and in the end asks all of them.
const PROGRAM: &str = r#"
import socket, sys
streams = []
for line in sys.stdin:
    if line == "open\n":
        stream = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        assert stream.recv(6, socket.MSG_WAITALL) == b"hello\n"
        streams.append(stream)
        print("opened", flush=True)
        continue
    for stream in streams:
        stream.sendall(b"word")
    print(*(stream.recv(4, socket.MSG_WAITALL).decode() for stream in streams), flush=True)
"#;

/// The client side's ports of its connections to this one.
fn ports_to(world: &World, far: u16) -> Vec<u16> {
    let agents = world.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    let text = std::fs::read_to_string(format!("/proc/{}/net/tcp", agents[0])).expect("it runs");
    let port = |address: &str| u16::from_str_radix(&address[9..], 16).expect("a port");
    let connections = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    connections.filter(|fields| port(fields[2]) == far && fields[3] == "01").map(|f| port(f[1])).collect()
}

#[test]
fn what_comes_new_goes_beside_a_session_that_has_stalled() {
    let row = row(2);
    let world = &row.place.world;
    let first = row.relays[0].real.port();
    let port = port::GREETER.to_string();
    let mut program = row.place.through(&row.urls(), "python3").args(["-c", PROGRAM, NAME, &port]).spawn();
    program.say("open");
    assert_eq!(program.next_line(), "opened");
    let before = ports_to(world, first);
    assert!(!before.is_empty());
    // Of these connections nothing arrives any more.
    let rules = before.iter().map(|port| format!("tcp sport {port} drop\n")).collect::<String>();
    let chain = format!("chain in {{\n type filter hook prerouting priority -400\n {rules} }}\n");
    let rules = format!("table inet stall {{\n {chain} }}\n");
    world.far("nft").arg(rules).run().success();
    for _ in 0..2 {
        program.say("open");
        assert_eq!(program.next_line(), "opened");
    }
    let now = ports_to(world, first);
    assert!(now.iter().any(|port| !before.contains(port)), "{before:?} {now:?}");
    // What has stalled has not been given up, and the line carries again.
    assert!(before.iter().all(|port| now.contains(port)), "{before:?} {now:?}");
    world.far("nft").args(["delete", "table", "inet", "stall"]).run().success();
    program.say("say");
    assert_eq!(program.next_line(), "word word word");
}

/// Whoever waits for a session that another has begun has all of its own time.
#[test]
fn the_deadline_of_one_is_not_that_of_another() {
    const DEADLINE: u64 = 8;
    let row = row(1);
    let world = &row.place.world;
    let text = format!("deadline = {DEADLINE}\nproxy = '{}'\n", row.urls[0]);
    let rule = format!("tcp dport {} drop", row.relays[0].real.port());
    let chain = format!("chain in {{\n type filter hook prerouting priority -400\n {rule}\n }}\n");
    world.far("nft").arg(format!("table inet stall {{\n {chain} }}\n")).run().success();
    let visit = || {
        let arguments = place::visit("blocking", [place::greeter().as_str()]);
        row.place.configured("c.toml", &text, "python3").args(arguments).spawn()
    };
    let began = Instant::now();
    let first = visit();
    std::thread::sleep(Duration::from_secs(DEADLINE / 2));
    let second = visit();
    std::thread::sleep(Duration::from_millis(DEADLINE * 1000 + 500).saturating_sub(began.elapsed()));
    world.far("nft").args(["delete", "table", "inet", "stall"]).run().success();
    assert_eq!([first, second].map(|visit| visit.wait().stdout), ["ETIMEDOUT\n", "greeted\n"]);
}
