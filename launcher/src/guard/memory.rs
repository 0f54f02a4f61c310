//! What is read from a program's memory, once, and written to it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use libc::{AF_INET, AF_INET6, AF_UNIX};
use rustix::io::Errno;
use underpass_core::resolver_socket::is_resolver;

use super::notification::Notification;
use crate::kernel::{read_memory, write_memory};

/// `struct sockaddr_in`, `struct sockaddr_in6`.
const V4: usize = 16;
const V6: usize = 28;
/// The kernel takes a `sockaddr_in6` without its scope (RFC 2133).
const V6_LEAST: usize = 24;
/// `struct sockaddr_un`: the family, and a path of at most 108 bytes.
const UNIX: usize = 110;
/// The longest that connect(2) takes: `struct sockaddr_storage`.
const LONGEST: usize = 128;

/// An address as a program gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Inet(SocketAddr),
    /// A Unix socket at which names are looked up.
    Resolver,
    /// `AF_UNSPEC`, another family, or what the kernel refuses by itself.
    Other,
}

/// Reads the address of a call.
pub(crate) fn address(call: &Notification, pointer: u64, len: i32) -> Result<Given, Errno> {
    let Some(len) = usize::try_from(len).ok().filter(|len| (2..=LONGEST).contains(len)) else {
        return Ok(Given::Other);
    };
    // One byte more shows that a path is too long for the kernel.
    let mut bytes = [0; UNIX + 1];
    let room = &mut bytes[..len.min(UNIX + 1)];
    read_memory(call.thread, pointer, room)?;
    Ok(parse(room))
}

/// Whether the caller does not let itself be looked at (prctl(2), `PR_SET_DUMPABLE`): not even an address can be read of it.
pub(crate) fn is_hidden(call: &Notification) -> bool {
    read_memory(call.thread, call.pointer(1), &mut [0]) == Err(Errno::PERM)
}

/// Reads the address of a call, of whatever family, whole.
pub(crate) fn address_bytes(call: &Notification, pointer: u64, len: i32) -> Result<Box<[u8]>, Errno> {
    let len = usize::try_from(len).ok().filter(|&len| len <= LONGEST).ok_or(Errno::INVAL)?;
    let mut bytes = vec![0; len];
    if len > 0 {
        read_memory(call.thread, pointer, &mut bytes)?;
    }
    Ok(bytes.into())
}

pub(crate) fn parse(bytes: &[u8]) -> Given {
    let field = |from: usize| bytes.get(from..from + 2).map(|two| [two[0], two[1]]);
    let (Some(family), port) = (field(0).map(u16::from_ne_bytes), field(2).map(u16::from_be_bytes)) else {
        return Given::Other;
    };
    match (i32::from(family), port) {
        (AF_INET, Some(port)) if bytes.len() >= V4 => {
            let ip: [u8; 4] = std::array::from_fn(|i| bytes[4 + i]);
            Given::Inet((Ipv4Addr::from(ip), port).into())
        }
        (AF_INET6, Some(port)) if bytes.len() >= V6_LEAST => {
            let ip: [u8; 16] = std::array::from_fn(|i| bytes[8 + i]);
            let flow: [u8; 4] = std::array::from_fn(|i| bytes[4 + i]);
            let scope: [u8; 4] = std::array::from_fn(|i| bytes.get(24 + i).copied().unwrap_or(0));
            let (flow, scope) = (u32::from_be_bytes(flow), u32::from_ne_bytes(scope));
            Given::Inet(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into())
        }
        (AF_UNIX, _) if bytes.len() <= UNIX && is_resolver(&bytes[2..]) => Given::Resolver,
        _ => Given::Other,
    }
}

/// An address as the kernel would write it for a socket of this family.
fn bytes_of(address: SocketAddr, ipv6: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(V6);
    match (address, ipv6) {
        (SocketAddr::V4(v4), false) => {
            bytes.extend((AF_INET as u16).to_ne_bytes());
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.extend([0; 8]);
        }
        (address, _) => {
            let (ip, flow, scope) = match address {
                SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0, 0),
                SocketAddr::V6(v6) => (*v6.ip(), v6.flowinfo(), v6.scope_id()),
            };
            bytes.extend((AF_INET6 as u16).to_ne_bytes());
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(flow.to_be_bytes());
            bytes.extend(ip.octets());
            bytes.extend(scope.to_ne_bytes());
        }
    }
    bytes
}

