//! `gethostbyname` and its relatives, over the same question as `getaddrinfo`.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char};
use std::net::IpAddr;
use std::ptr::null_mut;

use libc::{c_int, hostent, size_t};

use super::{hooks, resolve};
use crate::{host_entry, real};

// netdb.h
const HOST_NOT_FOUND: c_int = 1;
const TRY_AGAIN: c_int = 2;
const NO_RECOVERY: c_int = 3;
const NETDB_INTERNAL: c_int = -1;

unsafe extern "C" {
    fn __h_errno_location() -> *mut c_int;
}

pub(super) fn set_h_errno(value: c_int) {
    // SAFETY: the address of this thread's h_errno (glibc, netdb.h).
    unsafe { *__h_errno_location() = value }
}

/// What the functions without `_r` return, overwritten by each call, as gethostbyname(3) says.
struct Static(UnsafeCell<(std::mem::MaybeUninit<hostent>, [c_char; 1024])>);

// SAFETY: gethostbyname(3) is not thread-safe by its own documentation (MT-Unsafe race:hostbyname);
// a program that calls it from two threads at once has the same race with libc's buffer.
unsafe impl Sync for Static {}

static RESULT: Static = Static(UnsafeCell::new((std::mem::MaybeUninit::zeroed(), [0; 1024])));

hooks! {
    /// gethostbyname(3).
    fn gethostbyname(name: *const c_char) -> *mut hostent,
        closed null_mut() => in_static(|entry, buffer, size, result, error| {
            by_name(name, libc::AF_INET, entry, buffer, size, result, error)
        });

    /// gethostbyname2(3).
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent,
        closed null_mut() => in_static(|entry, buffer, size, result, error| {
            by_name(name, family, entry, buffer, size, result, error)
        });

    /// gethostbyname_r(3).
    fn gethostbyname_r(name: *const c_char, entry: *mut hostent, buffer: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int,
        closed libc::EAGAIN => by_name(name, libc::AF_INET, entry, buffer, size, result, error);

    /// gethostbyname2_r(3).
    fn gethostbyname2_r(name: *const c_char, family: c_int, entry: *mut hostent, buffer: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int,
        closed libc::EAGAIN => by_name(name, family, entry, buffer, size, result, error);
}

/// Runs an `_r` function over the static buffer.
pub(super) fn in_static(
    call: impl FnOnce(*mut hostent, *mut c_char, size_t, *mut *mut hostent, *mut c_int) -> c_int,
) -> *mut hostent {
    let (mut found, mut error) = (null_mut(), 0);
    let (entry, buffer) = {
        let place = RESULT.0.get();
        // SAFETY: addresses of the static's parts are taken, nothing is read; see `Static` for who writes.
        unsafe { ((&raw mut (*place).0).cast::<hostent>(), (&raw mut (*place).1).cast::<c_char>()) }
    };
    call(entry, buffer, 1024, &mut found, &mut error);
    if found.is_null() {
        set_h_errno(error);
    }
    found
}

/// # Safety
///
/// The arguments are as gethostbyname2_r(3) requires.
unsafe fn by_name(
    name: *const c_char,
    family: c_int,
    entry: *mut hostent,
    buffer: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: the program's own pointers; null names crash in libc too.
    unsafe {
        *result = null_mut();
        let bytes = CStr::from_ptr(name).to_bytes();
        if is_numeric(bytes) {
            // libc answers these by itself and asks nobody.
            return match real::gethostbyname2_r.get() {
                Some(real) => real(name, family, entry, buffer, size, result, error),
                None => failed(error, NO_RECOVERY),
            };
        }
        let found = match resolve::addresses(bytes, family) {
            Ok(found) => found.iter().next(),
            Err(libc::EAI_AGAIN) => return failed(error, TRY_AGAIN),
            Err(_) => None,
        };
        match found {
            Some(ip) => entry_of(bytes, ip, entry, buffer, size, result, error),
            None => failed(error, HOST_NOT_FOUND),
        }
    }
}

/// Not found: the function itself succeeds, with a null result (gethostbyname_r(3), glibc).
///
/// # Safety
///
/// `error` is the program's to write.
unsafe fn failed(error: *mut c_int, code: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { *error = code };
    if code == TRY_AGAIN { libc::EAGAIN } else { 0 }
}

/// # Safety
///
/// The arguments are as gethostbyname_r(3) requires.
pub(super) unsafe fn entry_of(
    name: &[u8],
    ip: IpAddr,
    entry: *mut hostent,
    buffer: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match host_entry::write(entry, buffer, size, name, ip) {
            Ok(()) => {
                *result = entry;
                *error = 0;
                0
            }
            Err(host_entry::TooSmall) => {
                *error = NETDB_INTERNAL;
                libc::ERANGE
            }
        }
    }
}

/// Whether libc takes the name for an address and asks nobody: digits and dots, or IPv6. Anything else,
/// also what inet_aton(3) would read, it looks up.
fn is_numeric(name: &[u8]) -> bool {
    let dotted = name.iter().all(|b| b.is_ascii_digit() || *b == b'.') && name.last() != Some(&b'.');
    dotted || std::str::from_utf8(name).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}
