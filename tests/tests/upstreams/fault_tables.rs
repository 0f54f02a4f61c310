//! What proxies may do wrong in each protocol, byte by byte, and what the program gets to see: an
//! errno (core/src/failure.rs), or nothing at all where it is no fault to the program.
//!
//! Where a wrong answer is not followed by its end, the connection is held open: then only a client
//! that has read the answer can know.

mod http;

use underpass_tests::proxies::script::Protocol;
use underpass_tests::proxies::script::Step::{self, *};

use crate::place::GREETED;

/// A name, what the proxy does, and what comes of it.
pub(crate) type Fault = (&'static str, Vec<Step>, &'static str);

const RESET_BY_PEER: &str = "ECONNRESET";
const TIMED_OUT: &str = "ETIMEDOUT";
/// The stream ends by a reset after the greeting.
const BROKEN_STREAM: &str = "echo ECONNRESET";

/// The faults of one kind of proxy.
pub(crate) struct Table {
    pub(crate) scheme: &'static str,
    /// The user name and password of the URL, and an `@`; or nothing.
    pub(crate) login: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) faults: Vec<Fault>,
}

impl Table {
    fn new(scheme: &'static str, protocol: Protocol, faults: Vec<Fault>) -> Self {
        Self { scheme, login: "", protocol, faults }
    }

    pub(crate) fn socks5() -> Self {
        Self::new("socks5h", Protocol::Socks5, socks5())
    }

    pub(crate) fn socks5_with_login() -> Self {
        Self { login: LOGIN, ..Self::new("socks5h", Protocol::Socks5, socks5_login()) }
    }

    pub(crate) fn socks4() -> Self {
        Self::new("socks4", Protocol::Socks4, socks4())
    }

    pub(crate) fn socks4a() -> Self {
        Self::new("socks4a", Protocol::Socks4, socks4())
    }

    pub(crate) fn http() -> Self {
        Self::new("http", Protocol::Http, http::plain())
    }

    pub(crate) fn http_with_login() -> Self {
        Self { login: LOGIN, ..Self::new("http", Protocol::Http, http::login()) }
    }

    pub(crate) fn tls() -> Self {
        Self::new("https", Protocol::Http, tls())
    }
}

const LOGIN: &str = "me:secret@";

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

/// After the method of RFC 1929 was offered, too.
fn socks5_login() -> Vec<Fault> {
    let good = vec![5, 0, 0, 1, 192, 0, 2, 1, 0x12, 0x34];
    let served = |steps: &[Step]| [steps, &[Request, Connect, Send(good.clone()), Relay]].concat();
    let asked = |steps: &[Step]| [&[Greeting, Send(vec![5, 2]), Login], steps].concat();
    vec![
        ("silent after the login", asked(&[Hold]), TIMED_OUT),
        ("silent in the answer to the login", asked(&[Send(vec![1]), Hold]), TIMED_OUT),
        ("normal", served(&asked(&[Send(vec![1, 0])])), GREETED),
        ("bytewise", served(&asked(&[Slowly(vec![1, 0])])), GREETED),
        ("wants no login", served(&[Greeting, Send(vec![5, 0])]), GREETED),
        ("refuses, and holds", asked(&[Send(vec![1, 1]), Hold]), "EACCES"),
        ("refuses by 255", asked(&[Send(vec![1, 255])]), "EACCES"),
        // Some servers do; what counts is the verdict.
        ("answers in version 5", served(&asked(&[Send(vec![5, 0])])), GREETED),
        ("refuses in version 5, and holds", asked(&[Send(vec![5, 1]), Hold]), "EACCES"),
        ("answers in version 7", asked(&[Send(vec![7, 0]), Hold]), RESET_BY_PEER),
        ("closes in the answer", asked(&[Send(vec![1])]), RESET_BY_PEER),
        ("resets after the login", asked(&[Reset]), RESET_BY_PEER),
        ("GSSAPI, which was not offered", vec![Greeting, Send(vec![5, 1]), Hold], RESET_BY_PEER),
        ("no method", vec![Greeting, Send(vec![5, 0xff])], "EACCES"),
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
