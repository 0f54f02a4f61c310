//! Packets of IP as they pass the cable: read and made, without I/O.
//!
//! What is read comes from this kernel, so that checksums, which the cable leaves to a card that there is not, say
//! nothing. What is made is for this kernel, which judges them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::{IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP};

use super::checksum::Checksum;

const V4: usize = 20;
const V6: usize = 40;
const UDP: usize = 8;
/// What the kernel gives a packet unless it is told otherwise.
const HOPS: u8 = 64;
/// IPv4: this packet is not to be cut.
const WHOLE: u16 = 0x4000;

/// From whom a datagram is, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
}

impl Ends {
    /// Those of an answer.
    pub(super) fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// The datagram in a packet. Nothing else is carried: no other protocol, no part of a datagram, no extension.
pub(super) fn read(packet: &[u8]) -> Option<(Ends, &[u8])> {
    let (from, to, udp) = match packet.first()? >> 4 {
        4 => {
            let head = usize::from(packet[0] & 15) * 4;
            let length = usize::from(word(packet, 2)?);
            let is_part = word(packet, 6)? & !WHOLE != 0;
            if head < V4 || is_part || i32::from(*packet.get(9)?) != IPPROTO_UDP {
                return None;
            }
            (v4(packet, 12)?, v4(packet, 16)?, packet.get(head..length)?)
        }
        6 => {
            let length = usize::from(word(packet, 4)?);
            if i32::from(*packet.get(6)?) != IPPROTO_UDP {
                return None;
            }
            (v6(packet, 8)?, v6(packet, 24)?, packet.get(V6..V6 + length)?)
        }
        _ => return None,
    };
    let payload = udp.get(UDP..usize::from(word(udp, 4)?))?;
    let ends = Ends { from: (from, word(udp, 0)?).into(), to: (to, word(udp, 2)?).into() };
    Some((ends, payload))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn v4(bytes: &[u8], at: usize) -> Option<IpAddr> {
    bytes.get(at..)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into())
}

fn v6(bytes: &[u8], at: usize) -> Option<IpAddr> {
    bytes.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into())
}

/// Puts a packet with a datagram behind what is in `into`. One that is too long for IP is none.
#[must_use]
pub(super) fn datagram(ends: Ends, payload: &[u8], into: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(UDP + payload.len()) else { return false };
    if !head(ends, IPPROTO_UDP, length, into) {
        return false;
    }
    let start = into.len();
    udp_head(ends, length, into);
    into.extend_from_slice(payload);
    let sum = Checksum::of(ends, IPPROTO_UDP, length).add(&into[start..]).value();
    // None at all is written as 0 (RFC 768).
    into[start + 6..start + UDP].copy_from_slice(&(if sum == 0 { !0 } else { sum }).to_be_bytes());
    true
}

/// Puts a packet there that tells the sender of a datagram with these ends why it did not arrive.
#[must_use]
pub(super) fn refusal(refused: Ends, errno: i32, into: &mut Vec<u8>) -> bool {
    let ends = refused.back();
    let is_v4 = ends.to.is_ipv4();
    let (protocol, head_length) = if is_v4 { (IPPROTO_ICMP, V4) } else { (IPPROTO_ICMPV6, V6) };
    let length = (8 + head_length + UDP) as u16;
    if !head(ends, protocol, length, into) {
        return false;
    }
    let start = into.len();
    into.extend_from_slice(&kind_of(errno, is_v4));
    into.extend_from_slice(&[0; 6]);
    // The kernel finds the socket by the addresses and ports of what is quoted.
    if !head(refused, IPPROTO_UDP, UDP as u16, into) {
        return false;
    }
    udp_head(refused, UDP as u16, into);
    let sum = if is_v4 { Checksum::default() } else { Checksum::of(ends, protocol, length) };
    let sum = sum.add(&into[start..]).value();
    into[start + 2..start + 4].copy_from_slice(&sum.to_be_bytes());
    true
}

/// Type and code, of those that the kernel reports to a connected socket (`icmp_err_convert`, `icmpv6_err_convert`): they
/// are as near to `errno` as there are any.
fn kind_of(errno: i32, is_v4: bool) -> [u8; 2] {
    match (is_v4, errno) {
        // Port unreachable.
        (true, libc::ECONNREFUSED) => [3, 3],
        (false, libc::ECONNREFUSED) => [1, 4],
        // Filtered: EHOSTUNREACH.
        (true, libc::EHOSTUNREACH | libc::EACCES | libc::EPERM | libc::ETIMEDOUT) => [3, 13],
        // The network is prohibited: ENETUNREACH.
        (true, _) => [3, 9],
        // Prohibited: EACCES. Other codes are kept from a program that does not ask for them.
        (false, _) => [1, 1],
    }
}

/// The head of a packet whose rest has this length.
fn head(ends: Ends, protocol: i32, length: u16, into: &mut Vec<u8>) -> bool {
    match (ends.from.ip(), ends.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let Some(length) = length.checked_add(V4 as u16) else { return false };
            let start = into.len();
            into.extend_from_slice(&[0x45, 0]);
            into.extend_from_slice(&length.to_be_bytes());
            into.extend_from_slice(&[0, 0]);
            into.extend_from_slice(&WHOLE.to_be_bytes());
            into.extend_from_slice(&[HOPS, protocol as u8, 0, 0]);
            into.extend_from_slice(&from.octets());
            into.extend_from_slice(&to.octets());
            let sum = Checksum::default().add(&into[start..]).value();
            into[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            into.extend_from_slice(&[0x60, 0, 0, 0]);
            into.extend_from_slice(&length.to_be_bytes());
            into.extend_from_slice(&[protocol as u8, HOPS]);
            into.extend_from_slice(&from.octets());
            into.extend_from_slice(&to.octets());
        }
        _ => return false,
    }
    true
}

/// Without the checksum.
fn udp_head(ends: Ends, length: u16, into: &mut Vec<u8>) {
    for field in [ends.from.port(), ends.to.port(), length, 0] {
        into.extend_from_slice(&field.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
