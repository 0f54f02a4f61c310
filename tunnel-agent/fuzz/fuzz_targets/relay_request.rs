//! Whatever comes instead of a request, in whatever pieces, is a head that was there as a whole, or a refusal that others
//! can read; and what is asked for is never more than was said.
#![no_main]

#[path = "../../src/relay/head.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod head;
#[path = "../../src/relay/policy/mod.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod policy;
#[path = "../../src/relay/refusal.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod refusal;
#[path = "../../src/relay/request.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod request;

use head::{MAX_HEAD, may_be_whole, parse};
use policy::host::Host;
use refusal::Refusal;
use request::Request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // As it comes: one byte more each time, for a while.
    let mut whole = None;
    for end in 1..=bytes.len().min(512) {
        if !may_be_whole(&bytes[..end], end - 1) {
            assert!(!matches!(parse(&bytes[..end]), Ok(Some(_))), "a head was overlooked");
            continue;
        }
        match parse(&bytes[..end]) {
            Ok(Some((length, head))) => {
                assert!(length <= end && length <= MAX_HEAD);
                whole = Some((length, head));
                break;
            }
            Ok(None) => {}
            Err(refusal) => return readable(&refusal),
        }
    }
    // What was read of the beginning is what is read of all of it.
    if let Some((length, head)) = whole {
        let (again, same) = parse(bytes).expect("it was a head").expect("it was whole");
        assert!(again == length && same == head);
        match &head.request {
            Ok(request) => asked(request),
            Err(refusal) => readable(refusal),
        }
    } else if let Err(refusal) = parse(bytes) {
        readable(&refusal);
    }
    // The same of an authority, and of a path, as HTTP/2 has them.
    if let Ok(text) = std::str::from_utf8(bytes) {
        for request in [Request::authority(text), Request::udp(text)].into_iter().flatten() {
            asked(&request);
        }
    }
});

/// It can be said again, and means the same.
fn asked(request: &Request) {
    assert_ne!(request.port, 0);
    let said = Request::authority(&request.to_string()).expect("it was an authority");
    assert_eq!((&said.host, said.port), (&request.host, request.port));
    if let Host::Name(name) = &request.host {
        assert!((1..=253).contains(&name.len()) && name.parse::<std::net::IpAddr>().is_err());
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !b":/@[]%".contains(&byte)));
    }
}

fn readable(refusal: &Refusal) {
    assert!((400..=504).contains(&refusal.status) && !refusal.reason().is_empty());
    let field = refusal.proxy_status("underpass");
    assert!(sfv::Parser::new(&field).parse::<sfv::List>().is_ok(), "{field}");
}
