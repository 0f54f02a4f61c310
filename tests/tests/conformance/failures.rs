//! Attempts that fail: the errno is the destination's, or the upstream's by core/src/failure.rs.

use underpass_tests::behaviour::Behaviour;
use underpass_tests::servers::port;
use underpass_tests::{artifacts, proxies};

use crate::worlds::{Both, Case, FAMILIES, Known, MODES};

const REFUSED: Case = Case::new("outcome", port::REFUSED).more(&["no-echo"]).known(FORGETS_ADDRESS);

/// Of a failed non-blocking connection.
pub(crate) const FORGETS_ADDRESS: &[Known] = &[
    Known {
        native: "ECONNREFUSED\nSO_ERROR again 0\npeer ENOTCONN\nlocal AF_INET address",
        redirected: "ECONNREFUSED\nSO_ERROR again 0\npeer ENOTCONN\nlocal AF_INET any",
        reason: "a hold fails by connect(AF_UNSPEC), which takes the local address back; nobody asks for it then",
    },
    Known {
        native: "ECONNREFUSED\nSO_ERROR again 0\npeer ENOTCONN\nlocal AF_INET6 address",
        redirected: "ECONNREFUSED\nSO_ERROR again 0\npeer ENOTCONN\nlocal AF_INET6 any",
        reason: "the same",
    },
];

#[test]
fn refusals_and_unreachable_destinations_are_told() {
    Both::new().compare(&[
        REFUSED,
        Case::new("outcome", port::slow(port::REFUSED)).more(&["no-echo"]).known(FORGETS_ADDRESS),
        // The kernel's own events after an ICMP error are not the same each time.
        Case::new("outcome", port::ECHO).host("77").more(&["errno"]),
        Case::new("outcome", port::ECHO).host("78").more(&["errno"]),
    ]);
}

/// The native time-out takes two minutes; all else of the transcript is a refusal's.
fn expect(both: &Both, case: Case, errno: &str) {
    let mut report = String::new();
    for family in FAMILIES {
        for mode in MODES {
            let native =
                both.native.client(artifacts::program("outcome")).args(REFUSED.arguments(family, mode));
            let mut expected = native.run().success();
            if mode == "nonblocking" {
                expected = FORGETS_ADDRESS
                    .iter()
                    .fold(expected, |t, known| t.replace(known.native, known.redirected));
            }
            let expected = expected.replace("ECONNREFUSED", errno);
            let program = artifacts::program(case.program);
            let redirected = both.redirected.wrapped(&both.upstream, program);
            let seen = redirected.args(case.arguments(family, mode)).run();
            if seen.stdout != expected {
                report += &format!("{family} {mode}: expected\n{expected}\nredirected\n{seen}\n");
            }
        }
    }
    assert!(report.is_empty(), "{errno}:\n{report}");
    both.no_leaks();
}

#[test]
fn a_destination_that_keeps_silent_times_out() {
    let case = Case::new("outcome", port::ECHO).host("66").more(&["no-echo"]);
    expect(&Both::new(), case, "ETIMEDOUT");
}

/// An hour is more than this test may take.
#[test]
fn nobody_waits_longer_than_the_kernel_would() {
    let both = Both::new();
    let configuration = both.redirected.directory().join("patient.toml");
    let text = format!("proxy = '{}'\ndeadline = 3600\n", both.upstream);
    std::fs::write(&configuration, text).expect("the directory is ours");
    both.proxy.on(port::ECHO, Behaviour::SilentReply);
    let case = Case::new("outcome", port::ECHO).host("66").more(&["twice", "errno"]);
    for mode in MODES {
        let native =
            both.native.client(artifacts::program(case.program)).args(case.arguments("v4", mode)).run();
        let underpass = both.redirected.client(artifacts::underpass()).arg("-f").arg(&configuration);
        let program = underpass.arg(artifacts::program(case.program));
        let redirected = program.args(case.arguments("v4", mode)).run();
        assert_eq!(native.success(), "ETIMEDOUT\n");
        assert_eq!(redirected.success(), "ETIMEDOUT\n");
    }
    both.no_leaks();
}

#[test]
fn each_reply_of_the_proxy_has_its_errno() {
    let both = Both::new();
    let table = [
        (1, "ENETUNREACH"),
        (2, "EACCES"),
        (3, "ENETUNREACH"),
        (4, "EHOSTUNREACH"),
        (5, "ECONNREFUSED"),
        (6, "ETIMEDOUT"),
        (7, "EOPNOTSUPP"),
        (8, "EAFNOSUPPORT"),
        (9, "ENETUNREACH"),
        (255, "ENETUNREACH"),
    ];
    for (code, errno) in table {
        both.proxy.on(port::ECHO, Behaviour::Reply(code));
        expect(&both, Case::new("outcome", port::ECHO).more(&["no-echo"]), errno);
    }
}

#[test]
fn a_proxy_that_is_down_is_no_refusal() {
    let mut both = Both::new();
    both.proxy.kill();
    expect(&both, Case::new("outcome", port::ECHO).more(&["no-echo"]), "ENETUNREACH");
    both.proxy = proxies::fake_at(&both.redirected, 1090);
    both.upstream = both.proxy.url().to_owned();
    both.compare(&[Case::new("outcome", port::ECHO)]);
}

const TOLD_BY_SO_ERROR: &[Known] = &[
    Known {
        native: "recv ECONNREFUSED",
        redirected: "recv ECONNRESET",
        reason: "the errno of a failed hold is told by SO_ERROR and connect(); asking in recv() would cost each one",
    },
    Known { native: "send ECONNREFUSED", redirected: "send ECONNRESET", reason: "the same" },
];

#[test]
fn reading_or_writing_before_asking_for_the_errno_fails_too() {
    Both::new().compare_in(
        &[Case::new("hasty", port::slow(port::REFUSED)).known(TOLD_BY_SO_ERROR)],
        &FAMILIES,
        &["nonblocking"],
    );
}
