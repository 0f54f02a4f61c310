//! Datagrams, and the sockets that are no way out: what becomes of a call.

use std::net::SocketAddr;

use libc::{
    AF_INET, AF_INET6, AF_PACKET, EACCES, EAFNOSUPPORT, ENETUNREACH, ENOPROTOOPT, EPERM, EPROTONOSUPPORT,
    ESOCKTNOSUPPORT, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_MPTCP, IPPROTO_TCP,
    IPPROTO_UDP, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET, c_int,
};
use underpass_core::wire::{Barred, Purpose};

use super::{Bypass, Kind, Outcome, Send, Socket};

/// Where datagrams of a socket go that are for one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Where the program sends them.
    Direct,
    /// To the agent's socket that stands for the address.
    Via(SocketAddr),
    /// Nowhere; the errno.
    Refused(c_int),
}

/// `connect(2)` of a socket that is not TCP.
pub(super) fn connect(socket: &impl Socket, address: SocketAddr) -> Outcome {
    match socket.kind() {
        Ok(Kind::Datagram) => match socket.way(address, Purpose::Connect) {
            Way::Direct => Outcome::Pass(Bypass::Route),
            Way::Via(at) => Outcome::ConnectTo(at),
            Way::Refused(errno) => Outcome::Fail(errno),
        },
        Ok(Kind::OtherInet) => Outcome::Fail(ENETUNREACH),
        // Not a socket at all included: the kernel says so itself.
        Ok(Kind::NotInet) | Err(_) => Outcome::Pass(Bypass::NotInet),
    }
}

/// A send with an address by a socket that is not TCP.
pub(super) fn send(socket: &impl Socket, address: SocketAddr, flags: c_int) -> Send {
    let purpose = if flags & libc::MSG_DONTWAIT != 0 { Purpose::SendAtOnce } else { Purpose::Send };
    match socket.kind() {
        // The kernel takes no datagram for port 0.
        Ok(Kind::Datagram) if address.port() == 0 => Send::Pass(Bypass::Malformed),
        Ok(Kind::Datagram) => to_send(socket.way(address, purpose)),
        Ok(Kind::OtherInet) => Send::Fail(ENETUNREACH),
        Ok(Kind::NotInet) | Err(_) => Send::Pass(Bypass::NotInet),
    }
}

pub(super) fn to_send(way: Way) -> Send {
    match way {
        Way::Direct => Send::Pass(Bypass::Route),
        Way::Via(at) => Send::Via(at),
        Way::Refused(errno) => Send::Fail(errno),
    }
}

/// What is made in place of a socket that the program asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// One of this protocol.
    Protocol(c_int),
    /// None: its packets would go round the tunnel.
    Refused(c_int, Barred),
    /// None: no kernel has such a type or protocol (EINVAL).
    Nothing,
}

/// linux/socket.h; not in libc for every target.
const AF_SMC: c_int = 43;
const AF_XDP: c_int = 44;
const SOCK_PACKET: c_int = 10;
/// All bits of a type, with what may be or-ed to it; one more than the highest type (linux/net.h).
const TYPES: c_int = 0xf;
const SOCK_MAX: c_int = 11;
/// One more than the highest protocol (linux/in.h).
const IPPROTO_MAX: c_int = IPPROTO_MPTCP + 1;

/// `socket(2)`. MPTCP sockets (RFC 8684) cannot be held, so they are made as TCP, to which they fall back
/// anyway where the peer does not speak MPTCP.
pub(crate) fn open(domain: c_int, kind: c_int, protocol: c_int) -> Opened {
    let flags = kind & !TYPES;
    let kind = kind & TYPES;
    let is_inet = matches!(domain, AF_INET | AF_INET6);
    if is_inet
        && (flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0
            || kind >= SOCK_MAX
            || !(0..IPPROTO_MAX).contains(&protocol))
    {
        return Opened::Nothing;
    }
    match domain {
        AF_PACKET | AF_XDP => Opened::Refused(EPERM, Barred::Packets),
        AF_SMC | libc::AF_RDS | libc::AF_TIPC => Opened::Refused(EAFNOSUPPORT, Barred::Transport),
        AF_INET | AF_INET6 => match (kind, protocol) {
            (SOCK_STREAM, IPPROTO_MPTCP) => Opened::Protocol(IPPROTO_TCP),
            (SOCK_STREAM, 0 | IPPROTO_TCP) | (SOCK_DGRAM, 0 | IPPROTO_UDP) => Opened::Protocol(protocol),
            (SOCK_RAW | SOCK_PACKET, _) => Opened::Refused(EPERM, Barred::Raw),
            (SOCK_DGRAM, IPPROTO_ICMP | IPPROTO_ICMPV6) => Opened::Refused(EACCES, Barred::Icmp),
            (SOCK_STREAM | SOCK_DGRAM, _) => Opened::Refused(EPROTONOSUPPORT, Barred::Transport),
            _ => Opened::Refused(ESOCKTNOSUPPORT, Barred::Transport),
        },
        _ => Opened::Protocol(protocol),
    }
}

/// What becomes of `setsockopt(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Pass,
    /// It fails with this errno.
    Refused(c_int, Option<Barred>),
    /// It fails for a datagram socket if a device is named.
    Device,
}

