//! What HTTP proxies may do wrong in answer to `CONNECT`.

use underpass_tests::proxies::script::Step::{self, *};

use super::{BROKEN_STREAM, Fault, RESET_BY_PEER, TIMED_OUT};
use crate::place::GREETED;

/// Of a proxy that is asked without credentials.
pub(super) fn plain() -> Vec<Fault> {
    let request = |steps: &[Step]| [&[Request], steps].concat();
    let text = |text: &str| Send(text.as_bytes().to_vec());
    let served = |head: &str| request(&[Connect, text(head), Relay]);
    let refused = |head: &str| request(&[text(head)]);
    // Nothing but what the answer says can end the attempt.
    let wrong = |head: &str| request(&[text(head), Hold]);
    let good = "HTTP/1.1 200 Connection established\r\n\r\n";
    let many =
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(60));
    vec![
        ("silent", vec![Hold], TIMED_OUT),
        ("silent after the request", request(&[Hold]), TIMED_OUT),
        ("silent in the head", wrong("HTTP/1.1 200 OK\r\nServer: far\r\n"), TIMED_OUT),
        ("normal", served(good), GREETED),
        ("bytewise", request(&[Connect, Slowly(good.into()), Relay]), GREETED),
        ("coalesced", request(&[Connect, Coalesced(good.into()), Relay]), GREETED),
        ("version 1.0", served("HTTP/1.0 200 OK\r\n\r\n"), GREETED),
        ("status 204", served("HTTP/1.1 204 No Content\r\n\r\n"), GREETED),
        ("status 299", served("HTTP/1.1 299 Fine\r\n\r\n"), GREETED),
        ("no reason phrase", served("HTTP/1.1 200 \r\n\r\n"), GREETED),
        // RFC 9110 section 9.3.6: both fields are to be ignored.
        ("content length", served("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), GREETED),
        ("transfer encoding", served("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), GREETED),
        // RFC 9112 section 2.2: a client may take it, and must then not eat what follows.
        ("line feeds alone", served("HTTP/1.1 200 OK\n\n"), GREETED),
        ("100 before 200", served(&format!("HTTP/1.1 100 Continue\r\n\r\n{good}")), GREETED),
        ("sixty fields", served(&many), GREETED),
        ("closes at once", vec![], RESET_BY_PEER),
        ("resets at once", vec![Reset], RESET_BY_PEER),
        ("garbage", request(&[Send(vec![5, 0, 0, 1, 192, 0, 2, 1, 0, 80]), Hold]), RESET_BY_PEER),
        ("flood", request(&[Flood(vec![0x41])]), RESET_BY_PEER),
        ("fields without end", flood_of_fields(), RESET_BY_PEER),
        ("1xx without end", request(&[Flood(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())]), RESET_BY_PEER),
        ("another protocol", wrong("SIP/2.0 200 OK\r\n\r\n"), RESET_BY_PEER),
        ("a field with a byte 0", wrong("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"), RESET_BY_PEER),
        ("a status of two digits", wrong("HTTP/1.1 20 OK\r\n\r\n"), RESET_BY_PEER),
        ("closes after the request", request(&[]), RESET_BY_PEER),
        ("resets after the request", request(&[Reset]), RESET_BY_PEER),
        ("closes in the status line", refused("HTTP/1.1 20"), RESET_BY_PEER),
        ("closes in the head", refused("HTTP/1.1 200 OK\r\nServer: f"), RESET_BY_PEER),
        ("resets in the head", request(&[text("HTTP/1.1 200 OK\r\nServer: f"), Reset]), RESET_BY_PEER),
        ("resets in the stream", request(&[Connect, text(good), PassSome, Reset]), BROKEN_STREAM),
        (
            "status 301",
            refused("HTTP/1.1 301 Elsewhere\r\nLocation: http://10.99.0.1/\r\n\r\n"),
            "ENETUNREACH",
        ),
        ("status 403", refused("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), "EACCES"),
        // Nothing was offered, and nobody is asked.
        (
            "status 407",
            refused("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\r\n"),
            "EACCES",
        ),
        (
            "status 407 and an unknown way",
            wrong("HTTP/1.1 407 Who\r\nProxy-Authenticate: Odd\r\n\r\n"),
            "EACCES",
        ),
        ("status 407 without a way", wrong("HTTP/1.1 407 Who\r\n\r\n"), "EACCES"),
        ("status 404", refused("HTTP/1.1 404 Not Found\r\n\r\n"), "EHOSTUNREACH"),
        ("status 502", refused("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "EHOSTUNREACH"),
        ("status 504", refused("HTTP/1.1 504 Late\r\n\r\n"), "ETIMEDOUT"),
        (
            "status 500 that tells",
            refused("HTTP/1.1 503 No\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n"),
            "ECONNREFUSED",
        ),
        ("status 999", refused("HTTP/1.1 999 Odd\r\n\r\n"), "ENETUNREACH"),
    ]
}

/// With credentials: what is asked for them, and how often.
pub(super) fn login() -> Vec<Fault> {
    let good = || Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let digest = "Digest realm=\"far\", qop=\"auth\", algorithm=MD5, nonce=\"abc\"";
    let asks = |way: &str, more: &str| {
        Send(format!("HTTP/1.1 407 Who\r\nProxy-Authenticate: {way}\r\n{more}").into_bytes())
    };
    let always = |way: &str| vec![[Request, asks(way, "Content-Length: 0\r\n\r\n")]; 20].concat();
    // On the next connection: nothing says that a proxy serves two requests on one.
    let then_serves = |question: Step| vec![Request, question, NextTime, Request, Connect, good(), Relay];
    vec![
        (
            "silent after the second request",
            vec![Request, asks(digest, "Content-Length: 0\r\n\r\n"), NextTime, Request, Hold],
            TIMED_OUT,
        ),
        // The rest of the question is not waited for.
        (
            "silent in the question's body",
            vec![Request, asks(digest, "Content-Length: 9\r\n\r\nabc"), Hold],
            "EACCES",
        ),
        ("normal", vec![Request, Connect, good(), Relay], GREETED),
        ("asks once", then_serves(asks(digest, "Content-Length: 0\r\n\r\n")), GREETED),
        ("asks with a body", then_serves(asks(digest, "Content-Length: 9\r\n\r\nHTTP/1.1 ")), GREETED),
        (
            "asks with a body in chunks",
            then_serves(asks(digest, "Transfer-Encoding: chunked\r\n\r\n5\r\nHTTP/\r\n0\r\n\r\n")),
            GREETED,
        ),
        ("asks for Basic for ever", always("Basic realm=\"far\""), "EACCES"),
        ("asks for Digest for ever", always(digest), "EACCES"),
        ("says for ever that the nonce is stale", always(&format!("{digest}, stale=true")), "EACCES"),
        ("asks and closes", vec![Request, asks(digest, "Connection: close\r\n\r\n")], "EACCES"),
        ("an unknown algorithm", always("Digest realm=\"far\", nonce=\"abc\", algorithm=ODD"), "EACCES"),
        ("no nonce", always("Digest realm=\"far\""), "EACCES"),
        ("an unknown way", always("Negotiate"), "EACCES"),
        ("an open quotation", always("Digest realm=\"far, nonce=abc"), "EACCES"),
    ]
}

fn flood_of_fields() -> Vec<Step> {
    vec![
        Request,
        Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Flood(b"X-Filler: aaaaaaaaaaaaaaaaaaaa\r\n".to_vec()),
    ]
}
