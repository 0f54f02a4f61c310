//! The messages of a queue of packets (linux/netfilter/nfnetlink_queue.h) and what is read of the packets, without I/O: whoever
//! is behind the door has written those.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

/// linux/netlink.h
const NLMSG_ERROR: u16 = 2;
const NLA_TYPE: u16 = 0x3fff;
/// `struct nlmsghdr`, and what follows it here: `struct nfgenmsg`.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// `NFNL_SUBSYS_QUEUE` of linux/netfilter/nfnetlink.h, in the upper byte, and the messages of the queue.
const PACKET: u16 = 0x300;
/// Attributes of a packet's message and of a verdict.
const NFQA_PACKET_HDR: u16 = 1;
const NFQA_PAYLOAD: u16 = 10;

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: u32,
    /// `None` if it is another packet.
    pub(crate) syn: Option<Syn>,
}

/// What begins a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syn {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// The same when it is sent again, and as a rule another one in each connection (RFC 6528).
    pub(crate) sequence: u32,
}

/// A message with its attributes.
pub(crate) fn message(kind: u16, flags: u16, queue: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER + FAMILY_HEADER];
    for (kind, content) in attributes {
        bytes.extend(((4 + content.len()) as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let len = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&len.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    // `res_id` of `struct nfgenmsg`.
    bytes[HEADER + 2..HEADER + 4].copy_from_slice(&queue.to_be_bytes());
    bytes
}

/// What the kernel says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// To what we have said: 0, or an errno.
    Answer(i32),
    Packet(Waiting),
}

/// Gives `each` the messages of one datagram that are whole.
pub(crate) fn read(mut bytes: &[u8], mut each: impl FnMut(Said)) {
    while let Some(length) = u32_at(bytes, 0).map(|length| length as usize).filter(|&length| length >= HEADER)
    {
        let Some(message) = bytes.get(..length) else { return };
        let said = match u16_at(message, 4) {
            Some(NLMSG_ERROR) => {
                u32_at(message, HEADER).map(|code| Said::Answer((code as i32).wrapping_neg()))
            }
            Some(PACKET) => message.get(HEADER + FAMILY_HEADER..).and_then(packet).map(Said::Packet),
            _ => None,
        };
        said.into_iter().for_each(&mut each);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// The attributes of a packet's message.
fn packet(mut bytes: &[u8]) -> Option<Waiting> {
    let (mut id, mut syn) = (None, None);
    while let Some(length) = u16_at(bytes, 0).map(usize::from) {
        let content = bytes.get(4..length)?;
        match u16_at(bytes, 2)? & NLA_TYPE {
            NFQA_PACKET_HDR => {
                id = content.get(..4).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes)
            }
            NFQA_PAYLOAD => syn = syn_of(content),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    id.map(|id| Waiting { id, syn })
}

/// What this is the beginning of, if it is a SYN (RFC 791, 8200, 9293). One behind extension headers is none.
fn syn_of(packet: &[u8]) -> Option<Syn> {
    const TCP: u8 = 6;
    let ip = |at: usize, length: usize| -> Option<IpAddr> {
        let bytes = packet.get(at..at + length)?;
        let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
        v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
    };
    let first = *packet.first()?;
    let (protocol, from, to, header) = match first >> 4 {
        4 => {
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff;
            let header = usize::from(first & 0xf) * 4;
            (fragment == 0 && header >= 20).then_some((*packet.get(9)?, ip(12, 4)?, ip(16, 4)?, header))?
        }
        6 => (*packet.get(6)?, ip(8, 16)?, ip(24, 16)?, 40),
        _ => return None,
    };
    let tcp = packet.get(header..).filter(|_| protocol == TCP)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let (from, to) = (SocketAddr::new(from, port(0)?), SocketAddr::new(to, port(2)?));
    let sequence = u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?);
    // FIN, SYN, RST and ACK.
    (tcp.get(13)? & 0b1_0111 == 0b10).then_some(Syn { from, to, sequence })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NFQA_MARK: u16 = 3;

    fn v4(flags: u8) -> Vec<u8> {
        let mut bytes =
            vec![0x46, 0, 0, 64, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 1];
        bytes.extend([0x12, 0x34, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    fn v6(flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        bytes.extend("fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        bytes.extend("fd00::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
        bytes.extend(&v4(flags)[24..]);
        bytes
    }

    fn told(payload: &[u8]) -> Vec<u8> {
        let header = [0, 0, 0, 7, 8, 0, 0];
        message(PACKET, 0, 117, &[(NFQA_PACKET_HDR, &header), (NFQA_MARK, &[0; 4]), (NFQA_PAYLOAD, payload)])
    }

    fn all(bytes: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        read(bytes, |one| said.push(one));
        said
    }

    #[test]
    fn a_syn_has_two_ends_and_nothing_else_is_one() {
        let sequence = 0x0102_0304;
        let ends = |from: &str, to: &str| {
            Some(Syn { from: from.parse().unwrap(), to: to.parse().unwrap(), sequence })
        };
        assert_eq!(syn_of(&v4(2)), ends("10.0.0.1:4660", "10.0.0.2:80"));
        assert_eq!(syn_of(&v6(2)), ends("[fd00::1]:4660", "[fd00::2]:80"));
        // With the bits of congestion notification.
        assert!(syn_of(&v4(0xc2)).is_some());
        for flags in [0, 1, 3, 4, 6, 0x10, 0x12] {
            assert_eq!(syn_of(&v4(flags)), None, "{flags}");
        }
        let changed = |at: usize, byte: u8| {
            let mut bytes = v4(2);
            bytes[at] = byte;
            syn_of(&bytes)
        };
        // Another version, a short header, a later fragment, another protocol.
        for (at, byte) in [(0, 0x56), (0, 0x44), (7, 1), (9, 17)] {
            assert_eq!(changed(at, byte), None, "{byte} at {at}");
        }
        for whole in [v4(2), v6(2)] {
            let needed = whole.len() - 6;
            for len in 0..whole.len() {
                assert_eq!(syn_of(&whole[..len]).is_some(), len >= needed, "{len}");
            }
        }
    }

    #[test]
    fn messages_are_read_and_what_is_cut_short_is_none() {
        let packet = told(&v4(2));
        let waiting = |syn| Said::Packet(Waiting { id: 7, syn });
        let both = [packet.clone(), told(b"?")].concat();
        assert_eq!(all(&both), [waiting(syn_of(&v4(2))), waiting(None)]);
        for len in 0..packet.len() {
            assert_eq!(all(&packet[..len]), [], "{len}");
        }
        let mut answer = message(NLMSG_ERROR, 0, 0, &[]);
        answer[HEADER..HEADER + 4].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(all(&answer), [Said::Answer(1)]);
        // Lengths that lead nowhere.
        for length in [0u32, 15, 19, u32::MAX] {
            let mut bytes = packet.clone();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(all(&bytes), [], "{length}");
        }
    }
}
