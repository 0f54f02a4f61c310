//! Sends with an explicit address: datagrams, and TCP Fast Open.

use std::ffi::{c_uint, c_void};

use libc::{c_int, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use super::{connect, hooks};
use crate::address::Given;
use crate::fence::fenced;
use crate::redirect::{self, Send};
use crate::socket::ProgramSocket;
use crate::{errno, real};

hooks! {
    /// sendto(2).
    fn sendto(fd: c_int, data: *const c_void, size: size_t, flags: c_int, to: *const sockaddr, len: socklen_t) -> ssize_t,
        closed -1 => None, real {
            let Some(sendto) = real::sendto.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
            match judged(fd, to, len, flags) {
                Next::AsGiven => sendto(fd, data, size, flags, to, len),
                Next::Connected => sendto(fd, data, size, flags & !libc::MSG_FASTOPEN, std::ptr::null(), 0),
                Next::Failed => -1,
            }
        };

    /// sendmsg(2).
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t,
        closed -1 => None, real sendmsg_judged(fd, message, flags);

    /// sendmmsg(2).
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int,
        closed -1 => None, real {
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

/// How the real call is made.
enum Next {
    /// With the program's own arguments.
    AsGiven,
    /// Without the address and Fast Open: the connection has been made.
    Connected,
    /// Not at all; errno is set.
    Failed,
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
        match judged(fd, header.msg_name.cast(), header.msg_namelen, flags) {
            Next::AsGiven => sendmsg(fd, message, flags),
            Next::Connected => {
                let unaddressed = msghdr { msg_name: std::ptr::null_mut(), msg_namelen: 0, ..header };
                sendmsg(fd, &unaddressed, flags & !libc::MSG_FASTOPEN)
            }
            Next::Failed => -1,
        }
    }
}

/// Judges a send to `to`, and connects first if it is one of TCP Fast Open.
///
/// # Safety
///
/// `to` is null or has `len` readable bytes.
unsafe fn judged(fd: c_int, to: *const sockaddr, len: socklen_t, flags: c_int) -> Next {
    // SAFETY: the caller's promise.
    let given = unsafe { crate::address::read(to, len) };
    let judge = || redirect::send(&ProgramSocket(fd), given, flags & libc::MSG_FASTOPEN != 0);
    match fenced(judge, || Send::Fail(libc::ENETUNREACH)) {
        Send::Pass(_) => Next::AsGiven,
        Send::Fail(errno) => {
            errno::set(errno);
            Next::Failed
        }
        Send::ConnectFirst(address) => match connect::carried(fd, Given::Inet(address)) {
            Some(0) => Next::Connected,
            Some(_) => Next::Failed,
            None => Next::AsGiven,
        },
    }
}
