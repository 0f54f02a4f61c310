//! Which connections share a chain: all of them, unless programs or hosts are to be kept apart.

use underpass_tests::servers::port;

use crate::place::{GREETED, MODES, NAME};
use crate::relays::row;

/// Two hosts are visited twice by one program in each mode, and one of them by another program: so many tunnels from the
/// first relay to the second are there for all that.
#[track_caller]
fn assert_tunnels(isolate: &str, expected: usize) {
    let row = row(2);
    let mut urls = row.urls.clone();
    urls[0] += isolate;
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let targets = ["web.test", "echo.test", "web.test", "echo.test"];
    let targets = targets.map(|host| format!("{host}:{}", port::GREETER));
    let targets: Vec<_> = targets.iter().map(|target| (target.as_str(), GREETED)).collect();
    row.place.visit(&urls, &targets);
    row.place.curl(&urls);
    for host in ["web.test", "echo.test"] {
        row.relays[1].real.wait_served(host, port::GREETER, 2 * MODES.len());
    }
    row.end_agents();
    let (first, second) = (&row.relays[0].real, row.relays[1].real.port());
    // Each is written down when it has ended.
    first.wait_served(NAME, second, expected);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(first.served(NAME, second), expected);
}

#[test]
fn connections_share_one_tunnel() {
    assert_tunnels("", 1);
}

#[test]
fn hosts_are_kept_apart_where_that_is_asked_for() {
    assert_tunnels("&isolate=destination", 2);
}

#[test]
fn programs_are_kept_apart_where_that_is_asked_for() {
    assert_tunnels("&isolate=program", 2);
}
