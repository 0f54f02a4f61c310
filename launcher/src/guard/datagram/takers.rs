//! Who takes a datagram on loopback: asked of the kernel, one by one (sock_diag(7)), in the very way in which it looks for
//! a socket itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use libc::{AF_INET, AF_INET6, AF_NETLINK, IPPROTO_UDP, SOCK_RAW};

use super::namespace::Namespace;
use super::netlink::{Answer, Message};
use super::packet::Ends;

/// linux/sock_diag.h, linux/netlink.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NETLINK_SOCK_DIAG: i32 = 4;

/// The sockets of the namespace.
pub(super) struct Takers(OwnedFd);

impl Takers {
    pub(super) fn new(namespace: &Namespace) -> io::Result<Self> {
        namespace.socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG).map(Self)
    }

    /// Whether a socket takes what has these ends. Where the kernel does not tell, one does.
    pub(super) fn take(&self, ends: Ends) -> bool {
        !matches!(self.ask(ends), Ok(Answer::Errno(libc::ENOENT)))
    }

    /// The kernel's name for the socket that does (`SO_COOKIE`).
    pub(super) fn cookie(&self, ends: Ends) -> Option<u64> {
        match self.ask(ends) {
            // struct inet_diag_msg
            Ok(Answer::Other(bytes)) => Some(u64::from_ne_bytes(*bytes.get(44..)?.first_chunk()?)),
            _ => None,
        }
    }

    fn ask(&self, ends: Ends) -> io::Result<Answer> {
        Message::new(SOCK_DIAG_BY_FAMILY, 0, &request(ends)).asked(&self.0)
    }
}

/// `struct inet_diag_req_v2`. What it calls the source is the sender.
fn request(ends: Ends) -> [u8; 56] {
    let mut bytes = [0; 56];
    bytes[0] = (if ends.to.is_ipv4() { AF_INET } else { AF_INET6 }) as u8;
    bytes[1] = IPPROTO_UDP as u8;
    // In all states.
    bytes[4..8].fill(0xff);
    bytes[8..10].copy_from_slice(&ends.from.port().to_be_bytes());
    bytes[10..12].copy_from_slice(&ends.to.port().to_be_bytes());
    put(ends.from, &mut bytes[12..28]);
    put(ends.to, &mut bytes[28..44]);
    // Without a cookie.
    bytes[48..].fill(0xff);
    bytes
}

fn put(address: SocketAddr, room: &mut [u8]) {
    match address.ip() {
        IpAddr::V4(ip) => room[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => room.copy_from_slice(&ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    #[test]
    fn a_bound_socket_takes_datagrams_and_a_connected_one_those_of_its_peer() {
        let namespace = Namespace::new().unwrap();
        let takers = Takers::new(&namespace).unwrap();
        for (domain, host) in [(AF_INET, "127.0.0.1"), (AF_INET6, "[::1]")] {
            let address = |port: u16| format!("{host}:{port}").parse::<SocketAddr>().unwrap();
            let ends = Ends { from: address(40_000), to: address(5353) };
            assert!(!takers.take(ends));
            let socket = namespace.socket(domain, libc::SOCK_DGRAM, 0).unwrap();
            rustix::net::bind(&socket, &address(5353)).unwrap();
            assert!(takers.take(ends));
            let cookie = kernel::option::<u64>(&socket, libc::SOL_SOCKET, libc::SO_COOKIE).unwrap();
            assert_eq!(takers.cookie(ends), Some(cookie));
            rustix::net::connect(&socket, &address(40_001)).unwrap();
            assert!(!takers.take(ends));
            assert!(takers.take(Ends { from: address(40_001), ..ends }));
        }
    }
}
