//! Clients that want to keep a relay from serving others.

use std::time::{Duration, Instant};

use underpass_tests::PATIENCE;
use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, Place};

/// A thousand connections that say nothing, or half of a handshake, have ended by themselves while others were
/// served.
#[test]
fn half_open_connections_end_and_others_are_served() {
    let place = Place::new(EVERYTHING_HERE);
    let mut crowd = place.script("relay_crowd.py", &["1000"]).limit(Duration::from_secs(150)).spawn();
    assert_eq!(crowd.next_line(), "1000 are there");
    let there = Instant::now();
    while crowd.try_line().is_none_or(|line| line != "all have ended") {
        place.is_served();
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = there.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    assert!(crowd.wait().status.success());
}

/// What is kept for clients that do not read is bounded for all of them together.
#[test]
fn clients_that_do_not_read_cost_no_more_than_the_memory_there_is() {
    let mut place = Place::new(&format!("{EVERYTHING_HERE}[limits]\nmemory = \"16M\"\n"));
    place.is_served();
    let before = place.relay().resident();
    let at = format!("{NAME}:{}", port::AFTER_END);
    let mut hoard = place.script("relay_h2.py", &["hoard", &at, "500"]).spawn();
    assert_eq!(hoard.next_line(), "asked");
    for _ in 0..10 {
        place.is_served();
        std::thread::sleep(Duration::from_millis(100));
    }
    // Without a bound there would be all that the destinations send: 48 MiB.
    let grown = place.relay().resident().saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} KiB");
}

/// CVE-2023-44487, CVE-2024-27316, CVE-2019-9512, -9515, -9518 and their kin.
#[test]
fn floods_of_http2_end_their_connection_and_no_other() {
    let place = Place::new(EVERYTHING_HERE);
    let at = format!("{NAME}:{}", port::ECHO);
    let floods =
        ["resets", "settings", "pings", "pongs", "priorities", "unknown", "empty", "continuation", "nothing"];
    for mode in floods {
        let mut flood = place.script("relay_floods.py", &[mode, &at]).spawn();
        let said = loop {
            place.is_served();
            if let Some(said) = flood.try_line() {
                break said;
            }
        };
        // ENHANCE_YOUR_CALM is 11 (RFC 9113 section 7), or the connection is closed under what is still sent.
        let ends = ["GOAWAY 11", "GOAWAY 1", "ConnectionResetError", "BrokenPipeError"];
        let ended = said.strip_suffix(" part of it was taken");
        assert!(ended.is_some_and(|ended| ends.contains(&ended)), "{mode}: {said}");
        place.is_served();
    }
    // A list of headers that is too long is refused, or ends its connection.
    let said = place.says("relay_h2.py", &["headers", &at]);
    assert!(["431", "RST_STREAM", "GOAWAY", "cut"].iter().any(|end| said.starts_with(end)), "{said}");
    place.is_served();
}
