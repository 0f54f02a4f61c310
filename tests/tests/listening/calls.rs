//! What the program sees.

use std::time::Duration;

use underpass_tests::proxies::{self, Squid};
use underpass_tests::{Command, Running, World, artifacts};

use crate::place::{EXIT, EXPOSED, Place, line};

pub(crate) const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn script(name: &str) -> std::path::PathBuf {
    artifacts::workspace().join("tests/programs").join(name)
}

/// A server of `listens.py`, which listens by now; what it says of that.
#[track_caller]
pub(crate) fn server(command: Command, arguments: &[&str]) -> (Running, String) {
    let mut server = command.arg(script("listens.py")).args(arguments).limit(Duration::MAX).spawn();
    let said = line(&mut server, "listens");
    (server, said)
}

/// So many visits, so many at once.
#[track_caller]
pub(crate) fn visited(place: &Place, host: &str, port: &str, count: usize, at_once: usize) {
    let visits = place.world.far(PYTHON).arg(script("calls_in.py"));
    let done = visits.args([host, port, &count.to_string(), &at_once.to_string()]).run();
    assert_eq!(done.stdout, format!("{count} of {count}\n"), "{done}");
}

/// A single visit from this port, which says who it is to the server.
#[track_caller]
fn visit(place: &Place, host: &str, port: &str, from: &str) -> String {
    let code = "import socket, sys
host, port, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
visit = socket.create_connection((host, port), 60, ('', source))
visit.sendall(b'x')
visit.shutdown(1)
said = b''
while more := visit.recv(100): said += more
print(said.decode())";
    place.world.far(PYTHON).args(["-c", code, host, port, from]).run().success()
}

#[test]
fn who_has_come_is_told_by_each_call_and_where_one_listens() {
    let place = Place::new(EXPOSED);
    for (bind, exit, port, prefix) in [
        ("0.0.0.0", EXIT, "8001", ""),
        ("::", EXIT, "8002", "::ffff:"),
        ("10.77.0.2", EXIT, "8003", ""),
        ("fd77::2", "fd99::1", "8004", ""),
    ] {
        let (mut server, said) = server(place.exposed(PYTHON), &["names", bind, port]);
        assert_eq!(said, format!("listens {prefix}{exit} {port}"), "{bind}");
        for from in [format!("1{port}"), format!("2{port}")] {
            let told = visit(&place, exit, port, &from);
            assert_eq!(told, format!("{prefix}{exit} {from}\nx\n"), "{bind}");
            for what in ["accept", "peer"] {
                assert_eq!(server.next_line(), format!("{what} {prefix}{exit} {from}"), "{bind}");
            }
            assert_eq!(server.next_line(), format!("name {prefix}{exit} {port}"), "{bind}");
        }
        // The last socket is closed, and so is the exit, though the program lives.
        assert_eq!(server.next_line(), "closed");
        place.wait_closed(port.parse().expect("a port"));
        server.say("");
        server.wait().success();
    }
}

/// accept(2) itself, with the room that it is given, and by its number; without blocking.
#[test]
fn who_has_come_is_told_in_the_room_that_there_is() {
    let place = Place::new(EXPOSED);
    let mut server = place.exposed(PYTHON).arg(script("accepts.py")).arg("8030").limit(Duration::MAX).spawn();
    assert_eq!(line(&mut server, "listens"), "listens EAGAIN");
    // 10.99.0.1 in the order of the network, and what is behind the address.
    for (from, written) in [
        ("18030", "whole 16 0200 466e 0a630001 eeee"),
        ("18031", "short 16 0200 466f eeeeeeee eeee"),
        ("18032", "none 0 eeee eeee eeeeeeee eeee"),
        ("18033", "number 16 0200 4671 0a630001 eeee"),
    ] {
        assert_eq!(visit(&place, EXIT, "8030", from), format!("{EXIT} {from}\n\n"));
        assert_eq!(server.next_line(), written);
    }
    server.wait().success();
}

