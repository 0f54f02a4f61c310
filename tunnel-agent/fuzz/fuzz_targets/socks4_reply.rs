//! Whatever a SOCKS4 proxy answers, a handshake ends in success or in a failure with a documented
//! errno, and reads eight bytes and no more.
#![no_main]

#[path = "../../src/upstream/handshake.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod handshake;
#[path = "../../src/upstream/socks4.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod socks4;

use std::net::SocketAddr;

use handshake::{Handshake, Step};
use socks4::Connect;
use underpass_core::destination::Destination;
use underpass_core::failure::documented;
use underpass_core::upstream::Credentials;

libfuzzer_sys::fuzz_target!(|input: (bool, Option<SocketAddr>, Vec<u8>, Vec<u8>, &[u8])| {
    let (names, address, host, user, stream) = input;
    let destination = match address {
        Some(address) => Destination::Address(address),
        None => Destination::Name { host: String::from_utf8_lossy(&host).into_owned(), port: 443 },
    };
    let credentials = Credentials { user, password: b"password".to_vec() };
    let mut handshake = match Connect::new(&destination, Some(&credentials), names) {
        Ok(handshake) => handshake,
        Err(failure) => return assert_eq!(documented(failure.errno()), failure.errno()),
    };
    let Ok(Step::Send(request)) = handshake.step() else { panic!("nothing is asked") };
    // Nothing can end the user name or the name early.
    let announces = request[4..7] == [0, 0, 0] && request[7] != 0;
    assert_eq!(request[8..].iter().filter(|&&byte| byte == 0).count(), if announces { 2 } else { 1 });
    assert_eq!(request.last(), Some(&0));
    assert_eq!(handshake.step(), Ok(Step::Receive(1)));
    let Some((version, rest)) = stream.split_at_checked(1) else { return };
    if let Err(failure) = handshake.received(version) {
        return assert_eq!(documented(failure.errno()), failure.errno());
    }
    assert_eq!(handshake.step(), Ok(Step::Receive(7)));
    let Some((reply, _)) = rest.split_at_checked(7) else { return };
    match handshake.received(reply) {
        Ok(()) => {
            assert_eq!(reply[0], 90);
            assert_eq!(handshake.step(), Ok(Step::Done));
        }
        Err(failure) => assert_eq!(documented(failure.errno()), failure.errno()),
    }
});
