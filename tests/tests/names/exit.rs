//! `--dns exit`: every call is answered as natively, also where a name does not exist or has many addresses.

use crate::both::{Both, Known, lines};

const EXIT: [&str; 2] = ["--dns", "exit"];

/// Where a name has both, IPv4 is first: whether the far end of the chain speaks IPv6, nobody here knows.
const ORDER: &str = "IPv4 is first";

#[test]
fn real_answers_are_the_native_ones() {
    let names = [
        "echo.test",
        "v6.test",
        "both.test",
        "many.test",
        "alias.test",
        "missing.test",
        "mail.test",
        "listed.test",
    ];
    let mut calls = Vec::new();
    for name in names {
        let has_both = ["both.test", "alias.test"].contains(&name);
        for family in if has_both { &[2, 10][..] } else { &[0, 2, 10] } {
            for flags in ["0", "2", "8", "0x18", "0x22"] {
                calls.push(format!("gai {name} 80 {flags} {family} 1 0"));
            }
        }
        calls.extend((!has_both).then(|| format!("gai {name} http none 0 0 0")));
        calls.push(format!("gai {name} no-such-service 0 0 1 0"));
        for function in ["gethostbyname", "gethostbyname_r"] {
            calls.push(format!("host {function} {name} 2 1024"));
        }
        for family in [2, 10] {
            calls.push(format!("host gethostbyname2_r {name} {family} 1024"));
        }
    }
    calls.extend(lines(
        "res res_query missing.test - 1 1232
        res res_query v6.test - 28 1232
        res res_query many.test - 1 1232",
    ));
    let known = [
        Known {
            call: "gai both.test 80 0 0 1 0",
            native: "0 | 0 10 1 6 28 10 there6 80 0 | 0 2 1 6 16 2 there 80",
            redirected: "0 | 0 2 1 6 16 2 there 80 | 0 10 1 6 28 10 there6 80 0",
            reason: ORDER,
        },
        Known {
            call: "gai alias.test 80 2 0 1 0",
            native: "0 | 2 10 1 6 28 10 there6 80 0 \"both.test\" | 2 2 1 6 16 2 there 80",
            redirected: "0 | 2 2 1 6 16 2 there 80 \"both.test\" | 2 10 1 6 28 10 there6 80 0",
            reason: ORDER,
        },
    ];
    calls.extend(known.iter().map(|known| known.call.to_owned()));
    Both::new().compare_with(&calls, &known, &EXIT);
}
