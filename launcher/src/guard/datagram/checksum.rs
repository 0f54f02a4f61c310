//! The checksum of IP, UDP and ICMP (RFC 1071).

use std::net::IpAddr;

use super::packet::Ends;

/// A sum that grows. Every part but the last has an even length.
#[derive(Clone, Copy, Default)]
pub(super) struct Checksum(u64);

impl Checksum {
    /// With what UDP and ICMPv6 add of the packet's head (RFC 768, RFC 8200 section 8.1).
    pub(super) fn of(ends: Ends, protocol: i32, length: u16) -> Self {
        let add = |sum: Self, ip| match ip {
            IpAddr::V4(ip) => sum.add(&ip.octets()),
            IpAddr::V6(ip) => sum.add(&ip.octets()),
        };
        let sum = add(add(Self::default(), ends.from.ip()), ends.to.ip());
        Self(sum.0 + u64::from(length) + u64::from(protocol.unsigned_abs()))
    }

    pub(super) fn add(self, bytes: &[u8]) -> Self {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
        let last = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
        Self(self.0 + sum + last)
    }

    pub(super) fn value(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}
