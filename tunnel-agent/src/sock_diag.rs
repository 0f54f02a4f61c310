//! The kernel's list of TCP sockets (sock_diag(7)), as cookies. It needs no privilege. Two
//! fixed-size structures of linux/inet_diag.h are all that is used, so they are read and written here.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// linux/sock_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// `TCP_TIME_WAIT` of net/tcp_states.h: sockets that no program has any more.
const TIME_WAIT: u32 = 6;
/// Offset of `id.idiag_cookie` in `struct inet_diag_msg`.
const COOKIE: usize = 44;

/// The cookies of all TCP sockets of this network namespace that a program may still have. Sockets
/// that are not connected, bound or listening are in no list.
pub(crate) fn tcp_cookies() -> io::Result<HashSet<u64>> {
    let mut cookies = HashSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(family as u8, &mut cookies)?;
    }
    Ok(cookies)
}

fn dump(family: u8, cookies: &mut HashSet<u64>) -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&socket, &request(family), SendFlags::empty())?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (len, _) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        if read(&buffer[..len], cookies)? {
            return Ok(());
        }
    }
}

/// A dump request: nlmsghdr and inet_diag_req_v2.
fn request(family: u8) -> [u8; HEADER + 56] {
    let mut bytes = [0; HEADER + 56];
    let len = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&len.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes[HEADER] = family;
    bytes[HEADER + 1] = libc::IPPROTO_TCP as u8;
    let states = !(1u32 << TIME_WAIT);
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// Takes the cookies out of one datagram of messages; whether it was the last.
fn read(mut bytes: &[u8], cookies: &mut HashSet<u64>) -> io::Result<bool> {
    let short = || io::Error::from(io::ErrorKind::InvalidData);
    while !bytes.is_empty() {
        let field = |at: usize, len: usize| bytes.get(at..at + len).ok_or_else(short);
        let length = u32::from_ne_bytes(field(0, 4)?.try_into().map_err(|_| short())?) as usize;
        let kind = u16::from_ne_bytes(field(4, 2)?.try_into().map_err(|_| short())?);
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(short()),
            SOCK_DIAG_BY_FAMILY => {
                // Two 32-bit halves, low first.
                let half = |at| -> io::Result<u64> {
                    Ok(u32::from_ne_bytes(field(HEADER + COOKIE + at, 4)?.try_into().map_err(|_| short())?)
                        .into())
                };
                cookies.insert(half(0)? | half(4)? << 32);
            }
            _ => {}
        }
        let next = length.next_multiple_of(4);
        if next < HEADER {
            return Err(short());
        }
        bytes = bytes.get(next..).unwrap_or_default();
    }
    Ok(false)
}
