//! Settings of the machine and of the socket that redirection must survive.

use underpass_tests::{artifacts, servers::port};

use crate::failures::FORGETS_ADDRESS;
use crate::worlds::{Both, Case};

#[test]
fn a_time_to_live_of_255_connects() {
    let both = Both::new();
    let cases = [
        Case::new("outcome", port::slow(port::ECHO)).more(&["ttl255"]),
        Case::new("outcome", port::slow(port::REFUSED)).more(&["ttl255", "no-echo"]).known(FORGETS_ADDRESS),
    ];
    both.compare(&cases);
    for setting in
        ["net.ipv4.ip_default_ttl=255", "net.ipv6.conf.all.hop_limit=255", "net.ipv6.conf.lo.hop_limit=255"]
    {
        both.redirected.client("sysctl").args(["-qw", setting]).run().success();
    }
    both.compare(&cases);
}

#[test]
fn a_machine_without_ipv6_carries_ipv4() {
    let both = Both::new();
    for world in [&both.native, &both.redirected] {
        for device in ["all", "default", "lo"] {
            let setting = format!("net.ipv6.conf.{device}.disable_ipv6=1");
            world.client("sysctl").args(["-qw", &setting]).run().success();
        }
    }
    let cases = [Case::new("outcome", port::ECHO), Case::new("outcome", port::slow(port::ECHO))];
    both.compare_in(&cases, &["v4", "mapped"], &crate::worlds::MODES);
}

#[test]
fn a_machine_without_fast_open_carries_as_well() {
    let both = Both::new();
    both.redirected.client("sysctl").args(["-qw", "net.ipv4.tcp_fastopen=0"]).run().success();
    both.compare(&[
        Case::new("outcome", port::slow(port::ECHO)),
        Case::new("outcome", port::slow(port::REFUSED)).more(&["no-echo"]).known(FORGETS_ADDRESS),
    ]);
}

/// Natively the device leads to the destination; redirected it may be refused, but never used.
#[test]
fn a_socket_bound_to_a_device_works_or_is_refused() {
    let both = Both::new();
    let case = Case::new("bound", port::ECHO).more(&["device"]);
    for family in crate::worlds::FAMILIES {
        for mode in crate::worlds::MODES {
            let program = artifacts::program(case.program);
            let done =
                both.redirected.wrapped(&both.upstream, program).args(case.arguments(family, mode)).run();
            let works = done.stdout.contains("\necho bound\n");
            let refused = done.stdout.contains("\nconnect ENETUNREACH\n");
            assert!(works || refused, "{family} {mode}: {done}");
        }
    }
    both.no_leaks();
}
