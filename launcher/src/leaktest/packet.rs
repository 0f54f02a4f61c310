//! What a packet is that came to the dead end, in the words of who reads a packet trace. No I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packet {
    pub(super) protocol: Protocol,
    /// Its port where there are ports.
    pub(super) from: u16,
    pub(super) to: To,
    /// SYN without ACK.
    begins: bool,
    /// The name that is asked for, and the type of its record.
    question: Option<(String, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    /// Of IP, by its number (RFC 5237).
    Ip(u8),
    /// Beside IP, by its Ethernet type.
    Ethernet(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum To {
    Port(SocketAddr),
    Address(IpAddr),
    /// What has no address that we know.
    Card,
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(address) => address.fmt(f),
            Self::Address(ip) => ip.fmt(f),
            Self::Card => f.write_str("-"),
        }
    }
}

impl Packet {
    /// Of a frame; `None` for what the kernel sends on its own (neighbour discovery, multicast listener reports), and for
    /// what is none.
    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET..)?;
        match word(frame, 12)? {
            0x0800 => Self::v4(packet),
            0x86dd => Self::v6(packet),
            other => Some(Self::other(Protocol::Ethernet(other), To::Card)),
        }
    }

    fn other(protocol: Protocol, to: To) -> Self {
        Self { protocol, from: 0, to, begins: false, question: None }
    }

    fn v4(packet: &[u8]) -> Option<Self> {
        let head = usize::from(packet.first()? & 15) * 4;
        let to = Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?).into();
        let protocol = *packet.get(9)?;
        let is_later_part = word(packet, 6)? & 0x1fff != 0;
        if is_later_part {
            return Some(Self::other(Protocol::Ip(protocol), To::Address(to)));
        }
        Some(Self::of_ip(protocol, to, packet.get(head..)?))
    }

    fn v6(packet: &[u8]) -> Option<Self> {
        let to = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?).into();
        let (mut protocol, mut rest) = (*packet.get(6)?, packet.get(40..)?);
        // Hop-by-hop options, routing, destination options (RFC 8200 section 4).
        while [0, 43, 60].contains(&protocol) {
            let length = (usize::from(*rest.get(1)?) + 1) * 8;
            (protocol, rest) = (*rest.first()?, rest.get(length..)?);
        }
        // Echo is 128 and 129; these are multicast listeners, routers and neighbours.
        let is_the_kernels = protocol == ICMPV6 && matches!(rest.first()?, 130..=137 | 143);
        (!is_the_kernels).then(|| Self::of_ip(protocol, to, rest))
    }

    fn of_ip(protocol: u8, to: IpAddr, rest: &[u8]) -> Self {
        let ports = [TCP, UDP, SCTP, UDP_LITE].contains(&protocol);
        let (Some(from), Some(port)) = (word(rest, 0), word(rest, 2).filter(|_| ports)) else {
            return Self::other(Protocol::Ip(protocol), To::Address(to));
        };
        let begins = protocol == TCP && rest.get(13).is_some_and(|flags| flags & 0x12 == 0x02);
        // DNS, mDNS, LLMNR.
        let asks = protocol == UDP && [53, 5353, 5355].contains(&port);
        let question = if asks { rest.get(8..).and_then(question) } else { None };
        Self { protocol: Protocol::Ip(protocol), from, to: To::Port((to, port).into()), begins, question }
    }

    /// Whether a resolver of this machine is asked, which would ask elsewhere.
    pub(super) fn asks_a_resolver_here(&self) -> bool {
        let is_fresh = self.begins || self.protocol == Protocol::Ip(UDP);
        is_fresh && matches!(self.to, To::Port(to) if to.port() == 53)
    }

    /// In the kernel's lists of sockets (proc_net(5)): which of them, and whether the local port is ours or the protocol.
    pub(super) fn tables(&self) -> (&'static [&'static str], u16) {
        match self.protocol {
            Protocol::Ip(TCP) => (&["tcp", "tcp6"], self.from),
            Protocol::Ip(UDP) => (&["udp", "udp6"], self.from),
            Protocol::Ip(UDP_LITE) => (&["udplite", "udplite6"], self.from),
            Protocol::Ip(number) => (&["raw", "raw6"], number.into()),
            Protocol::Ethernet(_) => (&[], 0),
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.question, self.protocol) {
            (Some((name, kind)), _) => write!(f, "DNS {} {name}", record(*kind)),
            (None, Protocol::Ip(TCP)) if self.begins => f.write_str("TCP SYN"),
            (None, Protocol::Ip(TCP)) => f.write_str("TCP"),
            (None, Protocol::Ip(UDP)) => f.write_str("UDP"),
            (None, Protocol::Ip(UDP_LITE)) => f.write_str("UDP-Lite"),
            (None, Protocol::Ip(ICMP)) => f.write_str("ICMP"),
            (None, Protocol::Ip(ICMPV6)) => f.write_str("ICMPv6"),
            (None, Protocol::Ip(IGMP)) => f.write_str("IGMP"),
            (None, Protocol::Ip(SCTP)) => f.write_str("SCTP"),
            (None, Protocol::Ip(number)) => write!(f, "IP protocol {number}"),
            (None, Protocol::Ethernet(kind)) => write!(f, "Ethernet {kind:#06x}"),
        }
    }
}

fn record(kind: u16) -> String {
    match kind {
        1 => "A".to_owned(),
        12 => "PTR".to_owned(),
        15 => "MX".to_owned(),
        16 => "TXT".to_owned(),
        28 => "AAAA".to_owned(),
        33 => "SRV".to_owned(),
        65 => "HTTPS".to_owned(),
        other => format!("TYPE{other}"),
    }
}

/// The first question of a DNS message.
fn question(message: &[u8]) -> Option<(String, u16)> {
    if word(message, 4)? == 0 {
        return None;
    }
    let (mut at, mut name) = (12, String::new());
    loop {
        let length = usize::from(*message.get(at)?);
        let label = message.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        match length {
            0 => break,
            // What is no letter of a name is shown, not passed to a terminal.
            1..=63 => name += &(label.escape_ascii().to_string() + "."),
            _ => return None,
        }
    }
    if name.len() > 1 {
        name.pop();
    }
    Some((name, word(message, at)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
pub(super) mod tests;
