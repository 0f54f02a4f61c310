//! Whatever asks for metrics, in whatever pieces, is answered as it would be at once, and none that is longer than it may be is
//! waited for. At a port nobody gets them who names another host than loopback.
#![no_main]

#[path = "../../src/metrics/request.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod request;

use std::net::IpAddr;

use request::{Asked, asked};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for is_port in [true, false] {
        let whole = asked(bytes, is_port);
        // As it comes: what is decided is not decided otherwise by what follows.
        let first = (0..bytes.len().min(96))
            .map(|end| asked(&bytes[..end], is_port))
            .find(|told| *told != Asked::More);
        assert_eq!(first.unwrap_or(whole), whole);
        match whole {
            Asked::Metrics if is_port => {
                let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
                let head = text.trim_start_matches(['\r', '\n']).lines().take_while(|line| !line.is_empty());
                for host in head.filter_map(|line| line.strip_prefix("host:")) {
                    assert!(is_here(host.trim()), "{host}");
                }
            }
            Asked::Metrics => {}
            Asked::More => assert!(bytes.len() < 8 * 1024),
            Asked::No(status, why) => {
                let code = status.split(' ').next().and_then(|code| code.parse().ok());
                assert!(code.is_some_and(|code: u16| (400..500).contains(&code)) && !why.is_empty());
            }
        }
    }
});

/// With a port or without.
fn is_here(host: &str) -> bool {
    let without_port = host.rsplit_once(':').map(|(name, _)| name);
    [Some(host), without_port].into_iter().flatten().any(|name| {
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name == "localhost" || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}
