//! Whatever the kernel passes on of what somebody has sent, it is read within its bounds: a packet is a SYN with the two ends
//! that stand in it, or none, and a message that is cut short tells of nothing.
#![no_main]

#[path = "../../src/front/queue/message.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod message;

use std::net::IpAddr;

use message::{Said, message, read};

const PACKET: u16 = 0x300;
const HEADER: u16 = 1;
const PAYLOAD: u16 = 10;

libfuzzer_sys::fuzz_target!(|input: (u32, bool, &[u8])| {
    let (id, is_packet, bytes) = input;
    if !is_packet {
        return read(bytes, |_| ());
    }
    let header = [&id.to_be_bytes()[..], &[8, 0, 0]].concat();
    let whole = message(PACKET, 0, 117, &[(HEADER, &header), (PAYLOAD, bytes)]);
    let mut found = Vec::new();
    read(&whole, |said| found.push(said));
    // An attribute has no more than 16 bits for its length.
    let [Said::Packet(waiting)] = &found[..] else { return assert!(bytes.len() > 65_000) };
    assert_eq!(waiting.id, id);
    if let Some(syn) = waiting.syn {
        let is_there = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => bytes[0] >> 4 == 4 && bytes.windows(4).any(|part| part == v4.octets()),
            IpAddr::V6(v6) => bytes[0] >> 4 == 6 && bytes.windows(16).any(|part| part == v6.octets()),
        };
        assert!(is_there(syn.from.ip()) && is_there(syn.to.ip()));
        let after = |at: usize| bytes[at..].starts_with(&syn.sequence.to_be_bytes());
        assert!((24..=64).any(|at| bytes.len() >= at + 10 && after(at)));
    }
    for end in [whole.len() - 1, whole.len() / 2] {
        read(&whole[..end], |said| panic!("{said:?}"));
    }
});
