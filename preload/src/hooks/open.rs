//! What a program makes of its sockets: which there are, and how they are set.

use std::ffi::c_void;

use libc::{c_int, socklen_t};

use super::hooks;
use crate::redirect::datagram::{Opened, Setting, open, set};
use crate::redirect::{Kind, Socket};
use crate::socket::ProgramSocket;
use crate::{errno, link, real};

hooks! {
    /// socket(2): only what is carried is made, and what does not leave.
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int,
        closed errno::fail(libc::EAFNOSUPPORT) => opened(domain, kind, protocol);

    /// libc's own name for `socket`.
    fn __socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int,
        closed errno::fail(libc::EAFNOSUPPORT) => opened(domain, kind, protocol);

    /// setsockopt(2): what makes the kernel send, or send elsewhere, is refused.
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int,
        closed errno::fail(libc::EINVAL) => match refused(fd, level, name, value, len) {
            Some(errno) => errno::fail(errno),
            None => match real::setsockopt.get() {
                Some(setsockopt) => setsockopt(fd, level, name, value, len),
                None => errno::fail(libc::ENOSYS),
            },
        };
}

fn opened(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    match (open(domain, kind, protocol), real::socket.get()) {
        // SAFETY: socket(2) takes any values.
        (Opened::Protocol(protocol), Some(socket)) => unsafe { socket(domain, kind, protocol) },
        (Opened::Refused(errno, what), _) => {
            link::tell_barred(what);
            errno::fail(errno)
        }
        (Opened::Nothing, _) => errno::fail(libc::EINVAL),
        (_, None) => errno::fail(libc::ENOSYS),
    }
}

/// With which errno the option is refused, if it is.
///
/// # Safety
///
/// `value` is null or has `len` readable bytes.
unsafe fn refused(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> Option<c_int> {
    let (errno, what) = match set(level, name) {
        Setting::Pass => return None,
        // EBADF, by the kernel itself.
        Setting::Refused(..) if !ProgramSocket(fd).is_open() => return None,
        Setting::Refused(errno, what) => (errno, what),
        Setting::Device => {
            // SAFETY: the caller's promise.
            let bytes = unsafe { bytes(value, len) };
            // No name, or the number 0: to no device, as it is anyway.
            let is_name = (level, name) == (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
            let is_none = bytes.iter().take(if is_name { 1 } else { 4 }).all(|&byte| byte == 0);
            if is_none || ProgramSocket(fd).kind() != Ok(Kind::Datagram) {
                return None;
            }
            (libc::EPERM, Some(underpass_core::wire::Barred::Device))
        }
    };
    if let Some(what) = what {
        link::tell_barred(what);
    }
    Some(errno)
}

/// # Safety
///
/// `value` is null or has `len` readable bytes.
unsafe fn bytes<'a>(value: *const c_void, len: socklen_t) -> &'a [u8] {
    if value.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise; no more are taken than a device's name has.
    unsafe { std::slice::from_raw_parts(value.cast(), (len as usize).min(libc::IFNAMSIZ)) }
}
