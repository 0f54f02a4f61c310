//! What is served, and what is not for the destination's own reasons.

use std::time::Duration;

use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, PORT, Place, banner, refusal, url};

#[test]
fn curl_reaches_names_and_addresses_of_both_families() {
    let place = Place::new(EVERYTHING_HERE);
    for host in [NAME, "10.99.0.1", "v6.test", "[fd99::1]", "[::ffff:10.99.0.1]"] {
        let done = place.curl().arg(url(host, port::BANNER)).run();
        assert_eq!(done.success(), "hello\n", "{host}");
    }
    let lines = place.audit(5);
    for line in &lines {
        assert_eq!(
            (&line["client"], &line["verdict"], &line["rule"]),
            (&"me".into(), &"permit".into(), &"here".into())
        );
        assert_eq!(line["down"], 6);
    }
    assert_eq!((&lines[0]["host"], &lines[0]["address"]), (&NAME.into(), &"10.99.0.1".into()));
    // The exit knows its neighbour, and writes nothing of it down.
    assert!(!format!("{lines:?}").contains("10.77.0.2"));
}

#[test]
fn each_failure_has_its_status_and_its_word() {
    let place = Place::new(EVERYTHING_HERE);
    for (target, status, error) in [
        (url(NAME, port::REFUSED), 502, "connection_refused"),
        (url("10.99.0.77", port::BANNER), 502, "destination_unavailable"),
        (url("10.1.1.1", port::BANNER), 403, "http_request_denied"),
        (url("nowhere.test", port::BANNER), 502, "dns_error"),
    ] {
        assert_eq!(refusal(place.curl(), &target), (status, error.to_owned()), "{target}");
    }
    // A refusal is the end of a request, and of nothing else.
    let done = place.curl().args(["-v", &url(NAME, port::REFUSED), &banner()]).run();
    assert!(done.stderr.contains(" 502 ") && done.stdout == "hello\n", "{done}");
}

#[test]
fn what_is_sent_early_for_a_tunnel_is_never_read_as_a_request() {
    let place = Place::new(EVERYTHING_HERE);
    let said = place.says("relay_h1.py", &["early", &format!("{NAME}:{}", port::REFUSED)]);
    assert_eq!(said, "1 answer\n");
    place.audit(1);
}

#[test]
fn large_transfers_arrive_whole_by_both_protocols() {
    let place = Place::new(EVERYTHING_HERE);
    let whole: Vec<u8> = (0..port::BIG).map(|i| (i % 251) as u8).collect();
    let done = place.curl().arg(url(NAME, port::BIG_SENDER)).run();
    assert_eq!((done.status.success(), done.bytes == whole), (true, true), "{}", done.stderr);
    // nghttpx speaks HTTP/1.1 to curl and HTTP/2 to the relay.
    place.world.allow_proxy(3000);
    let nghttpx = place.world.client("nghttpx").args(["--conf=/dev/null", "-f127.0.0.1,3000;no-tls"]);
    let nghttpx = nghttpx
        .arg(format!("-b10.77.0.1,{PORT};;proto=h2;tls;sni=relay.test"))
        .args(["--http2-proxy", "--cacert=relay.key.crt", "--client-private-key-file=client.key"])
        .args(["--client-cert-file=client.key.crt", "--workers=1", "--errorlog-file=/dev/null"]);
    let _nghttpx = nghttpx.limit(Duration::MAX).spawn();
    let through = || {
        let curl = place.world.client("curl").args(["-sS", "-p", "--http0.9", "-m", "60", "--noproxy", ""]);
        curl.args([
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-delay",
            "1",
            "-x",
            "http://127.0.0.1:3000",
        ])
    };
    assert_eq!(through().arg(banner()).run().success(), "hello\n");
    let done = through().arg(url(NAME, port::BIG_SENDER)).run();
    assert_eq!((done.status.success(), done.bytes == whole), (true, true), "{}", done.stderr);
    let refused = through().args(["-v", "-o", "/dev/null", &url(NAME, port::REFUSED)]).run();
    assert!(refused.stderr.contains("Proxy-Status: underpass; error=connection_refused"), "{refused}");
}

/// A clean end is one, and a cut is none, in both protocols.
#[test]
fn an_end_is_an_end_and_a_cut_is_a_cut() {
    let place = Place::new(EVERYTHING_HERE);
    let at = |port: u16| format!("{NAME}:{port}");
    for (script, clean, cut) in
        [("relay_h1.py", "clean end", "cut"), ("relay_h2.py", "END_STREAM", "RST_STREAM 10")]
    {
        let says = |how: &str, port| place.says(script, &[how, &at(port)]);
        assert_eq!(says("read", port::BANNER), format!("200\nhello\n{clean}\n"), "{script}");
        assert_eq!(says("byte", port::RESET), format!("200\n{cut}\n"), "{script}");
    }
    // The client's own end passes, and the destination answers after it.
    for (script, clean) in [("relay_h1.py", "clean end"), ("relay_h2.py", "END_STREAM")] {
        let done = place.says(script, &["half", &at(port::AFTER_END)]);
        assert_eq!(done, format!("200\n4\n{}{clean}\n", "x".repeat(100_000)), "{script}");
    }
    // And the client's cut is a reset at the destination.
    for script in ["relay_h1.py", "relay_h2.py"] {
        assert_eq!(place.says(script, &["cut", &at(port::ECHO)]), "200\n", "{script}");
    }
    let lines = place.audit(8);
    let ended: Vec<_> = lines.iter().map(|line| line["reason"].as_str().unwrap_or_default()).collect();
    let expected =
        |reason: &str, count| assert_eq!(ended.iter().filter(|r| **r == reason).count(), count, "{ended:?}");
    expected("cut by the destination", 2);
    expected("cut by the client", 2);
}

#[test]
fn a_relay_that_is_killed_leaves_no_clean_end() {
    let mut place = Place::new(EVERYTHING_HERE);
    for script in ["relay_h1.py", "relay_h2.py"] {
        let mut client = place.script(script, &["wait", &format!("{NAME}:{}", port::GREETER)]).spawn();
        assert_eq!(client.next_line(), "200");
        assert_eq!(client.next_line(), "hello");
        place.take_relay().signal(rustix::process::Signal::KILL);
        assert_eq!(client.next_line(), "cut");
        place.start();
    }
    place.is_served();
}

#[test]
fn a_stalled_reader_slows_nobody() {
    let place = Place::new(EVERYTHING_HERE);
    // Eight streams that are not read, and one beside them, on one connection.
    let done = place.says(
        "relay_h2.py",
        &["stall", &format!("{NAME}:{}", port::BIG_SENDER), &format!("{NAME}:{}", port::GREETER)],
    );
    assert_eq!(done, "hello\nword\n");
}
