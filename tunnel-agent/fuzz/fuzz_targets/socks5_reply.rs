//! Whatever a proxy answers, a handshake ends in success or in a failure with a documented errno,
//! reads what it announced, and never asks for more than its buffer has.
#![no_main]

#[path = "../../src/upstream/socks5.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod socks5;

use socks5::{Handshake, Step};
use underpass_core::destination::Destination;
use underpass_core::upstream::Credentials;

libfuzzer_sys::fuzz_target!(|input: (bool, &[u8])| {
    let (with_password, mut stream) = input;
    let credentials = Credentials { user: b"user".to_vec(), password: b"password".to_vec() };
    let destination = Destination::Name { host: "host.test".into(), port: 443 };
    let mut handshake = Handshake::new(&destination, with_password.then_some(&credentials));
    // Greeting, password, request; method, verdict, reply, address; and the end.
    for _ in 0..8 {
        let count = match handshake.step() {
            Ok(Step::Done) => return,
            Ok(Step::Send(bytes)) => {
                assert!(!bytes.is_empty());
                continue;
            }
            Ok(Step::Receive(count)) => count,
            Err(failure) => return assert!((1..=133).contains(&failure.errno())),
        };
        assert!((1..=Handshake::MAX_READ).contains(&count));
        let Some((bytes, rest)) = stream.split_at_checked(count) else { return };
        stream = rest;
        if let Err(failure) = handshake.received(bytes) {
            return assert!((1..=133).contains(&failure.errno()));
        }
    }
    panic!("a handshake has no more than eight steps");
});
