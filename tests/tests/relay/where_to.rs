//! Where clients may go, what they may use, and what is written down of it.

use std::time::Duration;

use underpass_tests::artifacts;
use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, PORT, Place, banner, refusal, url};

/// Each is refused, whatever it is written like: special ranges, this machine, the relay itself.
#[test]
fn forbidden_destinations_are_refused_in_all_their_forms() {
    let place = Place::new("[[rule]]\nverdict = \"permit\"\n");
    let prohibited = [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.99.0.1",
        "10.77.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[fc00::1]",
        "[fd99::1]",
        "[fd77::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[fd00:ec2::254]",
        // By a name that has such an address.
        NAME,
        "v6.test",
        "localhost",
    ];
    for host in prohibited {
        let (status, error) = refusal(place.curl(), &url(host, port::BANNER));
        assert_eq!((status, &*error), (403, "destination_ip_prohibited"), "{host}");
    }
    let lines = place.audit(prohibited.len());
    assert!(lines.iter().all(|line| line["verdict"] == "deny"), "{lines:?}");
}

/// A name whose addresses come by turns, one that a rule names and one that none may: it is looked up once for each
/// request, and what was judged is dialled (DNS rebinding).
#[test]
fn a_name_is_looked_up_once_and_what_was_judged_is_dialled() {
    let place = Place::new(&format!("{EVERYTHING_HERE}[[rule]]\nverdict = \"permit\"\n"));
    let script = artifacts::workspace().join("tests/programs/nameserver.py");
    let server = place.world.far("python3").arg(script).args(["turns.test", "10.99.0.1", "127.0.0.1"]);
    let mut server = server.limit(std::time::Duration::MAX).spawn();
    assert_eq!(server.next_line(), "ready");
    let target = url("turns.test", port::BANNER);
    for is_first in [true, false, true] {
        if is_first {
            assert_eq!(place.curl().arg(&target).run().success(), "hello\n");
        } else {
            let refused = (403, "destination_ip_prohibited".to_owned());
            assert_eq!(refusal(place.curl(), &target), refused);
        }
        // For each family, and no more: the next is of the next request.
        assert_eq!((server.next_line(), server.next_line()), ("turns.test".into(), "turns.test".into()));
        assert_eq!(server.try_line(), None);
    }
    let lines = place.audit(3);
    let addresses: Vec<_> = lines.iter().map(|line| line["address"].as_str().expect("it is known")).collect();
    assert_eq!(addresses, ["10.99.0.1", "127.0.0.1", "10.99.0.1"]);
}

/// Mail is not the relay's to send, by whatever name or address, unless a rule says so.
#[test]
fn the_port_of_mail_has_to_be_named() {
    let place = Place::new(EVERYTHING_HERE);
    for host in [NAME, "10.99.0.1", "v6.test"] {
        assert_eq!(refusal(place.curl(), &url(host, 25)), (403, "http_request_denied".to_owned()), "{host}");
    }
    place.audit(3);
}

#[test]
fn what_is_not_a_host_and_a_port_is_never_looked_up() {
    let place = Place::new(EVERYTHING_HERE);
    for authority in [
        "127.1:80",
        "2130706433:80",
        "0x7f000001:80",
        "web.test",
        "web.test:",
        "web.test:0",
        "web.test:65536",
        "me@web.test:80",
        "web.test:80:80",
        "[fe80::1%25lo]:80",
        "[web.test]:80",
        ":80",
    ] {
        assert_eq!(place.says("relay_h1.py", &["read", authority]), "400\nclean end\n", "{authority}");
        let by_h2 = place.says("relay_h2.py", &["read", authority]);
        assert!(by_h2.starts_with("400\n") || by_h2.starts_with("RST_STREAM 1"), "{authority}: {by_h2}");
    }
    assert!(std::fs::read_to_string(place.world.directory().join("audit")).unwrap_or_default().is_empty());
}

#[test]
fn a_relay_never_dials_itself() {
    let place = Place::new("[[rule]]\naddress = [\"10.77.0.1\", \"10.99.0.1\"]\nverdict = \"permit\"\n");
    let itself = refusal(place.curl(), &url("10.77.0.1", PORT));
    assert_eq!(itself, (403, "destination_ip_prohibited".to_owned()));
    place.is_served();
}

#[test]
fn a_client_has_its_own_rules_and_its_own_limits() {
    let place = Place::without_relay(&format!("authorized-keys = \"authorized\"\n{EVERYTHING_HERE}"));
    let lines = [
        format!("permit=\"10.99.0.1:{}\" {}", port::GREETER, place.key("one.key", "one")),
        format!("streams=1 {}", place.key("two.key", "two")),
        format!("new=1 {}", place.key("three.key", "three")),
        format!("total=1M {}", place.key("four.key", "four")),
    ];
    place.write("authorized", &lines.concat());
    let mut place = place;
    place.start();
    assert_eq!(refusal(place.curl_with("one.key"), &banner()), (403, "http_request_denied".to_owned()));
    // One that is open keeps out another.
    let mut open =
        place.script("relay_h1.py", &["wait", &format!("{NAME}:{}", port::GREETER), "two.key"]).spawn();
    assert_eq!((open.next_line(), open.next_line()), ("200".to_owned(), "hello".to_owned()));
    let limited = (503, "connection_limit_reached".to_owned());
    assert_eq!(refusal(place.curl_with("two.key"), &banner()), limited);
    drop(open);
    // A second later there is room for another one: only what comes at once is too much.
    let at_once = place.says("relay_h2.py", &["rate", &format!("{NAME}:{}", port::GREETER), "three.key"]);
    assert_eq!(at_once, "200 429 connection_limit_reached\n");
    let much = place.curl_with("four.key").arg(url(NAME, port::BIG_SENDER)).run();
    assert!(!much.status.success() && much.bytes.len() < port::BIG, "{}", much.bytes.len());
    assert_eq!(refusal(place.curl_with("four.key"), &banner()), limited);
}

/// A listener at any address, of a relay whose system has no IPv6.
#[test]
fn without_ipv6_a_listener_is_at_all_other_addresses() {
    let place = Place::without_relay("authorized-keys = \"authorized\"\n[[expose]]\nport = 8100\n");
    let relay = place.relay_command().env("LD_PRELOAD", artifacts::shared_library("only_four"));
    let _relay = relay.limit(Duration::MAX).spawn();
    place.world.wait_listening(PORT);
    let client = [&PORT.to_string(), "client.key.crt", "client.key", "*", "8100"];
    let mut client = place.script("relay_listen.py", &client).spawn();
    assert_eq!(client.next_line(), "200 0.0.0.0:8100");
    client.end();
}
