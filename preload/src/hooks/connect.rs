//! `connect`, and the two calls that decide how it is carried.

use libc::{c_int, epoll_event, sockaddr, socklen_t};

use super::{finish, hooks};
use crate::socket::ProgramSocket;
use crate::{ahead, errno, real, redirect};

hooks! {
    /// connect(2). Fails with what connect(2) documents and nothing else.
    fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int,
        closed errno::fail(libc::ENETUNREACH) => judged(fd, address, len);

    /// The public alias of `connect` in glibc.
    fn __connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int,
        closed errno::fail(libc::ENETUNREACH) => judged(fd, address, len);

    /// socket(2): MPTCP sockets (RFC 8684) cannot be held, so they are made as TCP, to which they
    /// fall back anyway where the peer does not speak MPTCP.
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int,
        closed errno::fail(libc::EAFNOSUPPORT) => {
            let protocol = if protocol == libc::IPPROTO_MPTCP { libc::IPPROTO_TCP } else { protocol };
            match real::socket.get() {
                Some(socket) => socket(domain, kind, protocol),
                None => errno::fail(libc::ENOSYS),
            }
        };

    /// epoll_ctl(2): notes that a socket is watched before it is connected.
    fn epoll_ctl(set: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int,
        closed errno::fail(libc::EINVAL) => {
            if operation == libc::EPOLL_CTL_ADD {
                ProgramSocket(fd).watched();
            }
            match real::epoll_ctl.get() {
                Some(epoll_ctl) => epoll_ctl(set, operation, fd, event),
                None => errno::fail(libc::ENOSYS),
            }
        };
}

/// # Safety
///
/// The arguments are as connect(2) requires.
unsafe fn judged(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: `len` bytes are readable by the contract of connect(2).
    let given = unsafe { crate::address::read(address, len) };
    if let crate::address::Given::Unspecified(_) = given {
        ahead::dissolved();
    }
    finish(redirect::connect(&ProgramSocket(fd), given), || match real::connect.get() {
        // SAFETY: the program's own arguments.
        Some(connect) => unsafe { connect(fd, address, len) },
        None => errno::fail(libc::ENOSYS),
    })
}
