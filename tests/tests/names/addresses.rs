//! getaddrinfo(3).

use crate::both::{Both, Known, lines};

/// Each name has an address of each family, and no more.
const BOTH: &str = "a name has a stand-in of each family";

const AF: [i32; 3] = [0, 2, 10];

/// Every flag by itself, and those that belong together.
const FLAGS: [&str; 15] =
    ["none", "0", "1", "2", "4", "6", "8", "0x18", "0x10", "0x20", "0x28", "0x40", "0x400", "0xc2", "0x42a"];

#[test]
fn what_libc_answers_by_itself_is_what_libc_answers() {
    let mut calls = Vec::new();
    for node in [
        "-",
        "*",
        "127.0.0.1",
        "10.99.0.1",
        "::1",
        "fd99::1",
        "0x7f.1",
        "010.1",
        "fe80::1%lo",
        "::ffff:1.2.3.4",
    ] {
        for service in ["-", "80"] {
            for flags in FLAGS {
                for family in AF {
                    for kind in ["0 0", "2 17"] {
                        calls.push(format!("gai {node} {service} {flags} {family} {kind}"));
                    }
                }
            }
        }
    }
    Both::new().compare(&calls, &[]);
}

#[test]
fn a_name_with_one_address_looks_as_natively() {
    let services = ["-", "80", "http", "domain", "tftp", "no-such-service", "99999", "-1", "=", "*", "+80"];
    let kinds = ["0 0", "1 0", "2 0", "3 0", "1 6", "1 17", "0 17", "0 132", "5 0", "99 0", "0 999"];
    let mut calls = Vec::new();
    for (node, family) in [
        ("echo.test", 2),
        ("ECHO.test.", 2),
        ("echo.test", 0),
        ("v6.test", 10),
        ("listed.test", 2),
        ("first.test", 0),
    ] {
        for service in services {
            calls.extend(kinds.map(|kind| format!("gai {node} {service} 0 {family} {kind}")));
        }
        for flags in FLAGS.iter().filter(|flags| family != 10 || **flags != "none") {
            calls.extend(["0 0", "1 0"].map(|kind| format!("gai {node} http {flags} {family} {kind}")));
        }
    }
    let known = ["0 0", "1 0"].map(|kind| Known {
        call: if kind == "0 0" { "gai v6.test http 0x18 10 0 0" } else { "gai v6.test http 0x18 10 1 0" },
        native: "0 | 18 10 1 6 28 10 there6 80 0",
        redirected: "0 | 18 10 1 6 28 10 there6 80 0 | 18 10 1 6 28 10 mapped 80 0",
        reason: BOTH,
    });
    Both::new().compare(&calls, &known);
}

#[test]
fn a_name_has_one_stand_in_of_the_family_that_is_asked_for() {
    let differs = |call, native, redirected| Known { call, native, redirected, reason: BOTH };
    let known = [
        differs("gai echo.test 80 0 10 1 0", "EAI_NODATA", "0 | 0 10 1 6 28 10 there6 80 0"),
        differs("gai v6.test 80 0 2 1 0", "EAI_NODATA", "0 | 0 2 1 6 16 2 there 80"),
        differs(
            "gai echo.test 80 8 10 1 0",
            "0 | 8 10 1 6 28 10 mapped 80 0",
            "0 | 8 10 1 6 28 10 there6 80 0",
        ),
        differs(
            "gai both.test 80 0 0 1 0",
            "0 | 0 10 1 6 28 10 there6 80 0 | 0 2 1 6 16 2 there 80",
            "0 | 0 2 1 6 16 2 there 80",
        ),
        differs(
            "gai many.test 80 0 2 1 0",
            "0 | 0 2 1 6 16 2 there 80 | 0 2 1 6 16 2 there 80 | 0 2 1 6 16 2 there 80",
            "0 | 0 2 1 6 16 2 there 80",
        ),
        differs(
            "gai alias.test 80 2 2 1 0",
            "0 | 2 2 1 6 16 2 there 80 \"both.test\"",
            "0 | 2 2 1 6 16 2 there 80 \"alias.test\"",
        ),
        differs("gai missing.test 80 0 2 1 0", "EAI_NONAME", "0 | 0 2 1 6 16 2 there 80"),
    ];
    let calls: Vec<String> = known.iter().map(|known| known.call.to_owned()).collect();
    Both::new().compare(&calls, &known);
}

