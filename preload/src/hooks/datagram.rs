//! Sends with an explicit address: datagrams, and TCP Fast Open.

use std::ffi::{c_uint, c_void};
use std::net::SocketAddr;

use libc::{c_int, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use super::hooks;
use crate::address::Given;
use crate::redirect::{self, Outcome, Send};
use crate::socket::ProgramSocket;
use crate::{errno, real};

hooks! {
    /// sendto(2).
    fn sendto(fd: c_int, data: *const c_void, size: size_t, flags: c_int, to: *const sockaddr, len: socklen_t) -> ssize_t,
        closed errno::fail(libc::ENETUNREACH) as ssize_t => {
            let Some(sendto) = real::sendto.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
            judged(fd, to, len, flags, |keep| if keep {
                sendto(fd, data, size, flags, to, len)
            } else {
                sendto(fd, data, size, flags & !libc::MSG_FASTOPEN, std::ptr::null(), 0)
            })
        };

    /// sendmsg(2).
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t,
        closed errno::fail(libc::ENETUNREACH) as ssize_t => sendmsg_judged(fd, message, flags);

    /// sendmmsg(2).
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int,
        closed errno::fail(libc::ENETUNREACH) => {
            let Some(sendmmsg) = real::sendmmsg.get() else { return errno::fail(libc::ENOSYS) };
            let addressed = |i: usize| !(*messages.add(i)).msg_hdr.msg_name.is_null();
            if messages.is_null() || !(0..count as usize).any(addressed) {
                return sendmmsg(fd, messages, count, flags);
            }
            // The kernel sends at most UIO_MAXIOV of them.
            let mut sent = 0;
            for i in 0..count.min(1024) as usize {
                let message = messages.add(i);
                let n = sendmsg_judged(fd, &raw const (*message).msg_hdr, flags);
                if n < 0 {
                    break;
                }
                (*message).msg_len = n as c_uint;
                sent += 1;
            }
            if sent == 0 { -1 } else { sent }
        };
}

/// # Safety
///
/// The arguments are as sendmsg(2) requires.
unsafe fn sendmsg_judged(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    let Some(sendmsg) = real::sendmsg.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
    if message.is_null() {
        // SAFETY: the kernel answers EFAULT.
        return unsafe { sendmsg(fd, message, flags) };
    }
    // SAFETY: a readable msghdr by the contract of sendmsg(2), and its name has `msg_namelen` bytes.
    unsafe {
        let header = *message;
        judged(fd, header.msg_name.cast(), header.msg_namelen, flags, |keep| {
            if keep {
                sendmsg(fd, message, flags)
            } else {
                let unaddressed = msghdr { msg_name: std::ptr::null_mut(), msg_namelen: 0, ..header };
                sendmsg(fd, &unaddressed, flags & !libc::MSG_FASTOPEN)
            }
        })
    }
}

/// Judges a send to `to`. `send` makes the real call, with the address and flags as given, or
/// (`false`) without address and Fast Open, after the connection was made.
///
/// # Safety
///
/// `to` is null or has `len` readable bytes.
unsafe fn judged(
    fd: c_int,
    to: *const sockaddr,
    len: socklen_t,
    flags: c_int,
    send: impl FnOnce(bool) -> ssize_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    let given = unsafe { crate::address::read(to, len) };
    let socket = ProgramSocket(fd);
    match redirect::send(&socket, given, flags & libc::MSG_FASTOPEN != 0) {
        Send::Pass(_) => send(true),
        Send::Fail(errno) => errno::fail(errno) as ssize_t,
        Send::ConnectFirst(address) => match connect_first(&socket, address) {
            Outcome::Done => send(false),
            Outcome::Pass(_) => send(true),
            Outcome::Fail(errno) => errno::fail(errno) as ssize_t,
        },
    }
}

fn connect_first(socket: &ProgramSocket, address: SocketAddr) -> Outcome {
    redirect::connect(socket, Given::Inet(address))
}
