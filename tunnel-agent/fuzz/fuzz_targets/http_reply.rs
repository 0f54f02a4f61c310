//! Whatever an HTTP proxy answers, over two connections, a handshake ends in success or in a failure
//! with a documented errno, and each request that it sends is one head of four lines at most.
#![no_main]

#[path = "../../src/upstream/handshake.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod handshake;
#[path = "../../src/upstream/http/mod.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod http;

use std::sync::Arc;

use handshake::{Handshake, MAX_HEAD, Step, head_end};
use http::{HttpAuth, HttpConnect};
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, documented};
use underpass_core::upstream::Credentials;

libfuzzer_sys::fuzz_target!(|input: (bool, &str, &[u8])| {
    let (with_password, host, mut stream) = input;
    let credentials = Credentials { user: b"user".to_vec(), password: b"password".to_vec() };
    let credentials = with_password.then_some(&credentials);
    let auth: Arc<HttpAuth> = Arc::default();
    // A name of the input's, and then one that can be asked for.
    let named = |host: &str| Destination::Name { host: host.into(), port: 443 };
    let mut handshake = HttpConnect::new(&named(host), credentials, Arc::clone(&auth))
        .or_else(|_| HttpConnect::new(&named("a.test"), credentials, Arc::clone(&auth)))
        .expect("a plain name can be asked for");
    // The same handshake answers a challenge, once.
    match play(&mut handshake, &mut stream) {
        Some(Err(Failure::Challenged)) => {
            let again = play(&mut handshake, &mut stream);
            assert_ne!(again, Some(Err(Failure::Challenged)));
        }
        Some(Err(failure)) => assert_eq!(documented(failure.errno()), failure.errno()),
        Some(Ok(())) | None => {}
    }
    // And so does a new one.
    drop(handshake);
    let mut new =
        HttpConnect::new(&named("a.test"), credentials, auth).expect("a plain name can be asked for");
    play(&mut new, &mut stream);
});

/// How the handshake ended, if `stream` was long enough.
fn play(handshake: &mut HttpConnect, stream: &mut &[u8]) -> Option<Result<(), Failure>> {
    // One request, sixteen informational answers, one that is final; and the end.
    for _ in 0..20 {
        match handshake.step() {
            Ok(Step::Done) => return Some(Ok(())),
            Ok(Step::Send(request)) => {
                assert!(request.ends_with(b"\r\n\r\n"));
                assert_eq!(head_end(request), Some(request.len()));
                let lines = request.split(|&byte| byte == b'\n').count() - 1;
                assert!((3..=4).contains(&lines));
                assert_eq!(request.iter().filter(|&&byte| byte == b'\r').count(), lines);
                assert!(!request.contains(&0));
            }
            Ok(Step::ReceiveHead) => {
                // What a driver does that has no more room hands over what it has.
                let end = head_end(stream).unwrap_or(stream.len()).min(MAX_HEAD);
                let whole = head_end(stream).is_some();
                let (head, rest) = stream.split_at(end);
                *stream = rest;
                if let Err(failure) = handshake.received(head) {
                    return Some(Err(failure));
                }
                assert!(whole, "a part of a head was taken for one");
            }
            Ok(Step::Receive(_)) => panic!("HTTP has no counts"),
            Err(failure) => return Some(Err(failure)),
        }
    }
    panic!("a handshake has no more than twenty steps");
}
