//! What this version does not carry fails with a clear errno, and not one packet of it leaves.

use underpass_tests::{artifacts, servers::port};

use crate::worlds::{Both, Case, FAMILIES, MODES};

#[test]
fn datagrams_are_refused() {
    let both = Both::new();
    for (way, expected) in [
        ("sendto", "sendto ENETUNREACH\n"),
        ("sendmsg", "sendmsg ENETUNREACH\n"),
        ("sendmmsg", "sendmmsg ENETUNREACH\n"),
        ("connect", "connect ENETUNREACH\npeer ENOTCONN\nsend EDESTADDRREQ\n"),
    ] {
        for family in FAMILIES {
            for mode in MODES {
                let program = artifacts::program("datagram");
                let arguments = [family, mode, "1", &port::ECHO.to_string(), way];
                let done = both.redirected.wrapped(&both.upstream, program).args(arguments).run();
                assert_eq!(done.stdout, expected, "{family} {mode}: {done}");
            }
        }
    }
    both.no_leaks();
}

#[test]
fn a_resolvers_stub_on_loopback_is_no_way_out() {
    let both = Both::new();
    let program = artifacts::program("loopback");
    for family in FAMILIES {
        for mode in MODES {
            let arguments = Case::new("loopback", 0).more(&["stub"]).arguments(family, mode);
            let native = both.native.client(&program).args(&arguments).run();
            assert!(native.stdout.contains("port 53, datagram: 3\n"), "{native}");
            let done = both.redirected.wrapped(&both.upstream, &program).args(&arguments).run();
            // The agent answers the stream, and not what listens there.
            assert!(native.stdout.contains("port 53, accepted: yes\n"), "{native}");
            let (_, stub) = done.stdout.split_once("port 53, stream:\n").expect("the program got so far");
            assert!(stub.contains("SO_ERROR 0\nport 53, accepted: EAGAIN\n"), "{done}");
            assert!(
                stub.ends_with("port 53, datagram: ECONNREFUSED\nport 53, datagram: connect ECONNREFUSED\n"),
                "{done}"
            );
        }
    }
    both.no_leaks();
}
