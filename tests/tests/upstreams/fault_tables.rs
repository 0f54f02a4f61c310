//! What proxies may do wrong in each protocol, byte by byte, and what the program gets to see: an
//! errno (core/src/failure.rs), or nothing at all where it is no fault to the program.
//!
//! Where a wrong answer is not followed by its end, the connection is held open: then only a client
//! that has read the answer can know.

use underpass_tests::proxies::script::Protocol;
use underpass_tests::proxies::script::Step::{self, *};

use crate::place::GREETED;

/// A name, what the proxy does, and what comes of it.
pub(crate) type Fault = (&'static str, Vec<Step>, &'static str);

const RESET_BY_PEER: &str = "ECONNRESET";
const TIMED_OUT: &str = "ETIMEDOUT";
/// The stream ends by a reset after the greeting.
const BROKEN_STREAM: &str = "echo ECONNRESET";

/// All of them.
pub(crate) fn all() -> Vec<(&'static str, Protocol, Vec<Fault>)> {
    vec![
        ("socks5h", Protocol::Socks5, socks5()),
        ("socks4", Protocol::Socks4, socks4()),
        ("socks4a", Protocol::Socks4, socks4()),
        ("http", Protocol::Http, http()),
        ("https", Protocol::Http, tls()),
    ]
}

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn socks5() -> Vec<Fault> {
    let bound: &[u8] = &[1, 192, 0, 2, 1, 0x12, 0x34];
    let good = bytes(&[&[5, 0, 0], bound]);
    let reply = |code: u8| bytes(&[&[5, code, 0], bound]);
    // After the greeting is answered as it should.
    let method = |steps: &[Step]| [&[Greeting, Send(vec![5, 0])], steps].concat();
    // After the request.
    let request = |steps: &[Step]| method(&[&[Request], steps].concat());
    let served = |reply: Vec<u8>| request(&[Connect, Send(reply), Relay]);
    let refused = |code: u8| request(&[Send(reply(code))]);
    let v6 = bytes(&[&[5, 0, 0, 4], &[0x26; 16], &[1, 2]]);
    let name255 = bytes(&[&[5, 0, 0, 3, 255], &[b'b'; 255], &[1, 2]]);
    let name128 = bytes(&[&[5, 0, 0, 3, 128], &[b'b'; 128], &[1, 2]]);
    vec![
        // The 25 of the peers' table.
        ("silent", vec![Hold], TIMED_OUT),
        ("silent after the method", method(&[Hold]), TIMED_OUT),
        ("method not offered, and held", vec![Greeting, Send(vec![5, 2]), Hold], RESET_BY_PEER),
        ("normal", served(good.clone()), GREETED),
        ("bytewise", bytewise(&good), GREETED),
        ("coalesced", request(&[Connect, Coalesced(good.clone()), Relay]), GREETED),
        ("bound address of IPv6", served(v6), GREETED),
        ("bound name of 255 bytes", served(name255), GREETED),
        ("bound name of no bytes", served(vec![5, 0, 0, 3, 0, 1, 2]), GREETED),
        ("closes at once", vec![], RESET_BY_PEER),
        ("resets at once", vec![Reset], RESET_BY_PEER),
        ("garbage", vec![Greeting, Send(b"HTTP/1.0 400 no\r\n\r\n".to_vec()), Hold], RESET_BY_PEER),
        ("flood", vec![Greeting, Flood(vec![0x41])], RESET_BY_PEER),
        ("unknown method", vec![Greeting, Send(vec![5, 0x7b]), Hold], RESET_BY_PEER),
        ("method of version 4", vec![Greeting, Send(vec![4, 0]), Hold], RESET_BY_PEER),
        ("closes after the method", method(&[]), RESET_BY_PEER),
        ("resets after the method", method(&[Reset]), RESET_BY_PEER),
        ("reply 1", refused(1), "ENETUNREACH"),
        ("reply 2", refused(2), "EACCES"),
        ("reply 5", refused(5), "ECONNREFUSED"),
        ("reply 255", refused(255), "ENETUNREACH"),
        (
            "unknown address type",
            request(&[Send(vec![5, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0]), Hold]),
            RESET_BY_PEER,
        ),
        ("closes in the reply", request(&[Send(good[..3].to_vec())]), RESET_BY_PEER),
        ("resets in the reply", request(&[Send(good[..9].to_vec()), Reset]), RESET_BY_PEER),
        ("resets in the stream", request(&[Connect, Send(good.clone()), PassSome, Reset]), BROKEN_STREAM),
        // And more.
        ("silent after the request", request(&[Hold]), TIMED_OUT),
        ("silent in the reply", request(&[Send(good[..4].to_vec()), Hold]), TIMED_OUT),
        ("bound name of 128 bytes", served(name128), GREETED),
        ("no method", vec![Greeting, Send(vec![5, 0xff])], "EACCES"),
        ("reply of version 4", request(&[Send(bytes(&[&[4, 0, 0], bound])), Hold]), RESET_BY_PEER),
        ("reserved byte is not 0", served(bytes(&[&[5, 0, 7], bound])), GREETED),
        ("closes after the request", request(&[]), RESET_BY_PEER),
        ("reply 3", refused(3), "ENETUNREACH"),
        ("reply 4", refused(4), "EHOSTUNREACH"),
        ("reply 6", refused(6), "ETIMEDOUT"),
        ("reply 7", refused(7), "EOPNOTSUPP"),
        ("reply 8", refused(8), "EAFNOSUPPORT"),
    ]
}

