//! A listener that never answers, and its port.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

use libc::{IPPROTO_IP, IPPROTO_IPV6};
use socket2::{Domain, Protocol, Socket, Type};

use crate::socket::local_address;
use crate::sys;

/// ip(7); not in libc for every target.
const IP_MINTTL: i32 = 21;
/// ipv6(7), linux/in6.h.
const IPV6_MINHOPCOUNT: i32 = 73;
/// The TTL that only a sender on this machine can still have: nothing has forwarded it.
pub(super) const TTL: i32 = 255;
/// Ports that the kernel gives nobody by itself, unless it is told to (ip(7), ip_local_port_range).
const SPARE: RangeInclusive<u16> = 61_000..=65_535;

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) listening: Socket,
    pub(super) filler: Socket,
    /// A successor has it, too.
    pub(super) is_given: bool,
}

impl Listener {
    pub(super) fn new(ip: IpAddr) -> io::Result<Self> {
        let listening = anywhere(ip)?;
        listening.listen(0)?;
        let address = listening.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let filler = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        filler.connect(&address.into())?;
        match ip {
            IpAddr::V4(_) => sys::set_option(&listening, IPPROTO_IP, IP_MINTTL, TTL)?,
            IpAddr::V6(_) => sys::set_option(&listening, IPPROTO_IPV6, IPV6_MINHOPCOUNT, TTL)?,
        }
        Ok(Self { address, listening, filler, is_given: false })
    }

    /// A predecessor's.
    pub(super) fn inherited(listening: OwnedFd, filler: OwnedFd) -> io::Result<Self> {
        let address = local_address(&listening)?;
        Ok(Self { address, listening: listening.into(), filler: filler.into(), is_given: false })
    }
}

/// Bound to a port of its own. Where sockets that are held have all that the kernel would give, it is one that it does
/// not: it lets nobody listen at a port from which somebody is connected.
fn anywhere(ip: IpAddr) -> io::Result<Socket> {
    let socket = |address| Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
    let address = SocketAddr::new(ip, 0);
    let taken = match bind(socket(address)?, address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        bound => return bound,
    };
    for port in SPARE.rev() {
        let address = SocketAddr::new(ip, port);
        // Others of this user's may share theirs; that would be no port of its own.
        if socket(address)?.bind(&address.into()).is_ok() {
            return bind(socket(address)?, address);
        }
    }
    Err(taken)
}

/// Binds beside others that are bound to the same address.
pub(super) fn bind(socket: Socket, address: SocketAddr) -> io::Result<Socket> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
