use super::*;

/// An Ethernet frame with IPv4 and ports, and what follows them.
pub(crate) fn frame(protocol: u8, from: u16, to: &str, rest: &[u8]) -> Vec<u8> {
    let to: std::net::SocketAddrV4 = to.parse().unwrap();
    let mut bytes = vec![0; ETHERNET + 20];
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[ETHERNET] = 0x45;
    bytes[ETHERNET + 9] = protocol;
    bytes[ETHERNET + 16..].copy_from_slice(&to.ip().octets());
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.resize(bytes.len() + if protocol == TCP { 9 } else { 4 }, 0);
    bytes.extend(rest);
    bytes
}

fn told(frame: &[u8]) -> Option<String> {
    Packet::read(frame).map(|packet| format!("{packet} to {}", packet.to))
}

#[test]
fn kinds_are_those_of_a_packet_trace() {
    assert_eq!(told(&frame(TCP, 1, "192.0.2.1:80", &[0x02])).unwrap(), "TCP SYN to 192.0.2.1:80");
    assert_eq!(told(&frame(TCP, 1, "192.0.2.1:80", &[0x12])).unwrap(), "TCP to 192.0.2.1:80");
    assert_eq!(told(&frame(UDP, 1, "192.0.2.1:9", &[])).unwrap(), "UDP to 192.0.2.1:9");
    assert_eq!(told(&frame(ICMP, 1, "192.0.2.1:9", &[])).unwrap(), "ICMP to 192.0.2.1");
    assert_eq!(told(&frame(99, 1, "192.0.2.1:9", &[])).unwrap(), "IP protocol 99 to 192.0.2.1");
    let mut raw = vec![0; 60];
    raw[12..14].copy_from_slice(&[0x88, 0xb5]);
    assert_eq!(told(&raw).unwrap(), "Ethernet 0x88b5 to -");
}

#[test]
fn a_question_has_its_name() {
    let asked = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x1c\0\x01";
    assert_eq!(told(&frame(UDP, 1, "192.0.2.1:53", asked)).unwrap(), "DNS AAAA example.org to 192.0.2.1:53");
    let odd = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x02\x1b[\0\0\x01\0\x01";
    assert_eq!(told(&frame(UDP, 1, "192.0.2.1:53", odd)).unwrap(), "DNS A \\x1b[ to 192.0.2.1:53");
    assert_eq!(told(&frame(UDP, 1, "192.0.2.1:53", b"none")).unwrap(), "UDP to 192.0.2.1:53");
}

#[test]
fn what_the_kernel_sends_on_its_own_is_none() {
    let mut listener_report = vec![0; ETHERNET + 40];
    listener_report[12..14].copy_from_slice(&[0x86, 0xdd]);
    listener_report[ETHERNET..ETHERNET + 2].copy_from_slice(&[0x60, 0]);
    listener_report.extend([ICMPV6, 0, 5, 2, 0, 0, 1, 0, 143, 0]);
    assert_eq!(told(&listener_report), None);
    let last = listener_report.len() - 2;
    listener_report[last] = 128;
    assert_eq!(told(&listener_report).unwrap(), "ICMPv6 to ::");
}

#[test]
fn what_is_cut_off_is_none_or_less() {
    let whole = frame(UDP, 1, "192.0.2.1:53", b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01x\0\0\x01\0\x01");
    for length in 0..whole.len() {
        let _ = told(&whole[..length]);
    }
}
