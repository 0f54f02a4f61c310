//! The kernel's lists of TCP and UDP sockets (sock_diag(7)): cookies, and what has passed. It needs no privilege. Two
//! fixed-size structures of linux/inet_diag.h are all that is used, so they are read and written here.
#![forbid(unsafe_code)]

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::sys;

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
/// Size of `struct inet_diag_msg`, and offsets of `idiag_state`, `id.idiag_cookie` and `idiag_inode` in it.
const MESSAGE: usize = 72;
const STATE: usize = 1;
const COOKIE: usize = 44;
const INODE: usize = 68;
/// linux/inet_diag.h: the attribute that is a `struct tcp_info`.
const INET_DIAG_INFO: u16 = 2;

/// What the kernel tells of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) cookie: u64,
    /// net/tcp_states.h
    pub(crate) state: u8,
    /// Whether a process has it, so that it is not merely coming to its end.
    pub(crate) owned: bool,
    /// `tcpi_bytes_acked` of `struct tcp_info` (linux/tcp.h): SYN and FIN count as one byte each.
    pub(crate) acknowledged: u64,
    pub(crate) received: u64,
}

/// Gives `each` the cookies of all TCP sockets of this network namespace that a program may still have. Sockets
/// that are not connected, bound or listening are in no list.
pub(crate) fn tcp_cookies(each: impl FnMut(u64)) -> io::Result<()> {
    cookies(libc::IPPROTO_TCP, each)
}

/// The same for UDP sockets, which are in the list while they are bound.
pub(crate) fn udp_cookies(each: impl FnMut(u64)) -> io::Result<()> {
    cookies(libc::IPPROTO_UDP, each)
}

fn cookies(protocol: libc::c_int, mut each: impl FnMut(u64)) -> io::Result<()> {
    for family in FAMILIES {
        dump(&request(family, protocol, 0), |datagram| {
            messages(datagram, |message| {
                each(cookie(message)?);
                Some(())
            })
        })?;
    }
    Ok(())
}

/// The same sockets with what has passed, some at a time; `take` says whether it wants more.
pub(crate) fn tcp_infos(mut take: impl FnMut(Vec<Info>) -> bool) -> io::Result<()> {
    for family in FAMILIES {
        dump(&request(family, libc::IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1)), |datagram| {
            let mut infos = Vec::new();
            let last = messages(datagram, |message| {
                infos.push(info(message)?);
                Some(())
            })?;
            Ok(!take(infos) || last)
        })?;
    }
    Ok(())
}

const FAMILIES: [u8; 2] = [libc::AF_INET as u8, libc::AF_INET6 as u8];

/// Asks, and gives each datagram of the answer to `read` until that says that it was the last.
fn dump(request: &[u8], mut read: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&socket, request, SendFlags::empty())?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (len, _) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        if read(&buffer[..len])? {
            return Ok(());
        }
    }
}

/// A dump request: nlmsghdr and inet_diag_req_v2.
fn request(family: u8, protocol: libc::c_int, attributes: u8) -> [u8; HEADER + 56] {
    let mut bytes = [0; HEADER + 56];
    let len = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&len.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes[HEADER] = family;
    bytes[HEADER + 1] = protocol as u8;
    bytes[HEADER + 2] = attributes;
    let states = !(1u32 << TIME_WAIT);
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// Gives each socket's message of one datagram to `take`, which says nothing of one that is too short;
/// whether this datagram was the last.
fn messages(mut bytes: &[u8], mut take: impl FnMut(&[u8]) -> Option<()>) -> io::Result<bool> {
    let short = || io::Error::from(io::ErrorKind::InvalidData);
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0).ok_or_else(short)? as usize;
        match u16_at(bytes, 4).ok_or_else(short)? {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(short()),
            SOCK_DIAG_BY_FAMILY => {
                let message = bytes.get(HEADER..length).ok_or_else(short)?;
                take(message).ok_or_else(short)?;
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

/// Two 32-bit halves, low first.
fn cookie(message: &[u8]) -> Option<u64> {
    Some(u64::from(u32_at(message, COOKIE)?) | u64::from(u32_at(message, COOKIE + 4)?) << 32)
}

fn info(message: &[u8]) -> Option<Info> {
    let tcp = attribute(message.get(MESSAGE..)?, INET_DIAG_INFO).unwrap_or_default();
    Some(Info {
        cookie: cookie(message)?,
        state: *message.get(STATE)?,
        owned: u32_at(message, INODE)? != 0,
        // Kernels before 4.1 tell neither.
        acknowledged: u64_at(tcp, sys::TCP_ACKED).unwrap_or(0),
        received: u64_at(tcp, sys::TCP_RECEIVED).unwrap_or(0),
    })
}

/// The content of an attribute (rtnetlink(7), `struct rtattr`).
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(bytes, 0)?);
        let content = bytes.get(4..length)?;
        if u16_at(bytes, 2)? == wanted {
            return Some(content);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn the_kernel_counts_what_has_passed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[0; 300]).unwrap();
        server.read_exact(&mut [0; 300]).unwrap();
        server.write_all(&[0; 70_000]).unwrap();
        client.read_exact(&mut [0; 70_000]).unwrap();
        let wanted: u64 = sys::option(&client, libc::SOL_SOCKET, libc::SO_COOKIE).unwrap();
        let mut found = None;
        tcp_infos(|infos| {
            found = found.or(infos.into_iter().find(|info| info.cookie == wanted));
            true
        })
        .unwrap();
        let info = found.unwrap();
        // The SYN is acknowledged, too.
        assert_eq!((info.acknowledged, info.received), (301, 70_000));
        assert_eq!(sys::tcp_bytes(&client).unwrap(), (301, 70_000));
        assert_eq!((info.state, info.owned), (sys::ESTABLISHED, true));
    }

    #[test]
    fn a_datagram_socket_is_listed_while_it_is_open() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let wanted: u64 = sys::option(&socket, libc::SOL_SOCKET, libc::SO_COOKIE).unwrap();
        let is_listed = || {
            let mut found = false;
            udp_cookies(|cookie| found |= cookie == wanted).unwrap();
            found
        };
        assert!(is_listed());
        drop(socket);
        // A process that another test starts has a copy until its exec.
        assert!((0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            !is_listed()
        }));
    }

    #[test]
    fn what_is_cut_short_is_an_error_or_nothing() {
        let socket = request(2, libc::IPPROTO_TCP, 0);
        let mut datagram = socket.to_vec();
        datagram.resize(HEADER + MESSAGE + 4 + 136, 0);
        let length = (datagram.len() as u32).to_ne_bytes();
        datagram[0..4].copy_from_slice(&length);
        for len in 1..datagram.len() {
            assert!(messages(&datagram[..len], |message| info(message).map(drop)).is_err(), "{len}");
        }
        assert!(!messages(&datagram, |message| info(message).map(drop)).unwrap());
    }
}
