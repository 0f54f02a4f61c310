//! dig, nslookup and host, by TCP.

use crate::place::{Native, Place, sorted};

/// Types that the agent does not know itself: the same answers in both worlds.
#[test]
fn other_types_go_through_the_chain_to_the_server_that_was_asked() {
    let (native, place) = (Native::new(), Place::new());
    for (kind, name) in [
        ("MX", "mail.test"),
        ("TXT", "text.test"),
        ("TXT", "big.test"),
        ("SRV", "_sip._tcp.test"),
        ("CAA", "caa.test"),
        ("NAPTR", "naptr.test"),
        ("PTR", "1.0.99.10.in-addr.arpa"),
        ("PTR", "9.0.99.10.in-addr.arpa"),
        ("MX", "echo.test"),
        ("MX", "missing.test"),
        ("NS", "example.org"),
    ] {
        let line = ["+tcp", "+noall", "+comments", "+answer", "@10.77.0.1", "-t", kind, name];
        let shape = |text: &str| -> Vec<String> {
            // Its number, and what dnsmasq has to say of an error to whoever is next to it.
            let odd = |line: &&String| {
                !line.contains("EDE:") && !line.contains("->>HEADER<<-") && !line.contains("flags:")
            };
            let status = text.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
            let mut lines: Vec<String> = sorted(text).iter().filter(odd).cloned().collect();
            lines.push(format!("{status:?}"));
            lines
        };
        let natively = native.run("dig", &line).success();
        let carried = place.run("dig", &line).success();
        assert_eq!(shape(&carried), shape(&natively), "{kind} {name}:\n{natively}\n{carried}");
    }
    assert!(place.proxy.served("10.77.0.1", 53) >= 1, "{}", place.proxy.log());
    assert!(place.resolver.questions().contains(&"MX mail.test".to_owned()));
    place.no_leaks();
}

/// Addresses are known here, and the name alone goes out when one is dialled.
#[test]
fn names_and_addresses_are_answered_from_the_table() {
    let place = Place::new();
    let dig = |arguments: &[&str]| {
        let line = [&["+tcp", "+short", "@10.77.0.1"], arguments].concat();
        place.run("dig", &line).success()
    };
    let address = dig(&["echo.test", "A"]);
    assert!(address.starts_with("198.18.0."), "{address}");
    assert_eq!(dig(&["ECHO.test.", "A"]), address);
    assert_eq!(dig(&["echo.test", "AAAA"]), "");
    assert_eq!(dig(&["-x", address.trim()]), "echo.test.\n");
    assert_eq!(dig(&["localhost", "A"]), "127.0.0.1\n");
    assert_eq!(dig(&["localhost", "AAAA"]), "::1\n");
    assert_eq!(dig(&["-x", "127.0.0.1"]), "localhost.\n");
    // A fake address that stands for nothing is nobody's business.
    assert_eq!(dig(&["-x", "198.18.200.200"]), "");
    let answer = place.run("dig", &["+tcp", "+noall", "+answer", "@10.77.0.1", "echo.test"]).success();
    assert_eq!(answer.split_whitespace().collect::<Vec<_>>(), ["echo.test.", "1", "IN", "A", address.trim()]);
    assert_eq!(place.resolver.questions(), [""; 0]);
    // And it is the same name for whoever dials it.
    let script = format!("exec 3<>/dev/tcp/{}/7001; cat <&3", address.trim());
    assert_eq!(place.run("bash", &["-c", &script]).success(), "hello\n");
    assert_eq!(place.proxy.served("echo.test", 7001), 1);
    place.no_leaks();
}

/// The stub of this machine is not asked, nor is any server that has a name or does not exist.
#[test]
fn whichever_server_is_asked_the_agent_answers() {
    let place = Place::new();
    for server in ["127.0.0.53", "127.0.0.1", "::1", "0.0.0.0", "192.0.2.53", "far.test", "fd77::1"] {
        let done = place.run("dig", &["+tcp", "+short", &format!("@{server}"), "a.test", "A"]);
        assert!(done.stdout.starts_with("198.18.0."), "{server}: {done}");
    }
    // The system's own server stands for the stub.
    let stub = place.run("dig", &["+tcp", "+short", "@127.0.0.53", "mail.test", "MX"]).success();
    assert_eq!(sorted(&stub), ["10 mx1.test.", "20 mx2.test."]);
    let named = place.run("dig", &["+tcp", "+short", "@far.test", "text.test", "TXT"]).success();
    assert_eq!(named, "\"v=spf1 -all\"\n");
    assert_eq!(place.proxy.served("10.77.0.1", 53), 1);
    assert_eq!(place.proxy.served("far.test", 53), 1);
    // Nobody is there.
    let nobody = place.run("dig", &["+tcp", "+tries=1", "@10.99.0.77", "mail.test", "MX"]);
    assert!(nobody.stdout.contains("status: SERVFAIL"), "{nobody}");
    place.no_leaks();
}

/// An address in a record would be dialled past the name.
#[test]
fn services_come_without_their_hints() {
    let (native, place) = (Native::new(), Place::new());
    let line = ["+tcp", "+short", "@10.77.0.1", "web.test", "TYPE65"];
    let natively = native.run("dig", &line).success();
    assert!(natively.contains("192.0.2.1") && natively.contains("2001:db8::1"), "{natively}");
    assert_eq!(place.run("dig", &line).success(), "1 . alpn=\"h3\"\n");
    place.no_leaks();
}

#[test]
fn host_and_nslookup_resolve_by_tcp() {
    let place = Place::new();
    let host = place.run("host", &["-T", "-t", "A", "echo.test", "10.77.0.1"]).success();
    assert!(host.contains("echo.test has address 198.18.0.1\n"), "{host}");
    let host = place.run("host", &["-T", "-t", "MX", "mail.test", "127.0.0.53"]).success();
    assert!(host.contains("mail.test mail is handled by 10 mx1.test.\n"), "{host}");
    let nslookup = place.run("nslookup", &["-vc", "echo.test", "10.77.0.1"]).success();
    assert!(nslookup.contains("Name:\techo.test\nAddress: 198.18.0.1\n"), "{nslookup}");
    let nslookup = place.run("nslookup", &["-vc", "-type=SRV", "_sip._tcp.test", "10.77.0.1"]).success();
    assert!(nslookup.contains("service = 1 2 5060 sip.test."), "{nslookup}");
    let reverse = place.run("nslookup", &["-vc", "198.18.0.1", "10.77.0.1"]).success();
    assert!(reverse.contains("name = echo.test."), "{reverse}");
    place.no_leaks();
}
