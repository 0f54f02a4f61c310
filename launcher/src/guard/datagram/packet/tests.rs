//! What is made is read again; what no datagram is read from.

use super::*;

fn ends(from: &str, to: &str) -> Ends {
    Ends { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

fn all() -> [Ends; 2] {
    [ends("192.0.0.8:40000", "198.18.0.1:53"), ends("[fd66::8]:40000", "[2001:db8::1]:7007")]
}

fn made(ends: Ends, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    assert!(datagram(ends, payload, &mut packet));
    packet
}

/// The sum of everything that a checksum covers, itself included, is none.
fn is_sound(packet: &[u8], protocol: i32, ends: Ends) -> bool {
    let (start, is_v4) = if packet[0] >> 4 == 4 { (V4, true) } else { (V6, false) };
    let rest = &packet[start..];
    let sum = if protocol == IPPROTO_ICMP {
        Checksum::default()
    } else {
        Checksum::of(ends, protocol, rest.len() as u16)
    };
    sum.add(rest).value() == 0 && (!is_v4 || Checksum::default().add(&packet[..V4]).value() == 0)
}

#[test]
fn what_is_made_is_read_again_with_sound_checksums() {
    for ends in all() {
        for payload in [&b""[..], b"x", b"an even one!", &[7; 65_400]] {
            let packet = made(ends, payload);
            assert_eq!(read(&packet), Some((ends, payload)));
            assert!(is_sound(&packet, IPPROTO_UDP, ends));
        }
    }
}

/// The example of RFC 1071, section 3.
#[test]
fn the_checksums_are_those_of_rfc_1071() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Checksum::default().add(&bytes).value(), !0xddf2);
    assert_eq!(Checksum::default().add(&bytes[..2]).add(&bytes[2..]).value(), !0xddf2);
}

#[test]
fn no_prefix_is_a_datagram_and_what_follows_is_none_of_it() {
    for ends in all() {
        let packet = made(ends, b"hello");
        for cut in 0..packet.len() {
            assert_eq!(read(&packet[..cut]), None, "cut at {cut}");
        }
        let padded = [&packet[..], &[0; 20]].concat();
        assert_eq!(read(&padded), Some((ends, &b"hello"[..])));
    }
}

#[test]
fn other_protocols_parts_and_versions_are_none() {
    let [four, six] = all().map(|ends| made(ends, b"hello"));
    let with = |packet: &[u8], at: usize, byte| {
        let mut packet = packet.to_vec();
        packet[at] = byte;
        packet
    };
    assert_eq!(read(&with(&four, 9, 6)), None);
    assert_eq!(read(&with(&four, 6, 0x20)), None);
    assert_eq!(read(&with(&four, 7, 1)), None);
    assert_eq!(read(&with(&four, 0, 0x44)), None);
    assert_eq!(read(&with(&four, 0, 0x55)), None);
    // A fragment's header in front.
    assert_eq!(read(&with(&six, 6, 44)), None);
    // The datagram says that it is shorter than its own head.
    assert_eq!(read(&with(&four, V4 + 5, 7)), None);
}

#[test]
fn a_datagram_that_ip_cannot_carry_is_not_made() {
    let [four, six] = all();
    let mut packet = Vec::new();
    assert!(!datagram(four, &[0; 65_508], &mut packet));
    assert!(datagram(four, &[0; 65_507], &mut packet));
    assert!(!datagram(six, &[0; 65_528], &mut packet));
    assert!(!datagram(Ends { from: four.from, to: six.to }, b"x", &mut packet));
}

#[test]
fn a_refusal_goes_back_and_quotes_what_is_refused() {
    for refused in all() {
        let mut packet = Vec::new();
        assert!(refusal(refused, libc::ECONNREFUSED, &mut packet));
        let (protocol, start) = if refused.to.is_ipv4() { (IPPROTO_ICMP, V4) } else { (IPPROTO_ICMPV6, V6) };
        assert!(is_sound(&packet, protocol, refused.back()));
        assert_eq!(read(&packet), None);
        assert_eq!(read(&packet[start + 8..]), Some((refused, &b""[..])));
        let kind = if refused.to.is_ipv4() { [3, 3] } else { [1, 4] };
        assert_eq!(packet[start..start + 2], kind);
    }
}

#[test]
fn errors_are_those_that_a_connected_socket_is_told() {
    assert_eq!(kind_of(libc::EHOSTUNREACH, true), [3, 13]);
    assert_eq!(kind_of(libc::EOPNOTSUPP, true), [3, 9]);
    assert_eq!(kind_of(libc::ENETUNREACH, false), [1, 1]);
}
