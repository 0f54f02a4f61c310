//! resolver(3): questions of every type, written by libc, and answered through the chain.

use crate::both::{Both, Known, lines};

const FUNCTIONS: [&str; 6] =
    ["res_query", "res_nquery", "res_search", "res_nsearch", "res_send", "res_nsend"];

/// The types of records that are not addresses: 5 CNAME, 12 PTR, 15 MX, 16 TXT, 33 SRV.
#[test]
fn every_type_of_record_is_found_through_the_chain() {
    let both = Both::new();
    let mut calls = Vec::new();
    for function in FUNCTIONS {
        for question in [
            "mail.test - 15",
            "MAIL.test. - 15",
            "text.test - 16",
            "_sip._tcp.test - 33",
            "9.0.99.10.in-addr.arpa - 12",
            "alias.test - 5",
            "echo.test - 1",
            "ECHO.test. - 1",
        ] {
            calls.push(format!("res {function} {question} 1232"));
        }
    }
    for function in ["res_querydomain", "res_nquerydomain"] {
        for question in ["mail test 15", "mail.test - 15", "mail test. 15"] {
            calls.push(format!("res {function} {question} 1232"));
        }
    }
    both.compare(&calls, &[]);
    assert!(both.resolver.questions().iter().any(|question| question == "MX mail.test"));
    // Over TCP, by the proxy.
    assert!(both.proxy.requests().iter().any(|request| request.to_string() == "ipv4 10.77.0.1 53"));
}

#[test]
fn what_there_is_not_is_told_as_glibc_tells_it() {
    let mut calls = Vec::new();
    for function in FUNCTIONS {
        for question in [
            "missing.test - 15",
            "echo.test - 15",
            "a..b - 1",
            "L64 - 1",
            "L1200 - 1",
            "elsewhere.example - 15",
        ] {
            calls.push(format!("res {function} {question} 1232"));
        }
        for size in [0, 11] {
            calls.push(format!("res {function} mail.test - 15 {size}"));
        }
    }
    calls.retain(|call| !(call.contains("send") && (call.contains("a..b") || call.contains(" L"))));
    calls.extend(lines("res res_querydomain L1200 test 15 1232\nres res_querydomain a. test 15 1232"));
    Both::new().compare(&calls, &[]);
}

/// 12 records of 200 bytes: more than a datagram holds, so glibc asks again over TCP.
#[test]
fn a_long_answer_fills_the_buffer_and_its_whole_length_is_told() {
    let mut calls = Vec::new();
    for function in FUNCTIONS {
        for size in [12, 100, 512, 1232, 2000, 4096, 65536] {
            calls.push(format!("res {function} big.test - 16 {size}"));
        }
    }
    Both::new().compare(&calls, &[]);
}

/// A short one comes natively in a datagram, which is cut without a word.
#[test]
fn a_short_answer_in_a_shorter_buffer() {
    let calls: Vec<String> =
        [12, 40, 60].iter().map(|size| format!("res res_query mail.test - 15 {size}")).collect();
    Both::new().compare(&calls, &[]);
}

#[test]
fn search_domains_are_tried_as_glibc_tries_them() {
    for options in [
        "search test",
        "search one.test test",
        "search test\noptions ndots:3",
        "search test\noptions edns0",
        "domain test",
        "search . test",
    ] {
        let both = Both::new();
        for world in [&both.native, &both.redirected] {
            let path = world.directory().join("resolv.conf");
            let text = format!("nameserver 10.77.0.1\noptions timeout:1 attempts:1\n{options}\n");
            std::fs::write(&path, text).expect("the directory is ours");
        }
        let mut calls = Vec::new();
        for function in ["res_search", "res_nsearch", "res_query", "res_nquery"] {
            for name in ["mail", "mail.test", "mail.", "mail.one", "missing", "_sip._tcp"] {
                calls.push(format!("res {function} {name} - 15 1232"));
            }
            calls.push(format!("res {function} _sip._tcp - 33 1232"));
        }
        both.compare(&calls, &[]);
    }
}

#[test]
fn an_address_is_asked_for_as_a_stand_in() {
    let known = [
        Known {
            call: "res res_query missing.test - 1 1232",
            native: "-1 h_errno 1",
            redirected: "fits code 0 tc 0 question  | missing.test 1 there",
            reason: "no look-ups here",
        },
        Known {
            call: "res res_query v6.test - 28 1232",
            native: "fits code 0 tc 0 question  | v6.test 28 there6",
            redirected: "-1 h_errno 4",
            reason: "one stand-in where both types may be asked for",
        },
    ];
    let calls: Vec<String> = known.iter().map(|known| known.call.to_owned()).collect();
    Both::new().compare(&calls, &known);
}
