//! Datagrams natively, through Dante's associations, and through a relay's streams.

use underpass_tests::proxies;
use underpass_tests::servers::port;

use crate::worlds::{Both, Case};

const fn case(what: &'static [&'static str]) -> Case {
    Case::new("datagrams", port::ECHO).more(what)
}

#[test]
fn unconnected_sockets() {
    let all = [case(&["unconnected"]), case(&["several"]), case(&["many"]), case(&["controlled"])];
    Both::dante().compare(&all);
}

#[test]
fn connected_sockets() {
    Both::dante().compare(&[case(&["connected"]), case(&["shared"])]);
}

/// With ports of their own, so one after the other.
#[test]
fn bound_sockets() {
    let both = Both::dante();
    for family in crate::worlds::FAMILIES {
        for mode in crate::worlds::MODES {
            both.compare_in(&[case(&["bound"])], &[family], &[mode]);
        }
    }
}

#[test]
fn waiting_and_sizes() {
    Both::dante().compare(&[case(&["waiting"]), case(&["sizes"])]);
}

/// By streams of a session.
mod through_relays {
    use super::*;

    #[test]
    fn unconnected_sockets() {
        Both::relays().compare(&[case(&["unconnected"]), case(&["several"]), case(&["controlled"])]);
    }

    #[test]
    fn connected_sockets() {
        Both::relays().compare(&[case(&["connected"]), case(&["shared"])]);
    }

    #[test]
    fn bound_sockets() {
        let both = Both::relays();
        for family in crate::worlds::FAMILIES {
            for mode in crate::worlds::MODES {
                both.compare_in(&[case(&["bound"])], &[family], &[mode]);
            }
        }
    }

    #[test]
    fn waiting_and_sizes() {
        Both::relays().compare(&[case(&["waiting"]), case(&["sizes"])]);
    }
}

/// From this machine, by the agent's sockets.
#[test]
fn without_a_proxy() {
    Both::local().compare(&[
        case(&["unconnected"]),
        case(&["several"]),
        case(&["connected"]),
        case(&["sizes"]),
    ]);
}

/// Two hops, the second of which only the first can reach.
#[test]
fn through_two_hops() {
    let both = Both::dante();
    let second = proxies::dante_with(&both.redirected, proxies::Dante { port: 1084, ..Default::default() });
    let both =
        Both { upstream: format!("{} {}", both.upstream, second.url_at("socks5h", "10.99.0.1")), ..both };
    both.compare_in(
        &[case(&["unconnected"]), case(&["several"]), case(&["connected"])],
        &["v4", "v6"],
        &["blocking"],
    );
    second.wait_log("udpassociate");
}
