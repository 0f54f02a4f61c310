//! Clients that want to keep a relay from serving others.

use std::time::Duration;

use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, Place};

/// A thousand connections that say nothing, or half of a handshake, have ended by themselves while others were
/// served.
#[test]
fn half_open_connections_end_and_others_are_served() {
    let place = Place::new(EVERYTHING_HERE);
    let mut crowd = place.script("relay_crowd.py", &["1000"]).limit(Duration::from_secs(40)).spawn();
    assert_eq!(crowd.next_line(), "1000 are there");
    while crowd.try_line().is_none_or(|line| line != "all have ended") {
        place.is_served();
        std::thread::sleep(Duration::from_millis(200));
    }
    let done = crowd.wait();
    assert!(done.status.success() && done.elapsed < Duration::from_secs(20), "{done}");
}

/// What is kept for clients that do not read is bounded for all of them together.
#[test]
fn clients_that_do_not_read_cost_no_more_than_the_memory_there_is() {
    let mut place = Place::new(&format!("{EVERYTHING_HERE}[limits]\nmemory = \"16M\"\n"));
    place.is_served();
    let rss = |relay: u32| {
        let status = std::fs::read_to_string(format!("/proc/{relay}/status")).expect("the relay lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
    };
    let relay = place.relay().pid();
    let before = rss(relay);
    let at = format!("{NAME}:{}", port::AFTER_END);
    let mut hoard = place.script("relay_h2.py", &["hoard", &at, "500"]).spawn();
    assert_eq!(hoard.next_line(), "asked");
    for _ in 0..10 {
        place.is_served();
        std::thread::sleep(Duration::from_millis(100));
    }
    // Without a bound there would be all that the destinations send: 48 MiB.
    let grown = rss(relay) - before;
    assert!(grown < 24, "{grown} MiB");
}

#[test]
fn floods_of_http2_end_their_connection_and_no_other() {
    let place = Place::new(EVERYTHING_HERE);
    let at = format!("{NAME}:{}", port::ECHO);
    // ENHANCE_YOUR_CALM is 11 (RFC 9113 section 7), or the connection is closed under what is still sent.
    for mode in ["resets", "continuation"] {
        let said = place.says("relay_h2.py", &[mode, &at]);
        assert!(said.starts_with("GOAWAY") || said.contains("Error") || said == "end\n", "{mode}: {said}");
        assert_ne!(said, "TimeoutError\n", "{mode}");
        place.is_served();
    }
    // A list of headers that is too long is refused, or ends the connection, maybe under what is still sent.
    let said = place.says("relay_h2.py", &["headers", &at]);
    assert!(said == "431\n" || said.starts_with("RST_STREAM") || said.contains("Error"), "{said}");
    place.is_served();
}
