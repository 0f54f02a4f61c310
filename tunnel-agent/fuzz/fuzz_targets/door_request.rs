//! Whatever a client says at a door, it is more to come, a request that has no byte too many, or a refusal; and what is taken
//! whole was never taken before it was whole.
#![no_main]

#[path = "../../src/front/asked.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod asked;
#[path = "../../src/upstream/handshake.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod handshake;
#[path = "../../src/front/http.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod http;
#[path = "../../src/front/socks4.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod socks4;
#[path = "../../src/front/socks5.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod socks5;

/// Where the program has it.
mod upstream {
    pub(crate) use crate::handshake;
}

use asked::{Asked, Parsed, Refused};
use underpass_core::destination::Destination;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 5 {
        0 => request(bytes, socks4::request),
        1 => request(bytes, socks5::request),
        2 => request(bytes, |bytes| http::request(bytes, |login| login.is_none_or(|(_, password)| password != b"x"))),
        3 => drop(whole(bytes, |bytes| socks5::greeting(bytes, kind >= 128))),
        _ => {
            if let Some((user, password)) = whole(bytes, socks5::login) {
                assert!(user.len() <= 255 && password.len() <= 255);
            }
        }
    }
});

fn request(bytes: &[u8], parse: impl Fn(&[u8]) -> Parsed<Asked>) {
    if let Some(Asked::Connect(Destination::Name { host, .. }) | Asked::Bind(Destination::Name { host, .. })) = whole(bytes, parse) {
        assert!((1..=255).contains(&host.len()) && host.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

/// What is there, if it is whole.
fn whole<T>(bytes: &[u8], parse: impl Fn(&[u8]) -> Parsed<T>) -> Option<T> {
    match parse(bytes)? {
        Ok((message, used)) => {
            assert!((1..=bytes.len()).contains(&used));
            assert!(parse(&bytes[..used]).is_some_and(|again| again.is_ok_and(|(_, again)| again == used)));
            for cut in (0..used).rev().take(64) {
                assert!(parse(&bytes[..cut]).is_none(), "{cut} of {used}");
            }
            Some(message)
        }
        Err(Refused(answer)) => {
            assert!(answer.len() < 1024);
            None
        }
    }
}
