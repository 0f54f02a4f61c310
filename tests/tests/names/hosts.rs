//! gethostbyname(3), getnameinfo(3) and their relatives.

use underpass_tests::{World, artifacts, proxies};

use crate::both::{Both, Known, lines};

#[test]
fn an_entry_is_as_libc_makes_it() {
    let mut calls = Vec::new();
    let anywhere = [
        "127.0.0.1",
        "1.2.3.4",
        "1.2",
        "::1",
        "localhost",
        "listed.test",
        "first.test",
        "a..b",
        "L64",
        "L256",
        "L1200",
    ];
    for function in ["gethostbyname", "gethostbyname2", "gethostbyname_r", "gethostbyname2_r"] {
        let families: &[i32] = if function.contains('2') { &[2, 10, 1, 99] } else { &[2] };
        for family in families {
            let own: &[&str] = match family {
                2 => &["echo.test", "ECHO.test", "echo.test."],
                10 => &["v6.test", "listed6.test"],
                _ => &["echo.test", "v6.test", "listed6.test"],
            };
            for name in own.iter().chain(&anywhere) {
                calls.push(format!("host {function} {name} {family} 1024"));
            }
        }
    }
    for size in [0, 1, 8, 16, 24, 32] {
        calls.push(format!("host gethostbyname_r echo.test 2 {size}"));
    }
    Both::new().compare(&calls, &[]);
}

#[test]
fn what_only_a_resolver_could_know_is_asked_of_none() {
    let differs = |call, native, redirected| Known { call, native, redirected, reason: "no look-ups here" };
    let entry = "returns 0, name \"missing.test\" type 2 length 4 there";
    let known = [
        differs("host gethostbyname_r missing.test 2 1024", "returns 0, h_errno 1", entry),
        differs(
            "host gethostbyname_r alias.test 2 1024",
            "returns 0, name \"both.test\" type 2 length 4 alias \"alias.test\" there",
            "returns 0, name \"alias.test\" type 2 length 4 there",
        ),
        differs(
            "addr gethostbyaddr_r 10.99.0.9 2 1024",
            "returns 0, name \"nine.test\" type 2 length 4 there",
            "returns 0, h_errno 1",
        ),
        differs("info 10.99.0.9 80 100 100 0", "0 \"nine.test\" \"http\"", "0 \"10.99.0.9\" \"http\""),
        differs("info 10.99.0.9 80 100 100 8", "0 \"nine.test\" \"http\"", "EAI_NONAME \"?\" \"?\""),
    ];
    let calls: Vec<String> = known.iter().map(|known| known.call.to_owned()).collect();
    Both::new().compare(&calls, &known);
}

#[test]
fn an_address_has_the_name_that_it_was_given_for() {
    let calls = lines(
        "addr gethostbyaddr of:listed.test 2 1024
        addr gethostbyaddr_r of:listed.test 2 1024
        addr gethostbyaddr_r of:listed6.test 10 1024
        addr gethostbyaddr_r 127.0.0.1 2 1024
        addr gethostbyaddr_r 127.0.0.1 2 10
        addr gethostbyaddr_r ::1 10 1024
        addr gethostbyaddr_r :: 10 1024
        addr gethostbyaddr :: 10 1024
        info of:listed.test 80 100 100 0
        info of:listed.test 80 100 100 1
        info of:listed.test 80 100 100 2
        info of:listed.test 80 100 100 3
        info of:listed.test 80 100 100 4
        info of:listed.test 80 100 100 8
        info of:listed.test 69 100 100 16
        info of:listed.test 80 100 100 32
        info of:listed.test 80 100 100 0x100
        info of:listed.test 80 100 100 0x1000
        info of:listed.test 80 12 100 0
        info of:listed.test 80 11 100 0
        info of:listed.test 80 100 3 0
        info of:listed.test 80 -1 100 0
        info of:listed.test 80 100 -1 0
        info of:listed.test 80 -1 -1 0
        info of:listed.test 80 -1 -1 8
        info of:listed.test 80 0 100 0
        info ::1 80 100 100 0
        info unix 80 100 100 0
        info short 80 100 100 0
        info foreign 80 100 100 0",
    );
    Both::new().compare(&calls, &[]);
}

/// Natively each of them asks a name server.
#[test]
fn functions_that_look_names_up_inside_libc_ask_nobody() {
    let both = Both::new();
    let program = artifacts::program("inner");
    let native = both.native.client(&program).run_or_kill();
    let asked = both.asked.questions();
    assert!(asked.iter().any(|question| question.contains("nowhere.test")), "{asked:?}");
    assert!(asked.iter().any(|question| question.contains("missing.test")), "{asked:?}");
    let done = both.redirected.wrapped(both.proxy.url(), &program).run_or_kill();
    assert_eq!(done.stdout, native.stdout, "{done}");
    assert_eq!(both.resolver.questions(), Vec::<String>::new());
    both.no_leaks();
}

/// Functions for programs that were linked long ago.
#[test]
fn what_libresolv_once_looked_up_by_itself_is_answered_by_the_agent() {
    let both = Both::new();
    let program = artifacts::compiled("old", "old", &["-lresolv"]);
    let native = both.native.client(&program).run_or_kill();
    assert!(native.stdout.contains("res_gethostbyname echo.test 10.99.0.1\n"), "{native}");
    assert!(native.stdout.contains("res_gethostbyaddr nine.test 10.99.0.9\n"), "{native}");
    let done = both.redirected.wrapped(both.proxy.url(), &program).run_or_kill();
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines[0], "res_gethostbyname listed.test 10.99.0.1", "{done}");
    assert!(lines[1].starts_with("res_gethostbyname echo.test 198.18."), "{done}");
    assert!(lines[2].starts_with("res_gethostbyname2 v6.test fd75:6e64:6572:7061:"), "{done}");
    // Only the table and the hosts file are asked.
    assert_eq!(lines[3..], ["res_gethostbyaddr h_errno 1"], "{done}");
    assert_eq!(both.resolver.questions(), Vec::<String>::new());
    both.no_leaks();
}

/// What binds to its own name, or asks for a service of its own by it, stays on the machine.
#[test]
fn the_machines_own_name_leaves_only_where_its_resolver_would_ask() {
    let script = r#"
import socket
own = socket.gethostname()
address = socket.gethostbyname(own)
print(own, address if address.startswith("127.") else "a stand-in")
if address.startswith("127."):
    server = socket.create_server((own, 0))
    client = socket.create_connection((own, server.getsockname()[1]))
    print(client.getpeername()[0], socket.gethostbyaddr(address)[0], socket.gethostbyname(own.upper()))
"#;
    for (services, expected) in [
        ("files dns", "own-name a stand-in\n"),
        (
            "files myhostname resolve [!UNAVAIL=return] dns",
            "own-name 127.0.0.2\n127.0.0.2 own-name 127.0.0.2\n",
        ),
    ] {
        let world = World::new();
        let proxy = proxies::fake(&world);
        std::fs::write(world.directory().join("nsswitch.conf"), format!("hosts: {services}\n"))
            .expect("the directory is ours");
        let named = ["--uts", "sh", "-c", "hostname own-name; exec \"$@\"", "sh"];
        let done = world.client("unshare").args(named).arg(artifacts::underpass());
        let done = done.args(["-x", proxy.url(), "/usr/bin/python3", "-c", script]).run();
        assert_eq!(done.success(), expected);
        assert_eq!((proxy.requests(), world.leaks()), (vec![], 0));
    }
}
