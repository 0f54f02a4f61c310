//! Receives with the sender's address: where it is one of the agent's, the program is shown for whom it
//! stands. Nothing is looked at where no address was asked for, or where it is not of loopback.

use std::ffi::{c_uint, c_void};
use std::net::SocketAddr;

use libc::{c_int, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};
use underpass_core::wire::{Reply, Request};

use super::{foreign, hooks};
use crate::address::{Given, Raw, read};
use crate::fence::fenced;
use crate::{errno, link, paths, real};

/// So many messages are received in one call at most, as many as the kernel sends in one (UIO_MAXIOV): fewer than were asked for
/// is what recvmmsg(2) may always answer.
const MAX_MESSAGES: usize = 1024;

hooks! {
    /// recvfrom(2).
    fn recvfrom(fd: c_int, data: *mut c_void, size: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t) -> ssize_t,
        open {
            let Some(recvfrom) = real::recvfrom.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
            let room = room_at(from, len);
            let received = recvfrom(fd, data, size, flags, from, len);
            if received >= 0 && room > 0 {
                show(from, room, *len);
            }
            received
        };

    /// What recvfrom(2) is with `_FORTIFY_SOURCE`.
    fn __recvfrom_chk(fd: c_int, data: *mut c_void, size: size_t, whole: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t) -> ssize_t,
        open {
            let Some(recvfrom) = real::__recvfrom_chk.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
            let room = room_at(from, len);
            let received = recvfrom(fd, data, size, whole, flags, from, len);
            if received >= 0 && room > 0 {
                show(from, room, *len);
            }
            received
        };

    /// recvmsg(2).
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t,
        open {
            let Some(recvmsg) = real::recvmsg.get() else { return errno::fail(libc::ENOSYS) as ssize_t };
            let room = if message.is_null() { 0 } else { room_in(&*message) };
            let received = recvmsg(fd, message, flags);
            if received >= 0 && room > 0 {
                show((*message).msg_name.cast(), room, (*message).msg_namelen);
            }
            if received >= 0 {
                foreign::judge(&*message);
            }
            received
        };

    /// recvmmsg(2).
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int,
        open {
            let Some(recvmmsg) = real::recvmmsg.get() else { return errno::fail(libc::ENOSYS) };
            let count = count.min(MAX_MESSAGES as c_uint);
            // The kernel overwrites the sizes of the buffers.
            let mut rooms = [0u8; MAX_MESSAGES];
            if !messages.is_null() {
                for (i, room) in rooms.iter_mut().enumerate().take(count as usize) {
                    *room = room_in(&(*messages.add(i)).msg_hdr).min(u8::MAX.into()) as u8;
                }
            }
            let received = recvmmsg(fd, messages, count, flags, timeout);
            let filled = usize::try_from(received).unwrap_or(0);
            for (i, &room) in rooms.iter().enumerate().take(filled) {
                let header = &(*messages.add(i)).msg_hdr;
                if room > 0 {
                    show(header.msg_name.cast(), room.into(), header.msg_namelen);
                }
                foreign::judge(header);
            }
            received
        };
}

/// The size of an address buffer.
///
/// # Safety
///
/// `len` is null, or readable where `from` is not null (recvfrom(2)).
unsafe fn room_at(from: *mut sockaddr, len: *mut socklen_t) -> usize {
    // SAFETY: the caller's promise.
    if from.is_null() || len.is_null() { 0 } else { unsafe { *len as usize } }
}

fn room_in(message: &msghdr) -> usize {
    if message.msg_name.is_null() { 0 } else { message.msg_namelen as usize }
}

/// Shows for whom the address at `from` stands, which the kernel has written.
///
/// # Safety
///
/// `from` has `room` bytes, of which the kernel has written `len`, or all if that is more.
unsafe fn show(from: *mut sockaddr, room: usize, len: socklen_t) {
    // An address that was cut off says nothing; in full it is written over by one of the same size.
    if len as usize > room {
        return;
    }
    // SAFETY: `len` bytes are there.
    let Given::Inet(at) = (unsafe { read(from, len) }) else { return };
    if !paths::may_be_at(at) {
        return;
    }
    if let Some(stands_for) = fenced(|| stands_for(at), || None) {
        let family = if at.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        let (raw, size) = Raw::new(stands_for, family);
        let mut room = len;
        // SAFETY: `room` bytes are there.
        unsafe { raw.write(size, from, &mut room) };
    }
}

/// For whom one of the agent's sockets stands; nothing for any other.
pub(super) fn stands_for(at: SocketAddr) -> Option<SocketAddr> {
    if let Some(known) = paths::source(at) {
        return known;
    }
    let known = link::ask(&Request::Source { at }, |reply| match reply {
        Reply::Peer { peer, .. } => Some(peer),
        _ => None,
    });
    // Without an agent nothing is known for long.
    let known = known.ok()?;
    paths::learn_source(at, known);
    known
}
