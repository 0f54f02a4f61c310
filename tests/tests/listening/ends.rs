//! Listeners that end, that survive, and that are refused.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use underpass_tests::{PATIENCE, World, artifacts, proxies, wait};

use crate::calls::{PYTHON, script, server, visited};
use crate::door;
use crate::place::{EXIT, EXPOSED, Place, line};
use crate::reverse::{Two, complaint, forward, nginx, requests};

/// What `listen()` says for a rule, a second listener at a port, and one that no rule has.
#[test]
fn a_listener_that_the_exit_refuses_fails_with_its_errno() {
    let refused = |place: &Place, port: &str| {
        let listens = place.exposed(PYTHON).arg(script("listens.py")).args(["fork", "0.0.0.0", port]);
        listens.limit(PATIENCE).run().stdout
    };
    let place = Place::new("");
    assert_eq!(refused(&place, "8001"), format!("errno {}\n", 13));
    let place = Place::new(&format!("{EXPOSED}most = 2\n"));
    assert_eq!(refused(&place, "80"), "errno 13\n");
    assert_eq!(refused(&place, "7999"), "errno 13\n");
    let beside = place.world.far(PYTHON).arg(script("listens.py")).args(["fork", EXIT, "8001"]);
    let mut beside = beside.limit(Duration::MAX).spawn();
    beside.next_line();
    assert_eq!(refused(&place, "8001"), "errno 98\n");
    let _two = ["8002", "8003"].map(|port| server(place.exposed(PYTHON), &["fork", "0.0.0.0", port]));
    assert_eq!(refused(&place, "8004"), "errno 13\n");
    // Each is a line of the audit, with the reason.
    for reason in
        ["no rule lets the client listen there", "the address is in use", "as many listeners as it may"]
    {
        place.relay.real.wait_log(reason);
        let log = place.relay.real.log();
        let line = log.lines().find(|line| line.contains(reason));
        let line = line.unwrap_or_else(|| panic!("{reason} in {log}"));
        assert!(line.contains("\"listens\":\"listener\"") && line.contains("\"verdict\":\"deny\""), "{line}");
    }
}