/// RFC 6761 section 6.4: no mode of `--dns` needs to ask anybody.
#[test]
fn names_below_invalid_do_not_exist_and_nobody_is_asked() {
    let mut calls = Vec::new();
    for name in ["nobody.invalid", "a.b.INVALID.", "invalid"] {
        calls.extend([0, 2, 10].map(|family| format!("gai {name} 80 0 {family} 1 0")));
        calls.push(format!("host gethostbyname {name} 2 1024"));
        calls.extend([1, 15, 28].map(|kind| format!("res res_query {name} - {kind} 1232")));
    }
    for options in [&[][..], &["--dns", "exit"], &["--dns", "local", "-q"]] {
        let both = Both::new();
        both.compare_with(&calls, &[], options);
        assert_eq!(both.resolver.questions(), [""; 0], "{options:?}");
        assert!(both.proxy.requests().is_empty(), "{options:?}");
    }
}

#[test]
fn what_is_wrong_with_a_call_is_told_as_glibc_tells_it() {
    let calls = lines(
        "gai - - 0 0 0 0
        gai - 80 2 0 0 0
        gai echo.test 80 0x800 2 1 0
        gai echo.test 80 -1 2 1 0
        gai echo.test 80 0 1 1 0
        gai echo.test 80 0 99 1 0
        gai echo.test 80 0 -1 1 0
        gai echo.test 80 0 2 77 0
        gai echo.test 80 0 2 1 77
        gai echo.test http 0x400 2 1 0
        gai echo.test http 0 2 3 0
        gai echo.test no-such-service 0 2 0 0
        gai echo.test - 4 2 0 0
        gai no-such-name.invalid no-such-service 0 2 1 0
        gai .. 80 0 2 1 0
        gai a..b 80 0 2 1 0
        gai .a 80 0 2 1 0
        gai L64 80 0 2 1 0
        gai L64 80 0 0 1 0
        gai L256 80 0 2 1 0
        gai L1200 80 0 2 1 0
        gai listed.test 80 0 10 1 0
        gai listed.test 80 8 10 1 0
        gai listed6.test 80 0 2 1 0
        gai listed6.test 80 0 10 1 0
        gai localhost 80 0 2 1 0
        gai localhost 80 2 0 1 0
        gai localhost 80 0 10 1 0
        gai first.test 80 2 2 1 0
        gai SECOND.test 80 2 0 1 0",
    );
    Both::new().compare(&calls, &[]);
}

/// `AI_IDN`, `AI_CANONIDN` and `NI_IDN`.
#[test]
fn names_of_other_scripts_are_converted_as_libc_converts_them() {
    let mut calls = Vec::new();
    for name in [
        "b\u{fc}cher.test",
        "xn--bcher-kva.test",
        "B\u{dc}CHER.test",
        "\u{fe0f}.test",
        "-\u{fc}-.test",
        "echo.test",
    ] {
        for flags in ["0x40", "0x42", "0xc2", "0xc6"] {
            calls.push(format!("gai {name} 80 {flags} 2 1 0"));
        }
        // Left to the far end otherwise.
        calls.extend(name.is_ascii().then(|| format!("gai {name} 80 0x82 2 1 0")));
    }
    calls.extend(lines(
        "info of:xn--bcher-kva.test 80 100 100 0
        info of:xn--bcher-kva.test 80 100 100 32
        info of:xn--bcher-kva.test 80 13 100 32
        info of:xn--bcher-kva.test 80 12 100 32",
    ));
    Both::new().compare(&calls, &[]);
}
