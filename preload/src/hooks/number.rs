//! syscall(2): calls by their number. Those that a hook judges go to that hook; all others to the real
//! function by a jump, with registers and stack as the program has left them. So a call that returns twice
//! (vfork, clone) finds no frame of ours.

use std::ffi::{c_long, c_void};

use libc::{c_int, c_uint};

use super::variadic::{Saved, entry, place};
use super::{connect, datagram, exec, listening, open, peer, receive};
use crate::{errno, real};

entry!(
    /// syscall(2).
    syscall -> c_long, before_syscall
);

/// Numbers from here on are those of the x32 interface, which has the same calls under other numbers.
#[cfg(target_arch = "x86_64")]
const X32: c_int = 0x4000_0000;

extern "C" fn before_syscall(saved: *mut Saved) -> *const c_void {
    // SAFETY: the number is the first argument of every call. The kernel takes its lower half.
    let number = unsafe { *place(saved, 0) } as c_int;
    // Few kernels have x32; no program that is linked with this libc has a use for it.
    #[cfg(target_arch = "x86_64")]
    if number & X32 != 0 {
        return refused as *const c_void;
    }
    if is_judged(number.into()) {
        return by_number as *const c_void;
    }
    match real::syscall.get() {
        Some(syscall) => syscall as *const c_void,
        None => refused as *const c_void,
    }
}

extern "C" fn refused() -> c_long {
    errno::fail(libc::ENOSYS).into()
}

/// Declares which numbers are judged, and by which hook.
macro_rules! numbers {
    ($($number:path => $hook:path: fn($($arg:ident: $t:ty),*);)*) => {
        fn is_judged(number: c_long) -> bool {
            matches!(number, $($number)|*)
        }

        /// The call goes to the hook of the function.
        ///
        /// Seven longs are what the variable arguments of syscall(2) are: for whole numbers and pointers both
        /// calling conventions (System V ABI for x86-64, 3.2.3 and 3.5.7; AAPCS64, 6.4, as Linux follows it) use
        /// the same registers, and the same place on the stack, whether a parameter is named or not. Where
        /// the program gave fewer, the others are whatever is there, as they are to libc's function, which
        /// reads all seven. The upper half of a narrower one is undefined, so each is cut to its type.
        ///
        /// # Safety
        ///
        /// The arguments are those of the call with this number.
        unsafe extern "C-unwind" fn by_number(
            number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long,
        ) -> c_long {
            match c_long::from(number as c_int) {
                $($number => {
                    let mut arguments = [a, b, c, d, e, f].into_iter();
                    $(let $arg = arguments.next().unwrap_or_default() as $t;)*
                    // SAFETY: the program's own call, whose arguments are those of the function.
                    unsafe { $hook($($arg),*) as c_long }
                })*
                _ => refused(),
            }
        }
    };
}

numbers! {
    libc::SYS_socket => open::socket: fn(domain: c_int, kind: c_int, protocol: c_int);
    libc::SYS_connect => connect::connect: fn(fd: c_int, address: *const libc::sockaddr, len: c_uint);
    libc::SYS_bind => listening::bind: fn(fd: c_int, address: *const libc::sockaddr, len: c_uint);
    libc::SYS_listen => listening::listen: fn(fd: c_int, backlog: c_int);
    libc::SYS_accept => listening::accept: fn(fd: c_int, address: *mut libc::sockaddr, len: *mut c_uint);
    libc::SYS_accept4 => listening::accept4: fn(fd: c_int, address: *mut libc::sockaddr, len: *mut c_uint, flags: c_int);
    libc::SYS_epoll_ctl => connect::epoll_ctl: fn(set: c_int, operation: c_int, fd: c_int, event: *mut libc::epoll_event);
    libc::SYS_setsockopt => open::setsockopt: fn(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: c_uint);
    libc::SYS_getsockopt => peer::getsockopt: fn(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut c_uint);
    libc::SYS_getpeername => peer::getpeername: fn(fd: c_int, address: *mut libc::sockaddr, len: *mut c_uint);
    libc::SYS_getsockname => peer::getsockname: fn(fd: c_int, address: *mut libc::sockaddr, len: *mut c_uint);
    libc::SYS_sendto => datagram::sendto: fn(fd: c_int, data: *const c_void, size: usize, flags: c_int, to: *const libc::sockaddr, len: c_uint);
    libc::SYS_sendmsg => datagram::sendmsg: fn(fd: c_int, message: *const libc::msghdr, flags: c_int);
    libc::SYS_sendmmsg => datagram::sendmmsg: fn(fd: c_int, messages: *mut libc::mmsghdr, count: c_uint, flags: c_int);
    libc::SYS_recvfrom => receive::recvfrom: fn(fd: c_int, data: *mut c_void, size: usize, flags: c_int, from: *mut libc::sockaddr, len: *mut c_uint);
    libc::SYS_recvmsg => receive::recvmsg: fn(fd: c_int, message: *mut libc::msghdr, flags: c_int);
    libc::SYS_recvmmsg => receive::recvmmsg: fn(fd: c_int, messages: *mut libc::mmsghdr, count: c_uint, flags: c_int, timeout: *mut libc::timespec);
    libc::SYS_execve => exec::execve: fn(path: *const libc::c_char, argv: *const *const libc::c_char, envp: *const *const libc::c_char);
    libc::SYS_execveat => exec::execveat: fn(directory: c_int, path: *const libc::c_char, argv: *const *const libc::c_char, envp: *const *const libc::c_char, flags: c_int);
}