/// An `int` of the program's.
pub(crate) fn int(call: &Notification, pointer: u64) -> Result<i32, Errno> {
    let mut bytes = [0; 4];
    read_memory(call.thread, pointer, &mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// Writes an address as getpeername(2) does: as much as there is room for, and its whole length.
pub(crate) fn write_address(
    call: &Notification,
    (pointer, len_pointer, room): (u64, u64, usize),
    address: SocketAddr,
    ipv6: bool,
) -> Result<(), Errno> {
    let bytes = bytes_of(address, ipv6);
    write_memory(call.thread, pointer, &bytes[..bytes.len().min(room)])?;
    write_memory(call.thread, len_pointer, &(bytes.len() as u32).to_ne_bytes())
}

/// Writes an option's value as getsockopt(2) does.
pub(crate) fn write_option(
    call: &Notification,
    (pointer, len_pointer, room): (u64, u64, usize),
    value: i32,
) -> Result<(), Errno> {
    let bytes = value.to_ne_bytes();
    let bytes = &bytes[..bytes.len().min(room)];
    write_memory(call.thread, pointer, bytes)?;
    write_memory(call.thread, len_pointer, &(bytes.len() as u32).to_ne_bytes())
}

/// Writes the numbers of a pair as socketpair(2) does.
pub(crate) fn write_pair(call: &Notification, pointer: u64, [one, other]: [i32; 2]) -> Result<(), Errno> {
    let [one, other] = [one, other].map(i32::to_ne_bytes);
    write_memory(call.thread, pointer, &[one, other].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_the_kernel_reads_it() {
        for text in ["10.1.2.3:4", "[fd00::1]:5", "[fe80::1%9]:6", "[::ffff:10.1.2.3]:7"] {
            let address: SocketAddr = text.parse().unwrap();
            let bytes = bytes_of(address, address.is_ipv6());
            assert_eq!(parse(&bytes), Given::Inet(address));
            // Longer ones are as good, shorter ones are not.
            assert_eq!(parse(&[&bytes[..], &[1]].concat()), Given::Inet(address));
            assert_eq!(parse(&bytes[..15]), Given::Other);
        }
        let short = &bytes_of("[fe80::1%9]:6".parse().unwrap(), true)[..V6_LEAST];
        assert_eq!(parse(short), Given::Inet("[fe80::1]:6".parse().unwrap()));
        assert_eq!(parse(&[0, 0]), Given::Other);
        assert_eq!(parse(&[1]), Given::Other);
        assert_eq!(parse(&[1; 16]), Given::Other);
    }

    #[test]
    fn a_resolver_is_told_from_other_unix_sockets() {
        let named = |path: &str, len: usize| {
            let mut bytes = (AF_UNIX as u16).to_ne_bytes().to_vec();
            bytes.extend(path.as_bytes());
            bytes.resize(len, 0);
            parse(&bytes)
        };
        let path = "/run/nscd/socket";
        for len in [2 + path.len(), UNIX - 1, UNIX] {
            assert_eq!(named(path, len), Given::Resolver, "{len}");
        }
        for (path, len) in [(path, 2), (path, 1 + path.len()), (path, UNIX + 1), ("/run/dbus/bus", UNIX)] {
            assert_eq!(named(path, len), Given::Other, "{path} {len}");
        }
    }

    #[test]
    fn an_ipv6_socket_is_shown_mapped_addresses() {
        let mapped = bytes_of("10.1.2.3:4".parse().unwrap(), true);
        assert_eq!(parse(&mapped), Given::Inet("[::ffff:10.1.2.3]:4".parse().unwrap()));
    }

    #[test]
    fn what_is_not_there_is_a_fault() {
        let thread = rustix::process::getpid();
        let call = Notification { id: 0, thread, number: 0, arguments: [0; 6] };
        assert_eq!(address(&call, 8, 16), Err(Errno::FAULT));
        assert_eq!(address(&call, 8, 1), Ok(Given::Other));
        assert_eq!(address(&call, 8, -1), Ok(Given::Other));
        assert_eq!(address(&call, 8, 129), Ok(Given::Other));
    }
}