#[test]
fn a_port_that_the_system_chooses_is_one_of_the_exit() {
    let place = Place::new(EXPOSED);
    let (_server, said) = server(place.exposed(PYTHON), &["fork", "", "0"]);
    let port = said.rsplit(' ').next().expect("it says its port");
    assert_eq!(said, format!("listens {EXIT} {port}"));
    assert!((8000..=9999).contains(&port.parse::<u16>().expect("a port")), "{said}");
    visited(&place, EXIT, port, 10, 10);
}

/// A thousand, of which none is lost: by an event loop, by a process for each, and by sockets that share a port.
#[test]
fn a_thousand_come_and_none_is_lost() {
    let place = Place::new(EXPOSED);
    let (mut epoll, _) = server(place.exposed(PYTHON), &["epoll", "0.0.0.0", "8010", "1000"]);
    visited(&place, EXIT, "8010", 1000, 100);
    assert_eq!(epoll.next_line(), "served 1000");
    let (_fork, _) = server(place.exposed(PYTHON), &["fork", "0.0.0.0", "8011"]);
    visited(&place, EXIT, "8011", 100, 20);
    let (mut share, _) = server(place.exposed(PYTHON), &["share", "0.0.0.0", "8012", "3"]);
    for _ in 1..3 {
        assert_eq!(line(&mut share, "listens"), format!("listens {EXIT} 8012"));
    }
    visited(&place, EXIT, "8012", 100, 20);
}

/// What is bound to loopback is for programs of this machine, and stays so.
#[test]
fn loopback_stays_loopback() {
    let place = Place::new(EXPOSED);
    let (_server, said) = server(place.exposed(PYTHON), &["fork", "127.0.0.1", "8020"]);
    assert_eq!(said, "listens 127.0.0.1 8020");
    let beside = place.world.client(PYTHON).arg(script("calls_in.py")).args(["127.0.0.1", "8020", "3", "1"]);
    assert_eq!(beside.run().success(), "3 of 3\n");
    assert!(!place.world.listens(8020));
}

/// Without a rule: what is bound to every address is reached as the tier lets it, and loopback by this machine alone.
#[test]
fn without_a_rule_a_program_listens_as_its_tier_has_it() {
    let world = World::direct();
    let came = |visitor: Command, host: &str, port: &str| {
        visitor.arg(script("calls_in.py")).args([host, port, "1", "1"]).run().stdout == "1 of 1\n"
    };
    for (tier, any, own, beside, far) in [
        ("hook", "8041", "8042", true, true),
        ("guard", "8043", "8044", true, false),
        ("sealed", "8045", "8046", false, false),
    ] {
        let listens = |host: &str, port: &str| {
            let underpass = world.client(artifacts::underpass()).args(["-x", "socks5h://10.77.0.1:9"]);
            let program = underpass.args(["--tier", tier, "--", PYTHON]);
            let (server, said) = server(program, &["fork", host, port]);
            assert_eq!(said, format!("listens {host} {port}"), "{tier}");
            server
        };
        let _servers = [listens("0.0.0.0", any), listens("127.0.0.1", own)];
        for (port, from_far) in [(any, far), (own, false)] {
            let there = came(world.client(PYTHON), "127.0.0.1", port);
            assert_eq!(there, beside, "{tier}, {port}, from this machine");
            assert_eq!(came(world.far(PYTHON), "10.77.0.2", port), from_far, "{tier}, {port}, from another");
        }
    }
}

/// It has not failed: it is asked again.
#[test]
fn a_proxy_before_the_exit_may_ask_who_we_are() {
    let place = Place::new(EXPOSED);
    let squid = proxies::squid(&place.world, 3128, Squid::Digest("me", "pw"), 7088).allowed(&place.world);
    let underpass = place.world.client(artifacts::underpass()).args(["-x", &squid.url_as("http")]);
    let exposed = underpass.args(["-x", &place.relay.url(&place.key), "--listen-at", "main", "--", PYTHON]);
    let (_server, said) = server(exposed, &["names", "0.0.0.0", "8001"]);
    assert_eq!(said, format!("listens {EXIT} 8001"));
}