/// Who, at which addresses, and for how long: each table is for a client, and what is asked for again is judged again.
#[test]
fn a_rule_says_who_may_listen_where_and_for_how_long() {
    let world = World::new();
    let keys = ["zero", "one"].map(|name| proxies::key(&world, name));
    let tables = "[[expose]]\nclient = 'client-0'\naddress = '10.99.0.1'\nport = 8001\nage = 1\n\
                  [[expose]]\nclient = 'client-0'\nport = '8002-8003'\n";
    let relay = proxies::relay_with(&world, 4431, &[&keys[0], &keys[1]], 7088, tables).allowed(&world);
    let urls = keys.each_ref().map(|key| relay.url(key));
    for (url, wish) in
        [(&urls[1], "8001"), (&urls[0], "[fd99::1]:8001"), (&urls[0], "127.0.0.1:8002"), (&urls[0], "8004")]
    {
        let done = forward(&world, &["-x", url, "-R", &format!("{wish}:localhost:1")]).limit(PATIENCE).run();
        assert_eq!(done.code(), 125, "{done}");
        assert!(done.stderr.contains("no rule lets the client listen there"), "{wish}: {done}");
    }
    let own = ["-R", "8001:localhost:1", "-R", "[fd99::1]:8002:localhost:1"];
    let mut agent = forward(&world, &[&["-x", &urls[0]], &own[..]].concat()).spawn();
    world.wait_listening(8002);
    let said = complaint(&mut agent, "the exit has closed a listener");
    assert!(said.contains("reverse=8001:localhost:1"), "{said}");
    world.wait_listening(8001);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// A program that is killed takes its listener with it, and another may listen there.
#[test]
fn a_listener_ends_with_its_program_and_not_with_the_relay() {
    let place = Place::new(EXPOSED);
    let (first, _) = server(place.exposed(PYTHON), &["fork", "0.0.0.0", "8001"]);
    visited(&place, EXIT, "8001", 2, 2);
    first.signal(Signal::KILL);
    first.end();
    let (_second, _) = server(place.exposed(PYTHON), &["fork", "0.0.0.0", "8001"]);
    visited(&place, EXIT, "8001", 2, 2);
    // The relay ends, and comes back; the program knows nothing of it.
    place.relay.real.kill();
    place.wait_closed(8001);
    place.relay.real.revive(&place.world);
    place.wait_listening(8001);
    visited(&place, EXIT, "8001", 2, 2);
}

/// A chain that does not answer keeps nobody waiting but its own programs, and each of those no longer than its deadline.
#[test]
fn a_chain_that_does_not_answer_delays_no_listener_of_another() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    let silent = "import socket, sys
s = socket.create_server(('127.0.0.1', 4444), backlog=100)
print('listens', flush=True)
sys.stdin.read()";
    let mut silent = world.client(PYTHON).args(["-c", silent]).limit(Duration::MAX).spawn();
    line(&mut silent, "listens");
    let file = world.directory().join("listeners.toml");
    let text = format!(
        "default = 'main'\ndeadline = 3\n[chain.main]\nhops = ['{}']\n[chain.silent]\nhops = ['socks5h://127.0.0.1:4444']\n\
         [[expose]]\nport = '8001-8003'\nat = 'silent'\n[[expose]]\nport = 9001\nat = 'main'\n",
        place.relay.url(&place.key)
    );
    std::fs::write(&file, text).expect("the directory is ours");
    let exposed = || world.client(artifacts::underpass()).arg("-f").arg(&file).arg("--").arg(PYTHON);
    let begun = Instant::now();
    let mut waiting = ["8001", "8002", "8003"]
        .map(|port| exposed().arg(script("listens.py")).args(["fork", "0.0.0.0", port]).spawn());
    let asked = || world.client("ss").args(["-Htn", "dst", "127.0.0.1:4444"]).run().stdout;
    wait("one is asked for", || !asked().is_empty());
    let (_server, said) = server(exposed(), &["fork", "0.0.0.0", "9001"]);
    assert_eq!(said, format!("listens {EXIT} 9001"));
    let said = waiting.each_mut().map(|program| program.try_line());
    assert_eq!(said, [None, None, None], "the other chain's listener was later");
    for mut program in waiting {
        assert_eq!(program.next_line(), "errno 110");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
}

/// More come at once than their client may take in a second.
#[test]
fn whoever_comes_in_a_burst_is_served() {
    let place = Place::new(&format!("{EXPOSED}[limits]\nnew = 20\n"));
    let _nginx = nginx(&place.world, 8080);
    let url = place.relay.url(&place.key);
    let _agent = forward(&place.world, &["-x", &url, "-R", "8001:localhost:8080"]).spawn();
    place.wait_listening(8001);
    requests(&place.world, 8001, 60);
}

/// By another client of the protocol: who comes while the listener has no client waits, and is served when that is back.
#[test]
fn a_listener_outlives_a_cut_for_as_long_as_the_rule_says() {
    let place = Place::new(&format!("{EXPOSED}grace = 60\n"));
    let key = place.key.path.display().to_string();
    let relay = place.relay.real.port().to_string();
    let script = place.world.client(PYTHON).arg(script("relay_listen.py"));
    let mut client =
        script.args(["10.77.0.1", &relay, &format!("{key}.crt"), &key, "0.0.0.0", "8001"]).spawn();
    assert_eq!(client.next_line(), format!("200 {EXIT}:8001"));
    let visitor = || {
        let code = "import socket
visit = socket.create_connection(('10.99.0.1', 8001), 60)
print('connected', flush=True)
print(visit.makefile().readline(), end='')";
        let mut visitor = place.world.far(PYTHON).args(["-c", code]).spawn();
        assert_eq!(visitor.next_line(), "connected");
        visitor
    };
    let mut before = visitor();
    client.say("somebody has come");
    assert_eq!(client.next_line(), "came");
    let mut after = visitor();
    client.say("and somebody more");
    for line in [&format!("200 {EXIT}:8001"), "200", "200", "True {'10.99.0.1'}", "404", "ended", "404"] {
        assert_eq!(client.next_line(), *line);
    }
    for visitor in [&mut before, &mut after] {
        assert!(visitor.next_line().starts_with("10.99.0.1 "));
    }
    place.wait_closed(8001);
    client.wait().success();
}

/// Whoever takes a listener over has it, no more wait at it than may, and what nobody can take up any more costs nothing.
#[test]
fn a_listener_goes_from_stream_to_stream() {
    let place = Place::new(&format!("{EXPOSED}grace = 60\n"));
    let key = place.key.path.display().to_string();
    let port = place.relay.real.port().to_string();
    let script = place.world.client(PYTHON).arg(script("relay_taken_over.py"));
    let script = script.args(["10.77.0.1", &port, &format!("{key}.crt"), &key, "0.0.0.0", "8001"]);
    let mut client = script.limit(Duration::from_secs(120)).spawn();
    for line in ["200", "200", "200", "many may come"] {
        assert_eq!(client.next_line(), line);
    }
    let code = "import socket, sys
came = [socket.create_connection(('10.99.0.1', 8001), 60) for _ in range(400)]
print('connected', flush=True)
sys.stdin.read()";
    let mut visitors = place.world.far(PYTHON).args(["-c", code]).spawn();
    assert_eq!(visitors.next_line(), "connected");
    client.say("they have come");
    for line in ["128", "200 128", "200 128", "200 again"] {
        assert_eq!(client.next_line(), line);
    }
    visitors.close_input();
    visitors.wait().success();
    place.wait_closed(8001);
    let before = place.relay.real.resident();
    client.say("and it has ended");
    assert_eq!(client.next_line(), "none was wanted");
    let grown = place.relay.real.resident().saturating_sub(before);
    client.wait().success();
    // It were some hundred bytes for each.
    assert!(grown < 1024, "{grown} KiB");
}

/// A door that cannot say where the exit listens, since the relay has no address but a name, has nothing left there.
#[test]
fn a_listener_that_a_door_refuses_is_closed_at_once() {
    let two = Two::with("[[expose]]\nport = '8000-9999'\nmost = 2\ngrace = 600\n");
    let world = &two.world;
    let urls = two.urls_at("far.test");
    let front = door::open_before(world, &[&urls[0], &urls[1]]);
    for _ in 0..3 {
        let refused = world.client(PYTHON).args(["-c", door::BIND, "5", EXIT]).run();
        assert_eq!(refused.stdout, "reply 3 0.0.0.0 0\n");
    }
    front.end();
    let _agent = two.forward(&["-R", "8001:localhost:1", "-R", "8002:localhost:1"]).spawn();
    world.wait_listening(8001);
    world.wait_listening(8002);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// An agent that ends closes what a relay would keep for its return, and so does a door whose client has gone; and a relay
/// that ends does not wait for listeners.
#[test]
fn a_listener_that_nobody_wants_any_more_is_closed_at_once() {
    let place = Place::new(&format!("{EXPOSED}grace = 600\n[limits]\ndrain = 600\n"));
    let (world, url) = (&place.world, place.relay.url(&place.key));
    let (_server, _) = server(place.exposed(PYTHON), &["fork", "0.0.0.0", "8001"]);
    for agent in world.agents() {
        let agent = Pid::from_raw(agent.cast_signed()).expect("it is no zero");
        kill_process(agent, Signal::TERM).expect("it is ours");
    }
    place.wait_closed(8001);

    let agent = forward(world, &["-x", &url, "-R", "8002:localhost:1"]).spawn();
    place.wait_listening(8002);
    place.relay.real.leave();
    place.relay.real.revive(world);
    place.wait_listening(8002);
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), 0);
    place.wait_closed(8002);

    let front = door::open(world, &url);
    let (client, _, port) = door::bound(world, "5", "0.0.0.0");
    let port = port.parse().expect("a port");
    place.wait_listening(port);
    client.end();
    place.wait_closed(port);
    // Two have come to where one is wanted, while the door was busy.
    let (client, _, port) = door::bound(world, "5", "0.0.0.0");
    front.signal(Signal::STOP);
    let code = "import socket, sys
visit = socket.create_connection(('10.99.0.1', int(sys.argv[1])), 60)
print('connected', flush=True)
visit.settimeout(60)
visit.shutdown(1)
try: print('end', visit.recv(100))
except ConnectionResetError: print('reset')";
    let mut both = [(); 2].map(|()| world.far(PYTHON).args(["-c", code, &port]).spawn());
    both.iter_mut().for_each(|visitor| assert_eq!(visitor.next_line(), "connected"));
    front.signal(Signal::CONT);
    let mut said = both.map(|mut visitor| visitor.next_line());
    said.sort();
    assert_eq!(said, ["end b''", "reset"]);
    client.wait().success();
}
