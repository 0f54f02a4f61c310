//! `socket()`: what a program gets is made by us.

use std::os::fd::OwnedFd;

use libc::{EINVAL, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, c_int};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};

use super::datagram::Datagrams;
use super::notification::{Answer, Notification};
use super::sockets::Sockets;
use crate::kernel;

/// The other bits of the type are flags.
const TYPE_MASK: c_int = 0xf;

/// The filter has let through what is TCP or UDP, as far as its scalars say.
pub(crate) fn answer(datagrams: &mut Datagrams, sockets: &mut Sockets, call: &Notification) -> Answer {
    let (family, kind, protocol) = (call.int(0), call.int(1), call.int(2));
    if kind & !(TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK) != 0 {
        return Answer::Fail(EINVAL);
    }
    let process = call.thread.as_raw_nonzero().get().unsigned_abs();
    match kind & TYPE_MASK {
        SOCK_STREAM => {
            stream(sockets, family, kind).unwrap_or_else(|errno| Answer::Fail(errno.raw_os_error()))
        }
        SOCK_DGRAM => match datagrams.socket(process, family, kind & !SOCK_CLOEXEC, protocol) {
            Ok(socket) => Answer::Descriptor { socket, close_on_exec: kind & SOCK_CLOEXEC != 0 },
            Err(errno) => Answer::Fail(errno),
        },
        _ => Answer::Fail(libc::ESOCKTNOSUPPORT),
    }
}

fn stream(sockets: &mut Sockets, family: c_int, kind: c_int) -> Result<Answer, Errno> {
    let family = if family == libc::AF_INET6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let mut flags = SocketFlags::CLOEXEC;
    if kind & SOCK_NONBLOCK != 0 {
        flags |= SocketFlags::NONBLOCK;
    }
    let tcp: Option<Protocol> = Some(rustix::net::ipproto::TCP);
    let socket: OwnedFd = rustix::net::socket_with(family, SocketType::STREAM, flags, tcp)?;
    kernel::bind_to_loopback(&socket)?;
    sockets.made(&socket);
    Ok(Answer::Descriptor { socket, close_on_exec: kind & SOCK_CLOEXEC != 0 })
}
