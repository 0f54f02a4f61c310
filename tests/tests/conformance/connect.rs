//! One `connect()` after another: results, repeated calls, options, bound sockets.

use underpass_tests::proxies;
use underpass_tests::servers::port;

use crate::worlds::{Both, Case, Known};

#[test]
fn a_connection_comes_about_and_echoes() {
    let both = Both::new();
    both.compare(&[Case::new("outcome", port::ECHO), Case::new("outcome", port::slow(port::ECHO))]);
    assert_eq!(both.proxy.requests().len(), 12);
}

#[test]
fn a_second_connect_tells_the_state() {
    Both::new().compare(&[
        Case::new("again", port::slow(port::ECHO)).more(&["connect"]),
        Case::new("again", port::slow(port::ECHO)).more(&["error"]),
        Case::new("again", port::slow(port::REFUSED)).more(&["connect"]).known(STARTS_ANEW),
        Case::new("again", port::slow(port::REFUSED)).more(&["error"]).known(STARTS_ANEW_TWICE),
    ]);
}

const STARTS_ANEW: &[Known] = &[Known {
    native: "elsewhere ECONNABORTED\n",
    redirected: "",
    reason: "after SO_ERROR was read Linux fails the next connect() once; ours starts at once, as on other systems",
    seldom: false,
}];

const STARTS_ANEW_TWICE: &[Known] = &[
    STARTS_ANEW[0],
    Known {
        native: "then ECONNABORTED\nthen EINPROGRESS\n",
        redirected: "then EINPROGRESS\nthen EALREADY\n",
        reason: "the same",
        seldom: false,
    },
];

/// Nothing is sent, and the socket is as good as before.
#[test]
fn what_the_kernel_refuses_by_itself_is_refused_alike() {
    let both = Both::dante();
    let case = |what| Case::new("wrong", port::ECHO).more(what);
    both.compare(&[case(&["families"]), case(&["datagrams"]), case(&["lengths"]), case(&["places"])]);
    both.compare(&[case(&["fast-open"]), case(&["flags"]), case(&["sockets"])]);
    both.no_leaks();
}

#[test]
fn options_flags_and_identity_of_the_socket_are_kept() {
    Both::new().compare(&[
        Case::new("options", port::ECHO),
        Case::new("options", port::slow(port::ECHO)),
        Case::new("options", port::REFUSED),
    ]);
}

#[test]
fn a_bound_socket_connects_and_keeps_its_port() {
    Both::new().compare(&[
        Case::new("bound", port::ECHO).more(&["any"]),
        Case::new("bound", port::ECHO).more(&["port"]),
        Case::new("bound", port::ECHO).more(&["address"]),
    ]);
}

#[test]
fn a_socket_disconnects_and_connects_elsewhere() {
    Both::new().compare(&[
        Case::new("reconnect", port::ECHO),
        Case::new("reconnect", port::slow(port::ECHO)).more(&["pending"]),
    ]);
}

#[test]
fn fast_open_is_a_connect_and_a_send() {
    Both::new().compare(&[
        Case::new("fastopen", port::ECHO).more(&["sendto"]),
        Case::new("fastopen", port::ECHO).more(&["sendmsg"]),
        Case::new("fastopen", port::ECHO).more(&["sendmmsg"]),
        Case::new("fastopen", port::ECHO).more(&["option"]),
        Case::new("fastopen", port::slow(port::ECHO)).more(&["sendto"]),
    ]);
}

#[test]
fn loopback_is_the_programs_own() {
    Both::new().compare(&[Case::new("loopback", 0)]);
}

#[test]
fn a_proxy_is_reached_by_ipv6_as_well() {
    let mut both = Both::new();
    both.upstream = both.proxy.url_v6().to_owned();
    both.compare(&[
        Case::new("outcome", port::ECHO),
        Case::new("outcome", port::slow(port::ECHO)),
        Case::new("outcome", port::REFUSED).more(&["errno"]),
    ]);
}

#[test]
fn the_local_upstream_dials_from_this_machine() {
    let both = Both::local();
    both.compare(&[
        Case::new("outcome", port::ECHO),
        Case::new("outcome", port::slow(port::ECHO)),
        Case::new("outcome", port::REFUSED).more(&["errno"]),
        Case::new("outcome", port::slow(port::REFUSED)).more(&["errno"]),
        Case::new("outcome", port::ECHO).host("77").more(&["errno"]),
        Case::new("outcome", port::ECHO).host("78").more(&["errno"]),
        Case::new("ends", port::AFTER_END).more(&["half"]),
        Case::new("ends", port::RESET).more(&["reset"]),
    ]);
    assert_eq!(both.proxy.requests(), []);
}

#[test]
fn proxies_that_other_people_wrote_serve_as_well() {
    let mut both = Both::new();
    for proxy in [proxies::microsocks(&both.redirected, Some(("me", "pw"))), proxies::dante(&both.redirected)]
    {
        both.upstream = proxy.url().to_owned();
        both.compare(&[
            Case::new("outcome", port::ECHO),
            Case::new("outcome", port::REFUSED).more(&["errno"]),
        ]);
        proxy.wait_log("7007");
    }
}

#[test]
fn a_multipath_socket_is_as_good_as_any() {
    Both::new().compare(&[Case::new("outcome", port::ECHO).more(&["mptcp"])]);
}