/// linux/udp.h
const UDP_SEGMENT: c_int = 103;
const UDP_GRO: c_int = 104;
/// linux/in.h, linux/in6.h
const IP_ADD_MEMBERSHIP: c_int = 35;
const IP_ADD_SOURCE_MEMBERSHIP: c_int = 39;
const MCAST_JOIN_GROUP: c_int = 42;
const MCAST_JOIN_SOURCE_GROUP: c_int = 46;
const IP_UNICAST_IF: c_int = 50;
const IPV6_ADD_MEMBERSHIP: c_int = 20;
const IPV6_JOIN_ANYCAST: c_int = 27;
const IPV6_UNICAST_IF: c_int = 76;
/// socket(7)
const SO_BINDTOIFINDEX: c_int = 62;

/// `setsockopt(2)`: groups are joined by packets of the kernel's own, a device would take datagrams for the
/// agent out of this machine, and a program that cannot send or receive segments at once does without.
pub(crate) fn set(level: c_int, name: c_int) -> Setting {
    match (level, name) {
        (IPPROTO_UDP, UDP_SEGMENT | UDP_GRO) => Setting::Refused(ENOPROTOOPT, None),
        (
            IPPROTO_IP,
            IP_ADD_MEMBERSHIP | IP_ADD_SOURCE_MEMBERSHIP | MCAST_JOIN_GROUP | MCAST_JOIN_SOURCE_GROUP,
        )
        | (
            IPPROTO_IPV6,
            IPV6_ADD_MEMBERSHIP | IPV6_JOIN_ANYCAST | MCAST_JOIN_GROUP | MCAST_JOIN_SOURCE_GROUP,
        ) => Setting::Refused(EPERM, Some(Barred::Groups)),
        (SOL_SOCKET, libc::SO_BINDTODEVICE | SO_BINDTOIFINDEX)
        | (IPPROTO_IP, IP_UNICAST_IF)
        | (IPPROTO_IPV6, IPV6_UNICAST_IF) => Setting::Device,
        _ => Setting::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_are_carried_are_made_and_no_others_of_the_network() {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        for domain in [AF_INET, AF_INET6] {
            assert_eq!(open(domain, SOCK_STREAM | flags, 0), Opened::Protocol(0));
            assert_eq!(open(domain, SOCK_STREAM, IPPROTO_MPTCP), Opened::Protocol(IPPROTO_TCP));
            assert_eq!(open(domain, SOCK_DGRAM | flags, IPPROTO_UDP), Opened::Protocol(IPPROTO_UDP));
            assert_eq!(open(domain, SOCK_RAW | flags, 0), Opened::Refused(EPERM, Barred::Raw));
            assert_eq!(open(domain, SOCK_DGRAM, IPPROTO_ICMP), Opened::Refused(EACCES, Barred::Icmp));
            for protocol in [libc::IPPROTO_UDPLITE, libc::IPPROTO_SCTP, libc::IPPROTO_DCCP] {
                let refused = Opened::Refused(EPROTONOSUPPORT, Barred::Transport);
                assert_eq!(open(domain, SOCK_DGRAM, protocol), refused);
                assert_eq!(open(domain, SOCK_STREAM, protocol), refused);
            }
            for (kind, protocol) in
                [(SOCK_STREAM | 0x100, 0), (15, 0), (SOCK_STREAM, -1), (SOCK_DGRAM, 300), (SOCK_RAW, 263)]
            {
                assert_eq!(open(domain, kind, protocol), Opened::Nothing, "{kind} {protocol}");
            }
            let refused = Opened::Refused(ESOCKTNOSUPPORT, Barred::Transport);
            assert_eq!(open(domain, libc::SOCK_SEQPACKET, 0), refused);
        }
        assert_eq!(open(AF_PACKET, SOCK_DGRAM, 0), Opened::Refused(EPERM, Barred::Packets));
        for domain in [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_VSOCK] {
            assert_eq!(open(domain, SOCK_RAW, 7), Opened::Protocol(7));
        }
    }

    #[test]
    fn options_that_send_or_lead_elsewhere_are_refused() {
        assert_eq!(set(IPPROTO_UDP, UDP_GRO), Setting::Refused(ENOPROTOOPT, None));
        assert_eq!(set(IPPROTO_IP, libc::IP_ADD_MEMBERSHIP), Setting::Refused(EPERM, Some(Barred::Groups)));
        let join = libc::IPV6_ADD_MEMBERSHIP;
        assert_eq!(set(IPPROTO_IPV6, join), Setting::Refused(EPERM, Some(Barred::Groups)));
        assert_eq!(set(SOL_SOCKET, libc::SO_BINDTODEVICE), Setting::Device);
        // The same numbers mean something else at other levels.
        for (level, name) in [
            (IPPROTO_TCP, UDP_GRO),
            (SOL_SOCKET, IP_ADD_MEMBERSHIP),
            (IPPROTO_IP, IPV6_ADD_MEMBERSHIP),
            (SOL_SOCKET, libc::SO_BROADCAST),
        ] {
            assert_eq!(set(level, name), Setting::Pass, "{level} {name}");
        }
    }
}
