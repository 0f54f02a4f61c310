//! What is not carried fails with a clear errno, and not one packet of it leaves.

use underpass_tests::proxies::{self, Dante};
use underpass_tests::{World, artifacts, servers::port};

use crate::worlds::{Both, Case, FAMILIES, MODES};

/// Each way to send a datagram, with what it says.
fn ways(errno: &str) -> [(&'static str, String); 4] {
    [
        ("sendto", format!("sendto {errno}\n")),
        ("sendmsg", format!("sendmsg {errno}\n")),
        ("sendmmsg", format!("sendmmsg {errno}\n")),
        ("connect", format!("connect {errno}\npeer ENOTCONN\nsend EDESTADDRREQ\n")),
    ]
}

/// Sends datagrams in all ways, under underpass with these options.
#[track_caller]
fn refused(world: &World, options: &[&str], errno: &str) {
    for (way, expected) in ways(errno) {
        for family in FAMILIES {
            for mode in MODES {
                let program = artifacts::program("datagram");
                let arguments = [family, mode, "1", &port::ECHO.to_string(), way];
                let wrapped = world.client(artifacts::underpass()).args(options).arg("--").arg(program);
                let done = wrapped.args(arguments).run();
                assert_eq!(done.stdout, expected, "{family} {mode}: {done}");
            }
        }
    }
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}

#[test]
fn datagrams_are_refused_where_that_is_wanted() {
    let world = World::new();
    let dante = proxies::dante(&world);
    refused(&world, &["-x", dante.url(), "--udp", "refuse"], "ENETUNREACH");
    assert!(!dante.log().contains("udpassociate"), "{}", dante.log());
}

/// Nothing is even tried.
#[test]
fn datagrams_are_refused_at_once_by_a_chain_with_another_hop() {
    let world = World::new();
    let dante = proxies::dante_with(&world, Dante::default()).allowed(&world);
    refused(&world, &["-x", dante.url(), "-x", "http://10.99.0.1:3128"], "ENETUNREACH");
    assert!(!dante.log().contains("pass(1)"), "{}", dante.log());
}

/// microsocks knows CONNECT alone (RFC 1928, reply 7).
#[test]
fn datagrams_are_refused_where_the_proxy_refuses_them() {
    let world = World::new();
    let proxy = proxies::microsocks(&world, None);
    let program = artifacts::program("datagram");
    for (way, expected) in ways("EOPNOTSUPP") {
        for family in FAMILIES {
            let arguments = [family, "blocking", "1", &port::ECHO.to_string(), way];
            let done = world.wrapped(proxy.url(), &program).args(arguments).run();
            assert_eq!(done.stdout, expected, "{family}: {done}");
        }
    }
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}

#[test]
fn sockets_of_other_kinds_are_not_made() {
    let both = Both::dante();
    let program = artifacts::program("sockets");
    let native = both.native.client(&program).run();
    assert!(native.stdout.contains("raw 0\n"), "{native}");
    let done = both.wrapped(&program).run();
    let expected = "raw EPERM\nraw6 EPERM\npacket EPERM\nicmp EACCES\nsctp EPROTONOSUPPORT\n\
                    udplite EPROTONOSUPPORT\ndccp ESOCKTNOSUPPORT\nunix 0\nnetlink 0\n\
                    join EPERM\njoin6 EPERM\ndevice EPERM\nno device 0\nsegment ENOPROTOOPT\ngro ENOPROTOOPT\n\
                    broadcast ENETUNREACH\nmulticast ENETUNREACH\n";
    assert_eq!(done.stdout, expected, "{done}");
    both.no_leaks();
}

/// What a program sends to a stub resolver of this machine is answered by the agent, or refused.
#[test]
fn a_resolvers_stub_on_loopback_is_no_way_out() {
    let both = Both::new();
    let program = artifacts::program("loopback");
    for family in FAMILIES {
        for mode in MODES {
            let arguments = Case::new("loopback", 0).more(&["stub"]).arguments(family, mode);
            let native = both.native.client(&program).args(&arguments).run();
            let datagrams = "port 53, datagram: 3\nport 53, datagram: connect 0\nsend 3\n";
            assert!(native.stdout.ends_with(&format!("{datagrams}the stub has 2\n")), "{native}");
            let done = both.wrapped(&program).args(&arguments).run();
            // The agent answers the stream, and not what listens there.
            assert!(native.stdout.contains("port 53, accepted: yes\n"), "{native}");
            let (_, stub) = done.stdout.split_once("port 53, stream:\n").expect("the program got so far");
            assert!(
                stub.contains("SO_ERROR 0\nport 53, accepted: EAGAIN\n") && !stub.contains("ECONNREFUSED"),
                "{done}"
            );
            assert!(stub.ends_with(&format!("{datagrams}the stub has 0\n")), "{done}");
        }
    }
    both.no_leaks();
}
