//! What a program's socket is and allows, read from the passed copy.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use libc::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET, c_int};
use rustix::fs::OFlags;
use underpass_core::destination::canonical;
use underpass_core::failure::errno;
use underpass_core::wire::Reply;

use crate::loopback::chosen_congestion;
use crate::socket::{local_address, network_of, source_towards};
use crate::sys;

/// What decides how a socket is carried.
#[derive(Debug)]
pub(crate) struct Facts {
    /// `SO_COOKIE`: the kernel's name for the open socket.
    pub(crate) cookie: u64,
    /// An `AF_INET6` socket.
    pub(crate) ipv6: bool,
    /// `IPV6_V6ONLY`.
    pub(crate) v6_only: bool,
    /// Without `O_NONBLOCK`.
    pub(crate) blocking: bool,
    /// What it is bound to, if not to the wildcard address.
    pub(crate) bound: Option<IpAddr>,
    /// `SO_BINDTODEVICE`, to another device than loopback.
    pub(crate) device: bool,
    /// Bound to loopback, as those of the guard tier are: nothing of it leaves, and it can be held.
    pub(crate) confined: bool,
    /// `O_ASYNC`.
    signals: bool,
}

/// Why a descriptor cannot be carried at all: not TCP, or not of this network.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotTcp;

impl Facts {
    /// Reads what every attempt needs to know.
    /// A socket of another network namespace than `network` can be neither held nor handed off.
    pub(crate) fn read(socket: &OwnedFd, network: Option<u64>) -> Result<Self, NotTcp> {
        let int = |level, name| sys::option::<c_int>(socket, level, name);
        let is = |level, name| int(level, name).is_ok_and(|value| value != 0);
        let protocol = int(SOL_SOCKET, libc::SO_PROTOCOL).map_err(|_| NotTcp)?;
        if protocol != IPPROTO_TCP || network_of(socket) != network {
            return Err(NotTcp);
        }
        let flags = rustix::fs::fcntl_getfl(socket).map_err(|_| NotTcp)?;
        // A socket has an address of its own family before it has any.
        let local = local_address(socket).map_err(|_| NotTcp)?;
        let ipv6 = local.is_ipv6();
        let device = sys::bound_device(socket);
        Ok(Self {
            cookie: sys::option::<u64>(socket, SOL_SOCKET, libc::SO_COOKIE).map_err(|_| NotTcp)?,
            ipv6,
            v6_only: ipv6 && is(IPPROTO_IPV6, libc::IPV6_V6ONLY),
            blocking: !flags.contains(OFlags::NONBLOCK),
            bound: Some(canonical(local).ip()).filter(|ip| !ip.is_unspecified()),
            device: matches!(device, Some(sys::Device::Other)),
            confined: matches!(device, Some(sys::Device::Loopback)),
            signals: flags.contains(OFlags::from_bits_retain(libc::O_ASYNC as u32)),
        })
    }

    /// Whether the agent may drive this socket through a handshake without the program noticing.
    ///
    /// Meanwhile SIGIO, a low-water mark or a cork would show or spoil it, and TCP_FASTOPEN_CONNECT
    /// would defer the connection to the first write. SO_SNDTIMEO bounds `connect()`, which the kernel
    /// does right for a held socket.
    pub(crate) fn allows_handoff(&self, socket: &OwnedFd, watched: bool) -> bool {
        let int = |level, name| sys::option::<c_int>(socket, level, name);
        let is = |level, name| int(level, name).is_ok_and(|value| value != 0);
        self.blocking
            && !watched
            && !self.signals
            && self.bound.is_none()
            && !sys::has_send_timeout(socket)
            && !is(IPPROTO_TCP, libc::TCP_CORK)
            && !is(IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT)
            && int(SOL_SOCKET, libc::SO_RCVLOWAT).is_ok_and(|mark| mark == 1)
    }

