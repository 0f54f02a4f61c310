//! Sockets that another process passes (SCM_RIGHTS, unix(7)), where the configuration does not want those that
//! the agent knows nothing of: the program finds a fresh socket of the same kind in their place, which is
//! connected to nothing and carried as any other.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{SCM_RIGHTS, SOL_SOCKET, cmsghdr, msghdr};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{DupFlags, FdFlags, dup3, fcntl_getfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use underpass_core::destination::{canonical, is_local};

use super::control::each;
use super::peer::peer_of;
use crate::fence::fenced;
use crate::session;
use crate::socket::ProgramSocket;

/// Judges what a message has brought.
///
/// # Safety
///
/// `message` was filled in by a recvmsg(2) that has succeeded.
pub(super) unsafe fn judge(message: &msghdr) {
    if message.msg_controllen < size_of::<cmsghdr>() {
        return;
    }
    let judged = |message: &cmsghdr, bytes: &[u8]| {
        if (message.cmsg_level, message.cmsg_type) != (SOL_SOCKET, SCM_RIGHTS)
            || !session::session().is_some_and(|session| session.refuses_foreign)
        {
            return;
        }
        let numbers = bytes.get(size_of::<cmsghdr>()..).unwrap_or_default().as_chunks().0;
        for &number in numbers {
            let number = RawFd::from_ne_bytes(number);
            // What cannot be judged is not kept.
            if fenced(|| is_foreign(number), || true) {
                fenced(|| replace(number), || close(number));
            }
        }
    };
    // SAFETY: the kernel has written the control messages.
    unsafe { each(message, judged) };
}

/// Whether something leaves by it that nobody was asked about.
fn is_foreign(number: RawFd) -> bool {
    // SAFETY: the kernel has just given it to the program.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match sockopt::socket_domain(fd) {
        Ok(AddressFamily::PACKET) => return true,
        Ok(AddressFamily::INET | AddressFamily::INET6) => {}
        _ => return false,
    }
    let socket = ProgramSocket(number);
    let kind = sockopt::socket_type(fd);
    match socket.kernel_peer().map(canonical) {
        // What is connected later is judged then.
        None => kind == Ok(SocketType::RAW),
        // The agent's own end, for one.
        Some(peer) if is_local(peer.ip()) => false,
        Some(_) => peer_of(&socket).is_none(),
    }
}

/// Puts a fresh socket in the place of the descriptor; nothing, where there can be none.
fn replace(number: RawFd) {
    // SAFETY: as above.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let fresh = (|| {
        let (domain, kind) = (sockopt::socket_domain(fd)?, sockopt::socket_type(fd)?);
        if ![SocketType::STREAM, SocketType::DGRAM].contains(&kind) {
            return Err(rustix::io::Errno::PERM);
        }
        let fresh = socket_with(domain, kind, SocketFlags::CLOEXEC, sockopt::socket_protocol(fd)?)?;
        if fcntl_getfl(fd)?.contains(OFlags::NONBLOCK) {
            fcntl_setfl(&fresh, OFlags::NONBLOCK)?;
        }
        let flags =
            if fcntl_getfd(fd)?.contains(FdFlags::CLOEXEC) { DupFlags::CLOEXEC } else { DupFlags::empty() };
        // SAFETY: the number is the program's, so it is not closed here.
        let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(fd.as_raw_fd()) });
        dup3(&fresh, &mut place, flags)
    })();
    if fresh.is_err() {
        close(number);
    }
}

fn close(number: RawFd) {
    // SAFETY: the descriptor has come with this message, and the program does not know of it yet.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}
