//! Whatever is asked of a relay to listen is a place or none, which is bound as a rule has it and nowhere else; and whatever a
//! relay tells of who has come is the same however it is cut.
#![no_main]

#[path = "../../src/relay/capsule.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod capsule;
#[path = "../../src/relay/policy/mod.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod policy;

#[path = "../../src/relay/listen/announced.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod announced;
#[path = "../../src/relay/listen/request.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod request;

/// Where the program has them.
mod relay {
    pub(crate) use crate::{capsule, policy};
}

use std::net::IpAddr;
use std::time::Duration;

use announced::{Announced, Decoder};
use policy::exposing::Exposing;
use request::{Id, accept_path, listen_path, taken, wish};

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    if let Ok(text) = std::str::from_utf8(bytes) {
        asked(text);
        // By chance alone a fuzzer seldom writes the beginning.
        asked(&format!("/.well-known/underpass/listen/{text}"));
        asked(&format!("/.well-known/underpass/accept/{text}"));
    }
    let told = |pieces: &mut dyn Iterator<Item = &[u8]>| -> Result<Vec<Announced>, ()> {
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        for piece in pieces {
            found.extend(decoder.take(piece).map_err(drop)?);
        }
        Ok(found)
    };
    let whole = told(&mut std::iter::once(bytes));
    let cut = told(&mut bytes.chunks(usize::from(size).max(1)));
    assert_eq!(cut, whole);
    for one in whole.into_iter().flatten() {
        let peer = std::net::SocketAddr::new(one.peer.ip().to_canonical(), one.peer.port());
        let again = told(&mut std::iter::once(&one.encode()[..]));
        assert_eq!(again, Ok(vec![Announced { id: one.id, peer }]));
    }
});

fn asked(path: &str) {
    if let Some(id) = taken(path) {
        assert_eq!(taken(&accept_path(id)), Some(id));
        assert_eq!(Id::parse(&id.to_string()), Some(id));
    }
    let Some(wished) = wish(path) else { return };
    assert_eq!(wish(&listen_path(wished)), Some(wished));
    let rule = Exposing {
        label: "rule".into(),
        clients: Vec::new(),
        addresses: ["192.0.2.0/24", "2001:db8::1"].iter().filter_map(|range| range.parse().ok()).collect(),
        ports: ["8000-8009"].iter().filter_map(|range| range.parse().ok()).collect(),
        most: 1,
        age: None,
        grace: Duration::ZERO,
    };
    if let Some(bound) = rule.bind("client", wished) {
        let is_named = match bound.ip() {
            IpAddr::V4(v4) => v4.octets().starts_with(&[192, 0, 2]),
            IpAddr::V6(v6) => v6 == std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        };
        assert!(is_named && (bound.port() == 0 || (8000..=8009).contains(&bound.port())), "{bound}");
    }
}
