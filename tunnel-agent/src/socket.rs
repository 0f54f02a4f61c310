//! What the kernel says of a socket, and a connect that does not wait.
#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use libc::{SOL_SOCKET, c_int};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::sys;

/// The kernel's name for the network namespace of a socket, where it has one (SO_NETNS_COOKIE, Linux 5.14).
pub(crate) fn network_of(socket: &OwnedFd) -> Option<u64> {
    const SO_NETNS_COOKIE: c_int = 71;
    sys::option::<u64>(socket, SOL_SOCKET, SO_NETNS_COOKIE).ok()
}

/// The kernel's name for the open socket (SO_COOKIE, socket(7)).
pub(crate) fn cookie_of(socket: &OwnedFd) -> Option<u64> {
    sys::option::<u64>(socket, SOL_SOCKET, libc::SO_COOKIE).ok()
}

/// `getsockname`, of IPv4 and IPv6 alone.
pub(crate) fn local_address(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let address = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(address).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `getpeername`, of IPv4 and IPv6 alone; an error if it is connected with nobody.
pub(crate) fn remote_address(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let address = rustix::net::getpeername(socket)?.ok_or(io::ErrorKind::NotConnected)?;
    SocketAddr::try_from(address).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The address that this machine leaves from towards another, if there is a way.
pub(crate) fn source_towards(to: SocketAddr) -> Option<SocketAddr> {
    let any: IpAddr = if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    // Connecting a datagram socket looks up the route and sends nothing (udp(7)).
    let probe = UdpSocket::bind((any, 0)).ok()?;
    probe.connect(to).ok()?;
    probe.local_addr().ok()
}

/// `connect()` with O_NONBLOCK set for no longer than the call, since the flag is the program's too.
/// `INPROGRESS` if the connection takes longer than that.
pub(crate) fn connect_without_waiting(copy: &impl AsFd, to: &SocketAddr) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(copy)?;
    rustix::fs::fcntl_setfl(copy, flags | OFlags::NONBLOCK)?;
    let connected = connect_nonblocking(copy, to);
    rustix::fs::fcntl_setfl(copy, flags)?;
    connected
}

/// `connect()` of a non-blocking socket. Success at once if the other end is on this machine.
pub(crate) fn connect_nonblocking(socket: &impl AsFd, to: &SocketAddr) -> Result<(), Errno> {
    match rustix::net::connect(socket, to) {
        Err(Errno::INPROGRESS) => {}
        other => return other,
    }
    // On this machine the other end has answered by now, and the second call says so.
    match rustix::net::connect(socket, to) {
        Err(Errno::ALREADY) => Err(Errno::INPROGRESS),
        Err(Errno::ISCONN) => Ok(()),
        other => other,
    }
}
