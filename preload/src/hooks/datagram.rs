//! Sends with an explicit address: datagrams, and TCP Fast Open.

use std::ffi::{c_uint, c_void};
use std::mem::MaybeUninit;

use libc::{c_int, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use super::control::{ROOM, Space, names_a_way, without_way};
use super::{connect, hooks, peer};
use crate::address::{Given, Raw};
use crate::fence::fenced;
use crate::redirect::{self, Send};
use crate::socket::ProgramSocket;
use crate::{errno, real};

hooks! {
    /// sendto(2).
    fn sendto(fd: c_int, data: *const c_void, size: size_t, flags: c_int, to: *const sockaddr, len: socklen_t) -> ssize_t,
        open {
            let Some(sendto) = real::sendto.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
            // The kernel reads nothing of a longer one (EINVAL).
            if to.is_null() || len as usize > size_of::<libc::sockaddr_storage>() {
                return sendto(fd, data, size, flags, to, len);
            }
            match judged(fd, to, len, flags) {
                Next::AsGiven => sendto(fd, data, size, flags, to, len),
                Next::Via(at, len) => sendto(fd, data, size, flags, (&raw const at).cast(), len),
                Next::Connected => sendto(fd, data, size, flags & !libc::MSG_FASTOPEN, std::ptr::null(), 0),
                Next::Failed => -1,
            }
        };

    /// sendmsg(2).
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t,
        open {
            let Some(sendmsg) = real::sendmsg.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
            if message.is_null() || ((*message).msg_name.is_null() && (*message).msg_control.is_null()) {
                return sendmsg(fd, message, flags);
            }
            let (mut at, mut space) = (MaybeUninit::uninit(), Space([0; ROOM]));
            match prepared(fd, &*message, flags, &mut at, &mut space) {
                Ok((message, flags)) => sendmsg(fd, &message, flags),
                Err(Unsent) => -1,
            }
        };

    /// sendmmsg(2).
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int,
        open send_all(fd, messages, count, flags);

    /// libc's own name for `sendmmsg`.
    fn __sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int,
        open send_all(fd, messages, count, flags);
}

/// # Safety
///
/// The arguments are as sendmmsg(2) requires.
unsafe fn send_all(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    let Some(sendmmsg) = real::sendmmsg.get() else { return errno::fail(libc::ENOSYS) };
    // The kernel sends at most UIO_MAXIOV of them.
    let count = count.min(1024) as usize;
    // SAFETY: the caller's promise.
    unsafe {
        let is_plain = |i: usize| {
            let header = &(*messages.add(i)).msg_hdr;
            header.msg_name.is_null() && header.msg_control.is_null()
        };
        if messages.is_null() || (0..count).all(is_plain) {
            return sendmmsg(fd, messages, count as c_uint, flags);
        }
        let mut sent = 0;
        while sent < count {
            let wanted = (count - sent).min(TOGETHER);
            match send_some(fd, messages.add(sent), wanted, flags, sendmmsg) {
                Ok(n) => {
                    sent += n;
                    if n < wanted {
                        break;
                    }
                }
                Err(Unsent) if sent == 0 => return -1,
                Err(Unsent) => break,
            }
        }
        sent as c_int
    }
}

/// Messages of one sendmmsg(2) that are prepared at once.
const TOGETHER: usize = 16;

type SendMany = unsafe extern "C-unwind" fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int;

/// Sends the first `wanted` messages, at most [`TOGETHER`]; how many were sent, one at least.
///
/// # Safety
///
/// The messages are as sendmmsg(2) requires.
unsafe fn send_some(
    fd: c_int,
    messages: *mut mmsghdr,
    wanted: usize,
    flags: c_int,
    sendmmsg: SendMany,
) -> Result<usize, Unsent> {
    // SAFETY: `wanted` messages are there; the copies, their addresses and their control messages live until
    // the call is done.
    unsafe {
        let mut copies = [MaybeUninit::<mmsghdr>::zeroed(); TOGETHER];
        let mut ats = [MaybeUninit::uninit(); TOGETHER];
        let mut spaces = [const { Space([0; ROOM / 4]) }; TOGETHER];
        let (mut ready, mut last) = (0, flags);
        let places = copies.iter_mut().zip(&mut ats).zip(&mut spaces).take(wanted);
        for (i, ((copy, at), space)) in places.enumerate() {
            match prepared(fd, &(*messages.add(i)).msg_hdr, flags, at, space) {
                Ok((header, flags)) => {
                    copy.write(mmsghdr { msg_hdr: header, msg_len: 0 });
                    last = flags;
                    ready += 1;
                }
                Err(Unsent) if i == 0 => return Err(Unsent),
                // It is reported with the next call.
                Err(Unsent) => break,
            }
        }
        let sent = sendmmsg(fd, copies.as_mut_ptr().cast(), ready as c_uint, last);
        let sent = usize::try_from(sent).map_err(|_| Unsent)?;
        for (i, copy) in copies.iter().enumerate().take(sent) {
            (*messages.add(i)).msg_len = copy.assume_init_ref().msg_len;
        }
        Ok(sent)
    }
}

/// errno is set.
struct Unsent;

/// How the real call is made.
enum Next {
    /// With the program's own arguments.
    AsGiven,
    /// To this address.
    Via(Raw, socklen_t),
    /// Without the address and Fast Open: the connection has been made.
    Connected,
    /// Not at all; errno is set.
    Failed,
}

/// The message and the flags for the real call.
///
/// # Safety
///
/// `message` is as sendmsg(2) requires; what is returned is not used after `at` and `space` have gone.
unsafe fn prepared<const N: usize>(
    fd: c_int,
    message: &msghdr,
    flags: c_int,
    at: &mut MaybeUninit<Raw>,
    space: &mut Space<N>,
) -> Result<(msghdr, c_int), Unsent> {
    let mut header = *message;
    // SAFETY: the name has `msg_namelen` bytes, and the control messages are readable.
    unsafe {
        let to_agent = if header.msg_name.is_null() {
            names_a_way(&header) && peer::is_connected_to_agent(fd)
        } else {
            match judged(fd, header.msg_name.cast(), header.msg_namelen, flags) {
                Next::AsGiven => false,
                Next::Failed => return Err(Unsent),
                Next::Connected => {
                    let unaddressed = msghdr { msg_name: std::ptr::null_mut(), msg_namelen: 0, ..header };
                    return Ok((unaddressed, flags & !libc::MSG_FASTOPEN));
                }
                Next::Via(raw, len) => {
                    header.msg_name = std::ptr::from_mut(at.write(raw)).cast();
                    header.msg_namelen = len;
                    names_a_way(&header)
                }
            }
        };
        if to_agent && !without_way(&mut header, space) {
            errno::set(libc::EINVAL);
            return Err(Unsent);
        }
    }
    Ok((header, flags))
}

/// Judges a send to `to`, and connects first if it is one of TCP Fast Open.
///
/// # Safety
///
/// `to` is null or has `len` readable bytes.
unsafe fn judged(fd: c_int, to: *const sockaddr, len: socklen_t, flags: c_int) -> Next {
    // SAFETY: the caller's promise.
    let given = unsafe { crate::address::read(to, len) };
    let judge = || redirect::send(&ProgramSocket(fd), given, flags);
    match fenced(judge, || Send::Fail(libc::ENETUNREACH)) {
        Send::Pass(_) => Next::AsGiven,
        Send::Via(at) => {
            // The kernel takes an IPv4 address on a socket of IPv6, too.
            let family =
                if matches!(given, Given::Inet(to) if to.is_ipv6()) { libc::AF_INET6 } else { libc::AF_INET };
            let (raw, len) = Raw::new(at, family);
            Next::Via(raw, len)
        }
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
