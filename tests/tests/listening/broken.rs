//! Chains behind the doors of an agent that break, and are there again.

use underpass_tests::{Command, World, proxies, servers, wait};

use crate::calls::PYTHON;
use crate::door::{BIND, bound, bound_by, open, open_before, path, visitor};
use crate::place::{EXIT, EXPOSED, line};
use crate::reverse::{Two, complaint, nginx, status, wait_here};

/// What a client is answered that asks for a listener.
fn refused(world: &World) -> String {
    world.client(PYTHON).args(["-c", BIND, "5", EXIT]).run().stdout
}

/// Whoever waits at a door is listed, and hears that nobody can come any more.
#[test]
fn who_waits_at_a_door_is_told_when_the_chain_breaks() {
    let two = Two::new();
    let world = &two.world;
    let urls = two.urls();
    let _front = open_before(world, &[&urls[0], &urls[1]]);
    for (number, relay) in [&two.second, &two.first].into_iter().enumerate() {
        let (mut client, ip, port) = bound(world, "5", EXIT);
        let (mut by_path, _, other) = bound_by(world, &["5", EXIT, &path(world)]);
        let told = status(world);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0]["at"], format!("{ip}:{port}"));
        assert!(told[0]["to"].as_str().is_some_and(|to| to.starts_with("127.0.0.1:")), "{told:?}");
        assert_eq!(
            (&told[1]["at"], &told[1]["to"]),
            (&format!("{EXIT}:{other}").into(), &path(world).into())
        );
        for it in &told {
            assert_eq!(
                (&it["chain"], &it["listens"], &it["connections"]),
                (&"main".into(), &true.into(), &0.into())
            );
            assert!(it["program"].is_null() && it["pid"].is_null(), "{it}");
        }
        relay.real.kill();
        for client in [&mut client, &mut by_path] {
            assert_eq!(line(client, "reply"), "reply 1 0.0.0.0 0");
        }
        client.wait().success();
        by_path.wait().success();
        assert_eq!(status(world), [] as [serde_json::Value; 0]);
        // While it is away, in the words for that.
        assert_eq!(refused(world), "reply 3 0.0.0.0 0\n", "relay {number}");
        relay.real.revive(world);
        let (mut client, _, port) = bound_by(world, &["5", EXIT, &path(world)]);
        let source = 20_010 + number as u16;
        assert_eq!(visitor(world, EXIT, source, EXIT, &port).run().success(), "FROM THE VISITOR\n");
        assert_eq!(line(&mut client, "reply"), format!("reply 0 {EXIT} {source}"));
        assert_eq!(client.next_line(), "done");
        assert_eq!(status(world), [] as [serde_json::Value; 0]);
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// The same where another proxy listens.
#[test]
fn who_waits_at_a_door_is_told_when_dante_ends() {
    let world = World::new();
    let dante = proxies::dante(&world);
    let _front = open(&world, &dante.url_as("socks5h"));
    let (mut client, ip, port) = bound(&world, "5", EXIT);
    assert_eq!(status(&world)[0]["at"], format!("{ip}:{port}"));
    dante.kill();
    assert_eq!(line(&mut client, "reply"), "reply 1 0.0.0.0 0");
    client.wait().success();
    assert_eq!(refused(&world), "reply 3 0.0.0.0 0\n");
    dante.revive(&world);
    let (_client, _, port) = bound(&world, "5", EXIT);
    assert_eq!(visitor(&world, EXIT, 20_020, EXIT, &port).run().success(), "FROM THE VISITOR\n");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// The relay that listens keeps its listeners while nothing leads to it: who comes then is served when something does again, at
/// a port of the relay's choice, too.
#[test]
fn listeners_outlast_the_way_to_their_relay() {
    let two = Two::with(&format!("{EXPOSED}grace = 600\n"));
    let world = &two.world;
    let _nginx = nginx(world, 8080);
    let mut agent = two.forward(&["-R", "8101:localhost:8080", "-R", "0:localhost:8080"]).spawn();
    let said = complaint(&mut agent, "Allocated port ");
    let chosen = said.split(' ').nth(2).expect("a port").to_owned();
    world.wait_listening(8101);
    two.first.real.kill();
    // Both have tried.
    let mut tried = [false; 2];
    while tried != [true; 2] {
        let said = complaint(&mut agent, "no listener yet");
        tried[usize::from(said.contains("reverse=0:"))] = true;
    }
    let visits = ["8101", &chosen].map(|port| {
        let url = format!("http://{EXIT}:{port}/page");
        world.far("curl").args(["-sS", "-m", "60", &url]).limit(std::time::Duration::from_secs(60)).spawn()
    });
    two.first.real.revive(world);
    for visit in visits {
        assert_eq!(visit.wait().success(), "from the client side\n");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// Says a word by a socket for datagrams until it comes back, as what may be lost has to be.
const AGAIN: &str = "import socket, sys
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(0.3)
u.connect(('127.0.0.1', 1083))
for word in sys.stdin.buffer:
    while True:
        try:
            u.send(word)
            if u.recv(100) == word: break
        except socket.timeout: pass
    print(word.decode(), end='', flush=True)";

/// One client's socket, the chain of which ends and comes back, and whose destination is not there at first.
#[test]
fn datagrams_to_one_destination_outlast_their_chain() {
    let two = Two::new();
    let world = &two.world;
    let forwards = ["-L", "udp:1083:far.test:7007", "-L", "udp:1084:10.99.0.1:7008", "-L", "1085:far.test:1"];
    let _agent = two.forward(&forwards).spawn();
    wait_here(world, 1085);
    let mut early = world.client(PYTHON).args(["-c", AGAIN]).spawn();
    early.say("nobody is there");
    wait("it is asked for", || {
        !world.far("ss").args(["-Huan", "dst", "10.99.0.1:7007"]).run().stdout.is_empty()
    });
    servers::start(world);
    assert_eq!(early.next_line(), "nobody is there");
    for relay in [&two.second, &two.first] {
        relay.real.kill();
        early.say("while it is away");
        relay.real.revive(world);
        assert_eq!(early.next_line(), "while it is away");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// A Unix socket on either side: a door that is a path, and a listener at the exit that leads to one.
#[test]
fn unix_sockets_outlast_their_chain() {
    let two = Two::new();
    let world = &two.world;
    servers::start(world);
    let (door, inside) = (path(world), world.directory().join("inside").display().to_string());
    let forwards = [&format!("{door}:far.test:7007"), &format!("8101:{inside}")];
    let _agent = two.forward(&["-L", forwards[0], "-R", forwards[1]]).spawn();
    world.wait_listening(8101);
    let client = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
for word in sys.stdin.buffer:
    # What is cut ends, since this family has resets only where something was left unread.
    try:
        s.sendall(word)
        said = s.recv(100)
    except (BrokenPipeError, ConnectionResetError): said = b''
    print(said.decode() or 'it has ended', end='\\n' * (not said), flush=True)
    if not said: break";
    let through = |path: &str| -> Command { world.client(PYTHON).args(["-c", client, path]) };
    let visit = |what: &str| world.far("nc.openbsd").args(["-N", EXIT, "8101"]).input(what).run();
    for (relay, word) in [(&two.second, "one"), (&two.first, "two")] {
        let mut open = through(&door).spawn();
        open.say(word);
        assert_eq!(open.next_line(), word);
        // Nobody is at the other path.
        let _ = std::fs::remove_file(&inside);
        assert_eq!(visit("").stdout, "");
        relay.real.kill();
        open.say("nobody hears it");
        assert_eq!(open.next_line(), "it has ended");
        assert_eq!(through(&door).input("nor this\n").run().stdout, "it has ended\n");
        relay.real.revive(world);
        world.wait_listening(8101);
        assert_eq!(through(&door).input("there again\n").run().success(), "there again\n");
        let mut listens = world.client("nc.openbsd").args(["-l", "-N", "-U", &inside]).spawn();
        listens.say("from inside");
        listens.close_input();
        wait("it lets somebody in", || visit("from there\n").stdout == "from inside\n");
        assert_eq!(listens.wait().success(), "from there\n");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
