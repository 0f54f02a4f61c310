//! Waiting for a connection: poll, select and epoll in all their ways, signals, time limits, and
//! others who look at the socket.

use underpass_tests::servers::port;

use crate::worlds::{Both, Case, Known};

const GOOD: u16 = port::slow(port::ECHO);
const BAD: u16 = port::slow(port::REFUSED);
/// Where it matters what comes first, on a busy machine too.
const LATE_GOOD: u16 = port::late(port::ECHO);
const LATE_BAD: u16 = port::late(port::REFUSED);

const WAYS: [&[&str]; 10] = [
    &["poll", "after"],
    &["select", "after"],
    &["lt", "before"],
    &["lt", "after"],
    &["et", "before"],
    &["et", "after"],
    &["oneshot", "before"],
    &["oneshot", "after"],
    &["et-oneshot", "before"],
    &["et-oneshot", "after"],
];

#[test]
fn a_success_shows_once_and_as_the_kernels_own_events() {
    Both::new().compare(&WAYS.map(|way| Case::new("wait", GOOD).more(way)));
}

/// Of a failed hold, as long as its errno is not read, and after that.
const NO_END: [Known; 2] = [
    Known {
        native: "IN|OUT|ERR|HUP|RDHUP",
        redirected: "OUT|ERR|HUP",
        reason: "a failed hold is not shut down: with shutdown() a second edge was seen in 4-33 % of runs",
        seldom: false,
    },
    Known { native: "IN|OUT|HUP|RDHUP", redirected: "OUT|HUP", reason: "the same", seldom: false },
];

/// The new state and the error wake a program each; one that has asked again in between sees two edges.
const TWO_EDGES: [Known; 2] = [
    Known {
        native: "once more: 1 IN|OUT|ERR|HUP|RDHUP",
        redirected: "once more: 0 none",
        reason: "a refusal wakes a waiting program twice natively, in rare runs seen as two edges; a failed hold wakes it once",
        seldom: true,
    },
    NO_END[0],
];

/// `select` knows neither HUP nor RDHUP; only level-triggered waits see the state after the error.
const fn known(way: &[&str]) -> &'static [Known] {
    match way[0].as_bytes() {
        b"select" => &[],
        b"poll" | b"lt" => &NO_END,
        b"et" => &TWO_EDGES,
        _ => NO_END.split_at(1).0,
    }
}

#[test]
fn a_failure_shows_once_and_as_the_kernels_own_events() {
    Both::new().compare(&WAYS.map(|way| Case::new("wait", BAD).more(way).known(known(way))));
}

#[test]
fn signals_and_time_limits_end_the_wait_but_not_the_connection() {
    Both::new().compare(&[
        Case::new("signals", LATE_GOOD).more(&["interrupt"]),
        Case::new("signals", LATE_GOOD).more(&["interrupt-wait"]),
        Case::new("signals", LATE_GOOD).more(&["restart"]),
        Case::new("signals", LATE_GOOD).more(&["timeout"]),
    ]);
}

#[test]
fn a_failure_after_a_signal_or_time_limit_is_told_later() {
    Both::new().compare(&[
        Case::new("signals", LATE_BAD).more(&["interrupt"]),
        Case::new("signals", LATE_BAD).more(&["interrupt-wait"]),
        Case::new("signals", LATE_BAD).more(&["restart"]),
        Case::new("signals", LATE_BAD).more(&["timeout"]),
    ]);
}

const HANDOFF_SEEN: &[Known] = &[Known {
    native: "poll saw it when connected",
    redirected: "poll saw it too early",
    reason: "during a hand-off the socket is connected to the proxy, and nothing tells that a thread polls it",
    seldom: false,
}];

#[test]
fn others_see_the_connection_not_before_it_is_there() {
    let blocking = ["blocking"];
    Both::handing_off().compare_in(
        &[Case::new("watch", LATE_GOOD).more(&["thread"]).known(HANDOFF_SEEN)],
        &crate::worlds::FAMILIES,
        &blocking,
    );
    Both::new().compare_in(
        &[
            Case::new("watch", LATE_GOOD).more(&["epoll"]),
            Case::new("watch", LATE_GOOD).more(&["thread+epoll"]),
        ],
        &crate::worlds::FAMILIES,
        &blocking,
    );
}
