//! Where sockets are held in the namespace, and what completes them: as the agent has it in its own network
//! (`tunnel-agent/src/hold.rs`), which says why.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use libc::{AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOCK_STREAM};
use rustix::net::sockopt::{set_socket_reuseaddr, set_socket_reuseport};

use super::system;
use crate::guard::datagram::namespace::Namespace;

/// ip(7), linux/in6.h; not in libc for every target.
const IP_MINTTL: i32 = 21;
const IPV6_MINHOPCOUNT: i32 = 73;
/// More than any sender has but one on this machine that says so.
const TTL: i32 = 255;
/// Connections at one address: there are some 28,000 ports to come from.
const AT_ONE: u32 = 16_384;
/// Addresses that are kept for what is still held there.
const KEPT: usize = 4;

/// By family.
#[derive(Debug, Default)]
pub(super) struct Holds([Vec<Hold>; 2]);

/// A listener that never answers.
#[derive(Debug)]
struct Hold {
    address: SocketAddr,
    used: u32,
    _listening: OwnedFd,
    _filler: OwnedFd,
}

impl Hold {
    fn new(namespace: &Namespace, ipv6: bool) -> io::Result<Self> {
        let any: SocketAddr =
            if ipv6 { (Ipv6Addr::LOCALHOST, 0).into() } else { (Ipv4Addr::LOCALHOST, 0).into() };
        let listening = bound(namespace, any)?;
        rustix::net::listen(&listening, 0)?;
        let address = SocketAddr::try_from(rustix::net::getsockname(&listening)?)
            .map_err(|_| io::ErrorKind::AddrNotAvailable)?;
        let filler = stream(namespace, address)?;
        rustix::net::connect(&filler, &address)?;
        let (level, name) = if ipv6 { (IPPROTO_IPV6, IPV6_MINHOPCOUNT) } else { (IPPROTO_IP, IP_MINTTL) };
        system::set(&listening, level, name, TTL)?;
        Ok(Self { address, used: 0, _listening: listening, _filler: filler })
    }
}

impl Holds {
    /// A socket that completes one, bound to where that is to be held.
    pub(super) fn completing(&mut self, namespace: &Namespace, ipv6: bool) -> io::Result<OwnedFd> {
        let holds = &mut self.0[usize::from(ipv6)];
        if holds.last().is_none_or(|newest| newest.used >= AT_ONE) {
            holds.push(Hold::new(namespace, ipv6)?);
            if holds.len() > KEPT {
                holds.remove(0);
            }
        }
        let newest = holds.last_mut().ok_or(io::ErrorKind::AddrNotAvailable)?;
        newest.used += 1;
        bound(namespace, newest.address)
    }
}

fn stream(namespace: &Namespace, address: SocketAddr) -> io::Result<OwnedFd> {
    namespace.socket(if address.is_ipv4() { AF_INET } else { AF_INET6 }, SOCK_STREAM, IPPROTO_TCP)
}

/// Beside others that are bound there.
fn bound(namespace: &Namespace, address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = stream(namespace, address)?;
    set_socket_reuseaddr(&socket, true)?;
    set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_completes_is_bound_where_nobody_answers() {
        let (namespace, bare) = Namespace::for_program().unwrap();
        bare.lay().unwrap();
        let mut holds = Holds::default();
        for ipv6 in [false, true] {
            let completing = holds.completing(&namespace, ipv6).unwrap();
            let at = SocketAddr::try_from(rustix::net::getsockname(&completing).unwrap()).unwrap();
            assert_eq!(at, holds.0[usize::from(ipv6)][0].address);
            let program = stream(&namespace, at).unwrap();
            rustix::io::ioctl_fionbio(&program, true).unwrap();
            assert_eq!(rustix::net::connect(&program, &at), Err(rustix::io::Errno::INPROGRESS));
            assert_eq!(rustix::net::connect(&program, &at), Err(rustix::io::Errno::ALREADY));
        }
    }
}