    /// The address under which this socket reaches `hop`; `None` if its family cannot.
    pub(crate) fn reachable(&self, hop: SocketAddr) -> Option<SocketAddr> {
        match (hop, self.ipv6) {
            (SocketAddr::V4(_), false) => Some(hop),
            (SocketAddr::V4(v4), true) if !self.v6_only => {
                Some(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
            }
            (SocketAddr::V6(_), true) => Some(hop),
            _ => None,
        }
    }

    /// The local address that the program may be shown: that of the connection that leaves, or, where
    /// an IPv4 socket leaves by IPv6, the one that this machine would use towards `peer`.
    pub(crate) fn showable(&self, local: Option<SocketAddr>, peer: SocketAddr) -> Option<SocketAddr> {
        match local {
            Some(local) if local.is_ipv6() && !self.ipv6 => source_towards(peer),
            local => local,
        }
    }

    /// The answer where the kernel refuses such an address of this socket by itself, and sends nothing (ip(7), ipv6(7)).
    pub(crate) fn mismatch(&self, address: SocketAddr) -> Option<Reply<'static>> {
        match address {
            // EINVAL or EAFNOSUPPORT, by the length that was given: of the kernel's own.
            SocketAddr::V4(_) if self.ipv6 => Some(Reply::Direct),
            SocketAddr::V6(_) if !self.ipv6 => Some(Reply::Refuse { errno: errno::EAFNOSUPPORT }),
            // Another thread may make it a socket of both meanwhile.
            SocketAddr::V6(v6) if self.v6_only && v6.ip().to_ipv4_mapped().is_some() => {
                Some(Reply::Refuse { errno: errno::ENETUNREACH })
            }
            _ => None,
        }
    }

    /// Whether the socket can only be held at an IPv6 address: it does not speak IPv4.
    pub(crate) fn needs_ipv6_hold(&self) -> bool {
        self.ipv6
            && (self.v6_only || self.bound.is_some_and(|ip| ip.is_ipv6() && ip != Ipv6Addr::UNSPECIFIED))
    }
}

/// What the program set on its socket to watch and to mark the far end. It concerns the connection
/// that really goes there.
#[derive(Debug, Default)]
pub(crate) struct FarOptions {
    keepalive: Option<socket2::TcpKeepalive>,
    user_timeout: Option<Duration>,
    congestion: Option<String>,
    tos: Option<c_int>,
    traffic_class: Option<c_int>,
}

impl FarOptions {
    /// Reads them from the copy; what cannot be read was not set.
    pub(crate) fn read(socket: &OwnedFd, facts: &Facts) -> Self {
        let set = |level, name| sys::option::<c_int>(socket, level, name).ok().filter(|&value| value > 0);
        let seconds = |name| set(IPPROTO_TCP, name).map(|s| Duration::from_secs(s.unsigned_abs().into()));
        let keepalive = set(SOL_SOCKET, libc::SO_KEEPALIVE).map(|_| {
            let mut keepalive = socket2::TcpKeepalive::new();
            if let Some(idle) = seconds(libc::TCP_KEEPIDLE) {
                keepalive = keepalive.with_time(idle);
            }
            if let Some(interval) = seconds(libc::TCP_KEEPINTVL) {
                keepalive = keepalive.with_interval(interval);
            }
            match set(IPPROTO_TCP, libc::TCP_KEEPCNT) {
                Some(count) => keepalive.with_retries(count.unsigned_abs()),
                None => keepalive,
            }
        });
        Self {
            keepalive,
            user_timeout: set(IPPROTO_TCP, libc::TCP_USER_TIMEOUT)
                .map(|ms| Duration::from_millis(ms.unsigned_abs().into())),
            congestion: chosen_congestion(socket),
            tos: set(IPPROTO_IP, libc::IP_TOS),
            traffic_class: if facts.ipv6 { set(IPPROTO_IPV6, libc::IPV6_TCLASS) } else { None },
        }
    }

    /// Whether the program has chosen its congestion control.
    pub(crate) fn has_congestion(&self) -> bool {
        self.congestion.is_some()
    }

    /// Applies them to the agent's socket. TCP_NODELAY is always set: the program's own choice has
    /// taken effect on its leg, and a second Nagle would only add delay.
    pub(crate) fn apply(&self, socket: &socket2::Socket, ipv6: bool) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        if let Some(keepalive) = &self.keepalive {
            socket.set_tcp_keepalive(keepalive)?;
        }
        if let Some(timeout) = self.user_timeout {
            socket.set_tcp_user_timeout(Some(timeout))?;
        }
        if let Some(chosen) = &self.congestion {
            // One that only root may use cannot have been chosen by a program that is not (tcp(7)).
            let _ = rustix::net::sockopt::set_tcp_congestion(socket, chosen);
        }
        let mark = self.traffic_class.or(self.tos);
        match (mark, ipv6) {
            (Some(mark), true) => sys::set_option(socket, IPPROTO_IPV6, libc::IPV6_TCLASS, mark),
            (Some(mark), false) => sys::set_option(socket, IPPROTO_IP, libc::IP_TOS, mark),
            (None, _) => Ok(()),
        }
    }
}
