//! `socketpair()` of a sealed program, for datagrams: a pair that keeps their boundaries and can name nobody.
//!
//! Each datagram of a Unix socket may name another socket, behind a pointer, which nobody could judge. What is sent by a
//! `SOCK_SEQPACKET` goes to the other end, whatever it names (unix(7)), and is else carried as a datagram is.

use std::os::fd::OwnedFd;

use libc::{SOCK_CLOEXEC, SOCK_NONBLOCK};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::listener::Listener;
use super::memory;
use super::notification::{Answer, Notification};

/// The filter has let through pairs of Unix datagram sockets alone.
pub(crate) fn answer(listener: &Listener, call: &Notification) -> Answer {
    match made(listener, call) {
        Ok(()) => Answer::Done,
        Err(errno) => Answer::Fail(errno.raw_os_error()),
    }
}

fn made(listener: &Listener, call: &Notification) -> Result<(), Errno> {
    // unix(7) has no others.
    if ![0, libc::AF_UNIX].contains(&call.int(2)) {
        return Err(Errno::PROTONOSUPPORT);
    }
    let (kind, numbers) = (call.int(1), call.pointer(3));
    let mut flags = SocketFlags::CLOEXEC;
    if kind & SOCK_NONBLOCK != 0 {
        flags |= SocketFlags::NONBLOCK;
    }
    if kind & !(0xf | SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    let (one, other): (OwnedFd, OwnedFd) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // First whether there is room: what the program has been given is not to be taken back.
    memory::write_pair(call, numbers, [-1, -1])?;
    let close_on_exec = kind & SOCK_CLOEXEC != 0;
    let given = [listener.put(call.id, &one, close_on_exec)?, listener.put(call.id, &other, close_on_exec)?];
    memory::write_pair(call, numbers, given)
}
