//! What a program's datagram socket is, read from the passed copy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use libc::{IPPROTO_IPV6, IPPROTO_UDP, SOL_SOCKET, c_int};
use rustix::fs::OFlags;
use underpass_core::destination::canonical;
use underpass_core::failure::{Failure, errno};
use underpass_core::wire::AT;

use crate::socket::{local_address, network_of};
use crate::sys;

/// What decides how its datagrams are carried.
pub(super) struct Facts {
    /// `SO_COOKIE`: the kernel's name for the open socket.
    pub(super) cookie: u64,
    /// Without `O_NONBLOCK`.
    pub(super) blocking: bool,
    /// What it is bound to, in canonical form; the port is never 0.
    pub(super) local: SocketAddr,
    /// Bound to loopback by the program.
    pub(super) stays_here: bool,
    pub(super) is_connected: bool,
    ipv6: bool,
    v6_only: bool,
}

const NOT_CARRIED: Failure = Failure::Socket("it is no UDP socket of this network");

impl Facts {
    /// Reads them. A socket that has no port yet gets one, as the kernel would give it with the first
    /// datagram.
    pub(super) fn read(socket: &OwnedFd, network: Option<u64>) -> Result<Self, Failure> {
        let int = |level, name| sys::option::<c_int>(socket, level, name);
        let not_carried = |_| NOT_CARRIED;
        let protocol = int(SOL_SOCKET, libc::SO_PROTOCOL).map_err(not_carried)?;
        let domain = int(SOL_SOCKET, libc::SO_DOMAIN).map_err(not_carried)?;
        let is_inet = matches!(domain, libc::AF_INET | libc::AF_INET6);
        if protocol != IPPROTO_UDP || !is_inet || network_of(socket) != network {
            return Err(NOT_CARRIED);
        }
        if sys::bound_device(socket).is_some() {
            return Err(Failure::Socket("datagrams of a socket that is bound to a device are not carried"));
        }
        let flags = rustix::fs::fcntl_getfl(socket).map_err(|_| NOT_CARRIED)?;
        let ipv6 = domain == libc::AF_INET6;
        let local = named(socket).map_err(not_carried)?;
        let is_connected = rustix::net::getpeername(socket).is_ok_and(|peer| peer.is_some());
        Ok(Self {
            cookie: sys::option::<u64>(socket, SOL_SOCKET, libc::SO_COOKIE).map_err(not_carried)?,
            blocking: !flags.contains(OFlags::NONBLOCK),
            stays_here: local.ip().is_loopback() && !is_connected,
            is_connected,
            local,
            ipv6,
            v6_only: ipv6 && int(IPPROTO_IPV6, libc::IPV6_V6ONLY).is_ok_and(|only| only != 0),
        })
    }

    /// Of a socket of the agent's own, which is bound to an address: whoever it is for may send anywhere.
    pub(super) fn own(cookie: u64, local: SocketAddr) -> Self {
        let local = canonical(local);
        let (blocking, stays_here, is_connected) = (false, false, false);
        Self { cookie, blocking, local, stays_here, is_connected, ipv6: true, v6_only: false }
    }

    /// What the kernel refuses of this socket by itself (ip(7), ipv6(7)). A socket of IPv6 takes addresses of IPv4, too, unless it is
    /// for IPv6 alone.
    pub(super) fn mismatch(&self, given: SocketAddr, connects: bool) -> Option<Failure> {
        match given {
            SocketAddr::V6(_) if !self.ipv6 => Some(errno::EAFNOSUPPORT),
            SocketAddr::V4(_) if self.v6_only && connects => Some(errno::EAFNOSUPPORT),
            _ => None,
        }
        .map(Failure::Dial)
    }

    /// On which address the `at` for `to` is; an error where the kernel would not let the program send there.
    pub(super) fn loopback_for(&self, to: SocketAddr) -> Result<IpAddr, Failure> {
        let (v4, v6) = (IpAddr::V4(AT), IpAddr::V6(Ipv6Addr::LOCALHOST));
        if to.is_ipv6() && !self.ipv6 {
            return Err(Failure::Dial(errno::EAFNOSUPPORT));
        }
        if to.is_ipv4() && self.v6_only {
            return Err(Failure::Dial(errno::ENETUNREACH));
        }
        Ok(match self.local.ip() {
            IpAddr::V4(ip) if !ip.is_unspecified() => v4,
            IpAddr::V6(ip) if !ip.is_unspecified() => v6,
            _ if to.is_ipv6() => v6,
            _ => v4,
        })
    }
}

/// Where the program's socket is reached from `at`.
pub(super) fn program_end(local: SocketAddr, at: IpAddr) -> SocketAddr {
    match at {
        _ if !local.ip().is_unspecified() => local,
        IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, local.port()).into(),
        IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, local.port()).into(),
    }
}

/// The name of a socket, which is given a port if it has none.
fn named(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let local = local_address(socket)?;
    if local.port() != 0 {
        return Ok(canonical(local));
    }
    // A thread of the program's may be faster; then it has a port all the same.
    let _ = rustix::net::bind(socket, &local);
    local_address(socket).map(canonical)
}

/// The address that this machine would send from. Connecting a datagram socket sends nothing (udp(7)).
pub(super) fn local_towards(to: SocketAddr) -> Option<SocketAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let scratch = UdpSocket::bind((any, 0)).ok()?;
    scratch.connect(to).ok()?;
    scratch.local_addr().ok()
}
