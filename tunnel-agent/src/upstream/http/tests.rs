mod credentials;

use std::sync::Arc;

use super::super::handshake::{MAX_HEAD, head_end};
use super::*;

const OK: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// Plays `replies` as one stream; what was sent, how it ended, and what was left unread.
fn play<'a>(handshake: &mut HttpConnect, mut replies: &'a [u8]) -> (String, Result<(), Failure>, &'a [u8]) {
    let mut sent = String::new();
    loop {
        match handshake.step() {
            Err(failure) => return (sent, Err(failure), replies),
            Ok(Step::Done) => return (sent, Ok(()), replies),
            Ok(Step::Receive(_)) => panic!("HTTP has no counts"),
            Ok(Step::Send(bytes)) => {
                sent.push_str(std::str::from_utf8(bytes).unwrap());
                continue;
            }
            Ok(Step::ReceiveHead) => {}
        }
        let Some(end) = head_end(replies) else {
            return (sent, Err(Failure::UpstreamClosed), replies);
        };
        let (head, rest) = replies.split_at(end);
        replies = rest;
        if let Err(failure) = handshake.received(head) {
            return (sent, Err(failure), replies);
        }
    }
}

fn name(host: &str) -> Destination {
    Destination::Name { host: host.into(), port: 443 }
}

fn plain() -> HttpConnect {
    HttpConnect::new(&name("a.test"), None, Arc::default()).unwrap()
}

fn ended(reply: impl AsRef<[u8]>) -> Result<(), Failure> {
    play(&mut plain(), reply.as_ref()).1
}

fn is_protocol_error(reply: impl AsRef<[u8]>) -> bool {
    matches!(ended(reply), Err(Failure::Protocol(_)))
}

#[test]
fn requests_have_the_authority_form() {
    let request = |destination: &Destination| {
        play(&mut HttpConnect::new(destination, None, Arc::default()).unwrap(), OK.as_bytes()).0
    };
    let address = |text: &str| Destination::Address(text.parse().unwrap());
    let expected = |authority: &str| format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    assert_eq!(request(&name("a_b.test")), expected("a_b.test:443"));
    assert_eq!(request(&address("10.1.2.3:80")), expected("10.1.2.3:80"));
    assert_eq!(request(&address("[fd00::1]:80")), expected("[fd00::1]:80"));
    assert_eq!(request(&address("[fe80::1%3]:80")), expected("[fe80::1]:80"));
    assert_eq!(request(&address("[::ffff:10.1.2.3]:80")), expected("10.1.2.3:80"));
}

#[test]
fn a_name_that_would_change_the_request_is_refused() {
    let long = "x".repeat(256);
    let names = [
        "",
        &long,
        "a\r\nX: y",
        "a\nb",
        "a b",
        "a\tb",
        "a\0b",
        "a@b",
        "a/b",
        "a\\b",
        "a:1",
        "[::1]",
        "::1",
        "a?b",
        "a#b",
        "a%2eb",
        "a\"b",
        "a<b",
        "a\x7fb",
        "bücher.test",
    ];
    for host in names {
        let refused = HttpConnect::new(&name(host), None, Arc::default());
        assert!(matches!(refused, Err(Failure::Request(_))), "{host:?}");
    }
    assert!(HttpConnect::new(&name(&"x".repeat(255)), None, Arc::default()).is_ok());
}

#[test]
fn any_status_of_success_opens_the_tunnel_behind_the_head() {
    let heads = [
        OK,
        "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\nVia: x\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 299 Odd\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    ];
    for head in heads {
        for payload in ["", "payload", "\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n\r\n"] {
            let stream = format!("{head}{payload}");
            let (_, ended, left) = play(&mut plain(), stream.as_bytes());
            assert_eq!((ended, left), (Ok(()), payload.as_bytes()), "{head}");
        }
    }
}

#[test]
fn informational_answers_are_passed_over_up_to_a_bound() {
    let informational = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let stream = |count| informational.repeat(count) + OK + "payload";
    let some = stream(16);
    assert_eq!(play(&mut plain(), some.as_bytes()).1, Ok(()));
    assert_eq!(play(&mut plain(), some.as_bytes()).2, b"payload");
    assert!(is_protocol_error(stream(17)));
    assert!(is_protocol_error("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
}

#[test]
fn no_prefix_of_an_answer_is_taken_for_one() {
    let stream = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: 1.1 a\r\nX: \r\n\r\n";
    for cut in 0..stream.len() {
        assert_eq!(ended(&stream[..cut]), Err(Failure::UpstreamClosed), "cut at {cut}");
        // A driver that hands over what it has gets an error too.
        let mut handshake = plain();
        handshake.step().unwrap();
        let whole = "HTTP/1.1 100 Continue\r\n\r\n".len();
        assert_eq!(handshake.received(&stream.as_bytes()[..cut]).is_ok(), cut == whole, "cut at {cut}");
    }
    assert_eq!(ended(stream), Ok(()));
}

#[test]
fn what_is_no_head_of_http_1_is_an_error() {
    let faults = [
        "\r\n\r\n",
        "OK\r\n\r\n",
        "<html>\n\n",
        "\x05\x00\r\n\r\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 000 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
    ];
    for fault in faults {
        assert!(is_protocol_error(fault), "{fault:?}");
    }
}

#[test]
fn a_head_without_bounds_is_an_error() {
    let lines = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(ended(lines(128)), Ok(()));
    assert!(is_protocol_error(lines(129)));
    let wide = |length: usize| format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(length));
    let around = wide(0).len();
    assert_eq!(ended(wide(MAX_HEAD - around)), Ok(()));
    assert!(is_protocol_error(wide(MAX_HEAD - around + 1)));
    assert!(is_protocol_error(wide(1 << 20)));
    let mut handshake = plain();
    handshake.step().unwrap();
    assert!(handshake.received(&wide(1 << 20).as_bytes()[..MAX_HEAD]).is_err());
}

#[test]
fn bytes_that_were_not_asked_for_are_an_error() {
    let mut handshake = plain();
    assert!(handshake.received(OK.as_bytes()).is_err(), "before the request");
    handshake.step().unwrap();
    assert!(handshake.received(format!("{OK}x").as_bytes()).is_err(), "more than the head");
    assert!(handshake.received(OK.as_bytes()).is_ok());
    assert!(handshake.received(OK.as_bytes()).is_err(), "twice");
}

#[test]
fn other_statuses_are_failures_with_what_the_proxy_tells() {
    let table = [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", 403, None),
        ("HTTP/1.1 302 Found\r\nLocation: http://a.test/\r\n\r\n", 302, None),
        ("HTTP/1.1 503 x\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n", 503, Some(111)),
        ("HTTP/1.1 502 x\r\nProxy-Status: p; error=connection_timeout\r\n\r\n", 502, Some(110)),
        ("HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n\r\n", 407, None),
        ("HTTP/1.1 999 x\r\n\r\n", 999, None),
    ];
    for (reply, status, told) in table {
        assert_eq!(ended(reply), Err(Failure::Http { status, told }), "{reply}");
    }
}
