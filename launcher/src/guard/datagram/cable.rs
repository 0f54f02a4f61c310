//! What is in the namespace: loopback, and a cable by which everything else leaves it.
//!
//! The cable is a pair of virtual cards, both in there: what a program sends goes into `v0`, and comes out of `v1`, where
//! the pump takes it. The stack behind `v1` never answers, since it is not for its hardware address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::OwnedFd;

use libc::{
    AF_INET, AF_INET6, IFA_ADDRESS, IFA_F_NODAD, IFA_LOCAL, IFF_NOARP, IFF_UP, IFLA_ADDRESS, IFLA_IFNAME,
    IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MTU, IPPROTO_ICMP, IPPROTO_ICMPV6, NLM_F_CREATE,
    NLM_F_EXCL, RT_SCOPE_HOST, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTA_OIF,
    RTA_PREFSRC, RTM_DELRULE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, RTM_NEWRULE, RTN_LOCAL, RTN_UNICAST,
    RTPROT_STATIC, c_int,
};

use super::netlink::Message;

/// The index of loopback, in every namespace.
pub(crate) const LOOPBACK: u32 = 1;
const V0: u32 = 2;
/// The end at which the pump is.
pub(crate) const V1: u32 = 3;
/// Hardware addresses, which are no vendor's.
pub(super) const V0_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(super) const V1_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The addresses that the end has which programs send from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Own {
    /// Those of this machine outside, as far as it has any: a program that asks for the address of its socket finds the
    /// one that it knows.
    pub(crate) fn of_this_machine() -> Self {
        // Connecting a datagram socket looks up the route and sends nothing (udp(7)). The destinations are of nobody.
        let towards = |any: IpAddr, to: IpAddr| {
            let socket = UdpSocket::bind((any, 0)).ok()?;
            socket.connect((to, 9)).ok()?;
            Some(socket.local_addr().ok()?.ip())
        };
        let v4 = towards(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
        let v6 = towards(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
        Self {
            v4: match v4 {
                Some(IpAddr::V4(ip)) if !ip.is_loopback() => ip,
                // Of who has none (RFC 7600).
                _ => Ipv4Addr::new(192, 0, 0, 8),
            },
            v6: match v6 {
                Some(IpAddr::V6(ip)) if !ip.is_loopback() && !ip.is_unicast_link_local() => ip,
                // A local one: programs prefer IPv4.
                _ => Ipv6Addr::new(0xfd75, 0x6e64, 0x6572, 0, 0, 0, 0, 8),
            },
        }
    }

    /// Whether the kernel takes what is for this address for its own, and never sends it by the cable.
    pub(super) fn is_within(self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip == self.v4 || ip == self.v6
    }

    fn bytes(self, family: c_int) -> (u8, Vec<u8>) {
        if family == AF_INET { (32, self.v4.octets().to_vec()) } else { (128, self.v6.octets().to_vec()) }
    }
}

/// No datagram is cut up on its way.
const MTU: u32 = 65_535;

/// linux/if_link.h, linux/veth.h, linux/fib_rules.h; not in libc for every target.
const IFLA_GSO_MAX_SEGS: u16 = 40;
const VETH_INFO_PEER: u16 = 1;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_IP_PROTO: u16 = 22;
const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_BLACKHOLE: u8 = 6;

/// The table of what comes by the cable.
const ARRIVING: u8 = 100;

/// Lays it. IPv6 is left out where the machine has none.
pub(super) fn lay(route: &OwnedFd, own: Own) -> io::Result<()> {
    lay_dead_end(route, own)?;
    for family in [AF_INET, AF_INET6] {
        let laid = rules(family).into_iter().try_for_each(|message| message.done(route));
        if family == AF_INET {
            laid?;
        }
    }
    Ok(())
}

/// Lays a cable into which everything goes that is for elsewhere, and from which nothing comes. IPv6 is left out where the
/// machine has none.
pub(crate) fn lay_dead_end(route: &OwnedFd, own: Own) -> io::Result<()> {
    cards().done(route)?;
    for index in [V1, V0, LOOPBACK] {
        up(index).done(route)?;
    }
    for family in [AF_INET, AF_INET6] {
        let own = own.bytes(family);
        let way = default_way(family, RT_TABLE_MAIN, RTN_UNICAST, V0).with(RTA_PREFSRC, &own.1);
        let laid = address(family, &own).done(route).and_then(|()| way.done(route));
        if family == AF_INET {
            laid?;
        }
    }
    Ok(())
}

fn rules(family: c_int) -> [Message; 5] {
    [
        // Whatever address a program is bound to, what comes by the cable is for it.
        default_way(family, ARRIVING, RTN_LOCAL, LOOPBACK),
        // The kernel does not say that nobody listens on loopback: the machine outside may have somebody who does. What
        // the pump says there is for the kernel no ICMP: it goes by a raw socket with a head of its own.
        rule(family, 1, FR_ACT_BLACKHOLE, 0).with(FRA_IIFNAME, b"lo\0").with(FRA_IP_PROTO, &[icmp(family)]),
        rule(family, 2, FR_ACT_TO_TBL, RT_TABLE_LOCAL),
        rule(family, 3, FR_ACT_TO_TBL, ARRIVING).with(FRA_IIFNAME, b"v0\0"),
        rule_message(RTM_DELRULE, 0, family, 0, FR_ACT_TO_TBL, RT_TABLE_LOCAL),
    ]
}

fn icmp(family: c_int) -> u8 {
    (if family == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 }) as u8
}

/// `struct ifinfomsg`
fn card(index: u32, flags: c_int) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn cards() -> Message {
    let named = |message: Message, name: &[u8], address: &[u8]| {
        // A datagram that a program has the kernel cut up (UDP_SEGMENT) is cut up before the pump sees it.
        message
            .with(IFLA_IFNAME, name)
            .with(IFLA_ADDRESS, address)
            .number(IFLA_MTU, MTU)
            .number(IFLA_GSO_MAX_SEGS, 1)
    };
    let both = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &card(V0, IFF_NOARP));
    named(both, b"v0\0", &V0_ADDRESS).nest(IFLA_LINKINFO, |kind| {
        kind.with(IFLA_INFO_KIND, b"veth").nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |peer| named(peer.raw(&card(V1, IFF_NOARP)), b"v1\0", &V1_ADDRESS))
        })
    })
}