/// Both answers a byte at a time.
fn bytewise(reply: &[u8]) -> Vec<Step> {
    vec![Greeting, Slowly(vec![5, 0]), Request, Connect, Slowly(reply.to_vec()), Relay]
}

/// Its reply has one form of 8 bytes, so that some faults of SOCKS5 cannot be; others take their place.
fn socks4() -> Vec<Fault> {
    let reply = |code: u8| vec![0, code, 0x12, 0x34, 192, 0, 2, 1];
    let good = reply(90);
    let request = |steps: &[Step]| [&[Request], steps].concat();
    let served = |reply: &[u8]| request(&[Connect, Send(reply.to_vec()), Relay]);
    let refused = |code: u8| request(&[Send(reply(code))]);
    vec![
        ("silent", vec![Hold], TIMED_OUT),
        ("silent after the request", request(&[Hold]), TIMED_OUT),
        ("silent in the reply", request(&[Send(good[..2].to_vec()), Hold]), TIMED_OUT),
        ("normal", served(&good), GREETED),
        ("bytewise", request(&[Connect, Slowly(good.clone()), Relay]), GREETED),
        ("coalesced", request(&[Connect, Coalesced(good.clone()), Relay]), GREETED),
        ("bound address of zeros", served(&[0, 90, 0, 0, 0, 0, 0, 0]), GREETED),
        ("bound address of ones", served(&[0, 90, 255, 255, 255, 255, 255, 255]), GREETED),
        ("bound address like a name", served(&[0, 90, 0, 0, 0, 0, 0, 1]), GREETED),
        ("closes at once", vec![], RESET_BY_PEER),
        ("resets at once", vec![Reset], RESET_BY_PEER),
        ("garbage", request(&[Send(b"HTTP/1.0 400 no\r\n\r\n".to_vec()), Hold]), RESET_BY_PEER),
        ("flood", request(&[Flood(vec![0x41])]), RESET_BY_PEER),
        ("reply of version 5", request(&[Send(bytes(&[&[5], &good[1..]])), Hold]), RESET_BY_PEER),
        ("reply of version 255", request(&[Send(bytes(&[&[255], &good[1..]])), Hold]), RESET_BY_PEER),
        ("method of SOCKS5, and held", request(&[Send(vec![5, 0]), Hold]), RESET_BY_PEER),
        ("closes after the request", request(&[]), RESET_BY_PEER),
        ("resets after the request", request(&[Reset]), RESET_BY_PEER),
        ("reply 91", refused(91), "ENETUNREACH"),
        ("reply 92", refused(92), "EACCES"),
        ("reply 93", refused(93), "EACCES"),
        // Codes that the protocol does not have.
        ("reply 0", refused(0), RESET_BY_PEER),
        ("reply 255", refused(255), RESET_BY_PEER),
        ("closes in the reply", request(&[Send(good[..3].to_vec())]), RESET_BY_PEER),
        ("resets in the reply", request(&[Send(good[..7].to_vec()), Reset]), RESET_BY_PEER),
        ("resets in the stream", request(&[Connect, Send(good.clone()), PassSome, Reset]), BROKEN_STREAM),
    ]
}

fn http() -> Vec<Fault> {
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

/// Before a proxy inside TLS has shown who it is. It reads nothing, so what it says crosses the first
/// message of the client.
fn tls() -> Vec<Fault> {
    let says = |bytes: &[u8]| vec![Send(bytes.to_vec()), Hold];
    // RFC 8446 section 5.1: type, version, length; section 6: a fatal alert, handshake_failure.
    let alert = [0x15, 3, 3, 0, 2, 2, 40];
    vec![
        ("silent", vec![Hold], TIMED_OUT),
        ("silent in a record", says(&[0x16, 3, 3, 0, 100, 2]), TIMED_OUT),
        ("closes at once", vec![], RESET_BY_PEER),
        ("resets at once", vec![Reset], RESET_BY_PEER),
        ("an answer in plain text", says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), RESET_BY_PEER),
        ("an established tunnel in plain text", says(b"HTTP/1.1 200 OK\r\n\r\nhello\n"), RESET_BY_PEER),
        ("SOCKS", says(&[5, 0, 0, 1, 192, 0, 2, 1, 0, 80]), RESET_BY_PEER),
        ("flood", vec![Flood(vec![0x41])], RESET_BY_PEER),
        ("an alert", says(&alert), RESET_BY_PEER),
        ("closes in a record", vec![Send(vec![0x16, 3, 3, 0, 100, 2])], RESET_BY_PEER),
        ("data before the handshake", says(&[0x17, 3, 3, 0, 1, 0]), RESET_BY_PEER),
    ]
}

fn flood_of_fields() -> Vec<Step> {
    vec![
        Request,
        Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Flood(b"X-Filler: aaaaaaaaaaaaaaaaaaaa\r\n".to_vec()),
    ]
}
