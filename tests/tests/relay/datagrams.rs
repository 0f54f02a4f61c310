//! connect-udp, over both protocols.

use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, Place};

#[test]
fn datagrams_of_every_length_come_back_whole() {
    let place = Place::new(&format!("allow-udp = true\n{EVERYTHING_HERE}"));
    let echo = port::ECHO.to_string();
    for (protocol, accepted) in [("h2", "200"), ("http/1.1", "101")] {
        for target in [NAME, "10.99.0.1", "fd99::1"] {
            let said = place.says("relay_udp.py", &[protocol, target, &echo]);
            assert_eq!(said, format!("{accepted}\nTrue\n"), "{protocol} {target}");
        }
    }
    for line in place.audit(6) {
        assert_eq!((&line["protocol"], &line["verdict"]), (&"udp".into(), &"permit".into()));
        assert!(line["up"].as_u64() > Some(60_000) && line["down"].as_u64() > Some(60_000), "{line}");
    }
}

/// Where nobody sends anything for as long as is configured, that is a clean end.
#[test]
fn datagrams_that_nobody_sends_end() {
    let place = Place::new(&format!("allow-udp = true\n[limits]\nudp-idle = 1\n{EVERYTHING_HERE}"));
    let echo = port::ECHO.to_string();
    for (protocol, accepted) in [("h2", "200"), ("http/1.1", "101")] {
        let said = place.says("relay_udp.py", &[protocol, NAME, &echo, "idle"]);
        assert_eq!(said, format!("{accepted}\nended\n"), "{protocol}");
    }
    for line in place.audit(2) {
        assert_eq!((&line["verdict"], &line["reason"]), (&"permit".into(), &"closed".into()), "{line}");
        assert!(line["ms"].as_u64() >= Some(1000) && line["up"] == 0, "{line}");
    }
}

/// What a client has not read comes when it reads, to the last byte, though nothing more is sent.
#[test]
fn the_end_of_a_burst_does_not_wait_for_what_comes_next() {
    let place = Place::new(&format!("allow-udp = true\n{EVERYTHING_HERE}"));
    let echo = port::ECHO.to_string();
    assert_eq!(place.says("relay_udp.py", &["http/1.1", NAME, &echo, "late"]), "101\nTrue\n");
}

/// Who has nothing to send holds nothing of the window that all streams of a connection have together.
#[test]
fn a_connection_has_room_beside_datagrams_that_rest() {
    let place = Place::new(&format!("allow-udp = true\n{EVERYTHING_HERE}"));
    let (echo, banner) = (port::ECHO.to_string(), port::BANNER.to_string());
    let said = place.says("relay_udp.py", &["h2", NAME, &echo, "beside", &banner]);
    assert_eq!(said, "200\nb'hello\\n'\n");
}

#[test]
fn datagrams_go_nowhere_where_the_rules_do_not_say_so() {
    let place = Place::new(&format!("allow-udp = true\n{EVERYTHING_HERE}"));
    for target in ["127.0.0.1", "10.77.0.1", "fd77::1", "169.254.169.254", "224.0.0.251"] {
        for protocol in ["h2", "http/1.1"] {
            assert_eq!(place.says("relay_udp.py", &[protocol, target, "53"]), "403\n", "{target}");
        }
    }
}

/// A route of the kernel's may lead back though no interface has the address (ip-route(8), `local`): nothing that only the
/// machine itself is to reach is reached so.
#[test]
fn neither_datagrams_nor_connections_come_back_to_the_relay_by_a_local_route() {
    let place = Place::new("allow-udp = true\n[[rule]]\nverdict = \"permit\"\n");
    let (echo, banner) = (port::ECHO.to_string(), port::BANNER.to_string());
    place.world.far("ip").args(["route", "add", "local", "198.41.7.0/24", "dev", "lo"]).run().success();
    for protocol in ["h2", "http/1.1"] {
        assert_eq!(place.says("relay_udp.py", &[protocol, "198.41.7.9", &echo]), "403\n", "{protocol}");
    }
    let failed = place.curl().arg(format!("http://198.41.7.9:{banner}/")).run();
    assert!(failed.stderr.contains("403"), "{failed}");
}

#[test]
fn without_allow_udp_there_are_none() {
    let place = Place::new(EVERYTHING_HERE);
    let echo = port::ECHO.to_string();
    assert_eq!(place.says("relay_udp.py", &["http/1.1", NAME, &echo]), "403\n");
    // Nothing has said that the protocol is spoken (RFC 8441 section 3).
    assert_eq!(place.says("relay_udp.py", &["h2", NAME, &echo]), "RST_STREAM 1\n");
    place.is_served();
}
