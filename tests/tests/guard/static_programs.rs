//! The same C programs as in conformance, linked statically: blocking and not, over all families.

use underpass_tests::servers::port;

use crate::worlds::{Both, Case, MODES};

#[test]
fn a_connection_comes_about_and_echoes() {
    let both = Both::guarded();
    both.compare(&[Case::new("outcome", port::ECHO), Case::new("outcome", port::slow(port::ECHO))]);
    assert_eq!(both.proxy.requests().len(), 12);
}

#[test]
fn refusals_and_unreachable_destinations_are_told() {
    Both::guarded().compare(&[
        Case::new("outcome", port::REFUSED).more(&["errno"]),
        Case::new("outcome", port::slow(port::REFUSED)).more(&["errno"]),
        Case::new("outcome", port::ECHO).host("77").more(&["errno"]),
        Case::new("outcome", port::ECHO).host("78").more(&["errno"]),
    ]);
}

const LATE_GOOD: u16 = port::late(port::ECHO);
const LATE_BAD: u16 = port::late(port::REFUSED);

#[test]
fn a_signal_or_time_limit_ends_the_wait_but_not_the_connection() {
    let cases = [
        Case::new("signals", LATE_GOOD).more(&["interrupt"]),
        Case::new("signals", LATE_GOOD).more(&["interrupt-wait"]),
        Case::new("signals", LATE_GOOD).more(&["restart"]),
        Case::new("signals", LATE_GOOD).more(&["timeout"]),
        // What the wait would have ended with is told later, or by the wait that goes on.
        Case::new("signals", LATE_BAD).more(&["interrupt"]),
        Case::new("signals", LATE_BAD).more(&["interrupt-wait"]),
        Case::new("signals", LATE_BAD).more(&["restart"]),
        Case::new("signals", LATE_BAD).more(&["timeout"]),
    ];
    Both::guarded().compare_in(&cases, &["v4"], &["blocking"]);
}

#[test]
fn a_second_connect_tells_the_state() {
    Both::guarded().compare(&[
        Case::new("again", port::slow(port::ECHO)).more(&["connect"]),
        Case::new("again", port::slow(port::ECHO)).more(&["error"]),
    ]);
}

#[test]
fn what_the_kernel_refuses_by_itself_is_refused_alike() {
    let both = Both { tier: Some("auto"), ..Both::dante() };
    let case = |what| Case::new("wrong", port::ECHO).more(what);
    both.compare(&[case(&["families"]), case(&["datagrams"]), case(&["lengths"]), case(&["places"])]);
    both.compare_in(&[case(&["flags"])], &["v4"], &["blocking"]);
    both.no_leaks();
}

#[test]
fn a_success_shows_once_and_as_the_kernels_own_events() {
    const GOOD: u16 = port::slow(port::ECHO);
    Both::guarded().compare(&[
        Case::new("wait", GOOD).more(&["poll", "after"]),
        Case::new("wait", GOOD).more(&["lt", "before"]),
        Case::new("wait", GOOD).more(&["et", "before"]),
        Case::new("wait", GOOD).more(&["et", "after"]),
        Case::new("wait", GOOD).more(&["oneshot", "before"]),
    ]);
}

#[test]
fn a_socket_disconnects_and_connects_elsewhere() {
    Both::guarded().compare(&[Case::new("reconnect", port::ECHO)]);
}

#[test]
fn a_bound_socket_connects_and_keeps_its_port() {
    Both::guarded().compare(&[
        Case::new("bound", port::ECHO).more(&["any"]),
        Case::new("bound", port::ECHO).more(&["port"]),
    ]);
    // The kernel finds no way from one device to an IPv6 address of another: docs/limits.md has that.
    let address = Case::new("bound", port::ECHO).more(&["address"]);
    Both::guarded().compare_in(&[address], &["v4", "mapped"], &MODES);
}

#[test]
fn threads_connect_at_once() {
    Both::guarded().compare_in(&[Case::new("threads", port::ECHO)], &["v4", "v6"], &["both"]);
}