fn up(index: u32) -> Message {
    Message::new(RTM_NEWLINK, 0, &card(index, IFF_UP)).number(IFLA_GSO_MAX_SEGS, 1)
}

fn address(family: c_int, (bits, ip): &(u8, Vec<u8>)) -> Message {
    let index = V0.to_ne_bytes();
    // struct ifaddrmsg
    let head =
        [family as u8, *bits, IFA_F_NODAD as u8, RT_SCOPE_UNIVERSE, index[0], index[1], index[2], index[3]];
    Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head).with(IFA_LOCAL, ip).with(IFA_ADDRESS, ip)
}

fn default_way(family: c_int, table: u8, kind: u8, index: u32) -> Message {
    let scope = match (family, kind) {
        (AF_INET, RTN_LOCAL) => RT_SCOPE_HOST,
        (AF_INET, _) => RT_SCOPE_LINK,
        _ => RT_SCOPE_UNIVERSE,
    };
    // struct rtmsg
    let head = [family as u8, 0, 0, 0, table, RTPROT_STATIC, scope, kind, 0, 0, 0, 0];
    Message::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &head).number(RTA_OIF, index)
}

fn rule(family: c_int, priority: u32, action: u8, table: u8) -> Message {
    rule_message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, priority, action, table)
}

fn rule_message(kind: u16, flags: c_int, family: c_int, priority: u32, action: u8, table: u8) -> Message {
    // struct fib_rule_hdr
    let head = [family as u8, 0, 0, 0, table, 0, 0, action, 0, 0, 0, 0];
    Message::new(kind, flags, &head).number(FRA_PRIORITY, priority)
}
