//! `--dns exit`: every call is answered as natively, also where a name does not exist or has many addresses.

use crate::both::{Both, lines};

const EXIT: [&str; 2] = ["--dns", "exit"];

#[test]
fn real_answers_are_the_native_ones() {
    let mut calls = Vec::new();
    for name in [
        "echo.test",
        "v6.test",
        "both.test",
        "many.test",
        "alias.test",
        "missing.test",
        "mail.test",
        "listed.test",
    ] {
        for family in [0, 2, 10] {
            for flags in ["0", "2", "8", "0x18", "0x22"] {
                calls.push(format!("gai {name} 80 {flags} {family} 1 0"));
            }
        }
        calls.push(format!("gai {name} http none 0 0 0"));
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
    Both::new().compare_with(&calls, &[], &EXIT);
}
