//! Whatever a proxy answers, a handshake ends in success or in a failure with a documented errno,
//! reads what it announced, and never asks for more than its buffer has.
#![no_main]

#[path = "../../src/upstream/handshake.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod handshake;
#[path = "../../src/upstream/socks5.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod socks5;
#[path = "../../src/upstream/socks5_udp.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod socks5_udp;

use handshake::{Handshake, Step};
use socks5::{Greeting, MAX_READ, OneFlight, Request};
use underpass_core::destination::Destination;
use underpass_core::upstream::Credentials;

libfuzzer_sys::fuzz_target!(|input: (bool, bool, &[u8])| {
    let (with_password, one_flight, mut stream) = input;
    let credentials = Credentials { user: b"user".to_vec(), password: b"password".to_vec() };
    let destination = Destination::Name { host: "host.test".into(), port: 443 };
    if one_flight {
        play(&mut OneFlight::new(&destination), &mut stream);
    } else if play(&mut Greeting::new(with_password.then_some(&credentials)), &mut stream) {
        play(&mut Request::new(&destination), &mut stream);
    }
});

/// Whether the handshake has succeeded.
fn play(handshake: &mut dyn Handshake, stream: &mut &[u8]) -> bool {
    // Greeting, password, request; method, verdict, reply, address; and the end.
    for _ in 0..8 {
        let count = match handshake.step() {
            Ok(Step::Done) => return true,
            Ok(Step::Send(bytes)) => {
                assert!(!bytes.is_empty());
                continue;
            }
            Ok(Step::Receive(count)) => count,
            Ok(Step::ReceiveHead) => panic!("SOCKS has no head"),
            Err(failure) => {
                assert!((1..=133).contains(&failure.errno()));
                return false;
            }
        };
        assert!((1..=MAX_READ).contains(&count));
        let Some((bytes, rest)) = stream.split_at_checked(count) else { return false };
        *stream = rest;
        if let Err(failure) = handshake.received(bytes) {
            assert!((1..=133).contains(&failure.errno()));
            return false;
        }
    }
    panic!("a handshake has no more than eight steps");
}
