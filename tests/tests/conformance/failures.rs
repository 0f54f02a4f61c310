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
        seldom: false,
    },
    Known {
        native: "ECONNREFUSED\nSO_ERROR again 0\npeer ENOTCONN\nlocal AF_INET6 address",
        redirected: "ECONNREFUSED\nSO_ERROR again 0\npeer ENOTCONN\nlocal AF_INET6 any",
        reason: "the same",
        seldom: false,
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
            let native = native.run().success();
            let forgets = |text: &str| {
                let known = FORGETS_ADDRESS.iter();
                known.fold(text.to_owned(), |text, known| text.replace(known.native, known.redirected))
            };
            let expected = if mode == "nonblocking" { forgets(&native) } else { native };
            // A blocking socket is held, too, where the proxy looks far away, as it may on a busy machine.
            let expected = [expected.clone(), forgets(&expected)].map(|e| e.replace("ECONNREFUSED", errno));
            let program = artifacts::program(case.program);
            let redirected = both.redirected.wrapped(&both.upstream, program);
            let seen = redirected.args(case.arguments(family, mode)).run();
            if !expected.contains(&seen.stdout) {
                report += &format!("{family} {mode}: expected\n{}\nredirected\n{seen}\n", expected[0]);
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
    let both = Both::new().configured("deadline = 3600\n");
    both.proxy.on(port::ECHO, Behaviour::SilentReply);
    let case = Case::new("outcome", port::ECHO).host("66").more(&["twice", "errno"]);
    for mode in MODES {
        for done in both.run(case.program, &case.arguments("v4", mode)) {
            assert_eq!(done.success(), "ETIMEDOUT\n", "{mode}");
        }
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
        seldom: false,
    },
    Known { native: "send ECONNREFUSED", redirected: "send ECONNRESET", reason: "the same", seldom: false },
];

#[test]
fn reading_or_writing_before_asking_for_the_errno_fails_too() {
    Both::new().compare_in(
        &[Case::new("hasty", port::slow(port::REFUSED)).known(TOLD_BY_SO_ERROR)],
        &FAMILIES,
        &["nonblocking"],
    );
}
