//! Whatever a relay sends, a datagram is taken apart within its bounds or dropped, what was put on comes
//! off, and an association's answer ends in a place or in a documented errno.
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
use socks5_udp::{Associate, MAX_HEADER, Sender, header, open, open_nested};
use underpass_core::destination::Destination;

libfuzzer_sys::fuzz_target!(|input: (bool, u8, &[u8])| {
    let (reply, hops, bytes) = input;
    if reply {
        return associate(bytes);
    }
    let relays = vec![Destination::Name { host: "relay.test".into(), port: 1 }; usize::from(hops % 4)];
    if let Some((_, payload)) = open_nested(bytes, &relays) {
        assert!(bytes.ends_with(payload) && payload.len() < bytes.len());
    }
    let Some((sender, payload)) = open(bytes) else { return };
    let destination = match sender {
        Sender::Address(address) => Destination::Address(address),
        Sender::Name(name, port) => match std::str::from_utf8(name) {
            Ok(host) => Destination::Name { host: host.into(), port },
            Err(_) => return,
        },
    };
    let again = header(&destination);
    assert!(again.len() <= MAX_HEADER);
    let again = [&again[..], payload].concat();
    assert_eq!(open(&again), Some((sender, payload)));
});

fn associate(mut stream: &[u8]) {
    let mut handshake = Associate::new();
    // Request, reply, address; and the end.
    for _ in 0..4 {
        let count = match handshake.step() {
            Ok(Step::Done) => return assert!(handshake.bound().is_some_and(|bound| bound.port() != 0)),
            Ok(Step::Send(_)) => continue,
            Ok(Step::Receive(count)) => count,
            Ok(Step::ReceiveHead) | Err(_) => panic!("an association has neither"),
        };
        assert!((1..=257).contains(&count));
        let Some((bytes, rest)) = stream.split_at_checked(count) else { return };
        stream = rest;
        if let Err(failure) = handshake.received(bytes) {
            return assert!((1..=133).contains(&failure.errno()));
        }
    }
    panic!("an association has no more than four steps");
}
