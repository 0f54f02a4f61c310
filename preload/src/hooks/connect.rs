//! `connect`, and the two calls that decide how it is carried.

use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, epoll_event, sockaddr, socklen_t};

use super::hooks;
use crate::address::{self, Given};
use crate::fence::{cancellation_point, fenced};
use crate::redirect::Outcome;
use crate::socket::ProgramSocket;
use crate::{ahead, errno, paths, real, redirect};

hooks! {
    /// connect(2). Fails with what connect(2) documents and nothing else.
    fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int,
        closed errno::fail(libc::ENETUNREACH) => None, real judged_and_made(fd, address, len);

    /// The public alias of `connect` in glibc.
    fn __connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int,
        closed errno::fail(libc::ENETUNREACH) => None, real judged_and_made(fd, address, len);

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
unsafe fn judged_and_made(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    let mut copy = MaybeUninit::<libc::sockaddr_storage>::uninit();
    let mut address = address;
    let is_too_long = len as usize > size_of_val(&copy);
    if !address.is_null() && !is_too_long {
        // What is judged is what the kernel gets, whatever another thread writes there meanwhile.
        // SAFETY: `len` bytes are readable by the contract of connect(2), and fit.
        unsafe { ptr::copy_nonoverlapping(address.cast::<u8>(), copy.as_mut_ptr().cast(), len as usize) };
        address = copy.as_ptr().cast();
    }
    // SAFETY: as above; of the copy as many bytes are there. The kernel reads nothing of what is longer (EINVAL).
    let given = if is_too_long { Given::Malformed } else { unsafe { address::read(address, len) } };
    match carried(fd, given) {
        Some(answer) => answer,
        None => match real::connect.get() {
            // SAFETY: the program's own arguments, or the copy, which lives until the call returns.
            Some(connect) => unsafe { connect(fd, address, len) },
            None => errno::fail(libc::ENOSYS),
        },
    }
}

/// Everything but the real call, `None`. The wait in the kernel is outside the fence, as the real
/// call is: both are cancellation points.
pub(super) fn carried(fd: c_int, given: Given) -> Option<c_int> {
    let closed = || Outcome::Fail(libc::ENETUNREACH);
    let socket = ProgramSocket(fd);
    let judge = || {
        if let Given::Unspecified(_) = given {
            ahead::dissolved();
            if paths::is_used()
                && let Some(cookie) = socket.cookie()
            {
                paths::forget(cookie);
            }
        }
        redirect::connect(&socket, given)
    };
    let outcome = match fenced(judge, closed) {
        Outcome::Wait(waiting) => {
            let ended = socket.wait();
            fenced(|| redirect::waited(&socket, waiting, ended), closed)
        }
        outcome => outcome,
    };
    cancellation_point();
    match outcome {
        Outcome::Done => Some(0),
        Outcome::ConnectTo(at) => Some(match fenced(|| socket.connect_to(at), || Err(libc::ENETUNREACH)) {
            Ok(()) => 0,
            Err(errno) => errno::fail(errno),
        }),
        Outcome::Fail(errno) => Some(errno::fail(errno)),
        Outcome::Pass(_) | Outcome::Wait(_) => None,
    }
}
