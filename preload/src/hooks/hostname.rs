//! `gethostbyname` and its relatives, over the same question as `getaddrinfo`.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use libc::{c_int, hostent, size_t};
use underpass_core::lookup::{self, Herror};
use underpass_core::wire::Family;

use super::{hooks, resolve};
use crate::host_entry::{self, Host};
use crate::{errno, real};

/// netdb.h: errno says more.
const NETDB_INTERNAL: c_int = -1;

unsafe extern "C" {
    fn __h_errno_location() -> *mut c_int;
}

pub(super) fn set_h_errno(value: c_int) {
    // SAFETY: the address of this thread's h_errno (glibc, netdb.h).
    unsafe { *__h_errno_location() = value }
}

/// The largest entry that an answer of the agent can be is smaller: twelve addresses, and names of 255 bytes,
/// of which each has a pointer.
const SIZE: usize = 2048;

/// What the functions without `_r` return, overwritten by each call, as gethostbyname(3) says.
struct Static(UnsafeCell<(MaybeUninit<hostent>, [c_char; SIZE])>);

// SAFETY: gethostbyname(3) is not thread-safe by its own documentation (MT-Unsafe race:hostbyname);
// a program that calls it from two threads at once has the same race with libc's buffer.
unsafe impl Sync for Static {}

static RESULT: Static = Static(UnsafeCell::new((MaybeUninit::zeroed(), [0; SIZE])));

hooks! {
    /// gethostbyname(3).
    fn gethostbyname(name: *const c_char) -> *mut hostent,
        closed null_mut() => in_static(|place| by_name(name, libc::AF_INET, place));

    /// gethostbyname2(3).
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent,
        closed null_mut() => in_static(|place| by_name(name, family, place));

    /// What gethostbyname(3) was in libresolv, for programs that were linked before glibc 2.26.
    fn res_gethostbyname(name: *const c_char) -> *mut hostent,
        closed null_mut() => in_static(|place| by_name(name, libc::AF_INET, place));

    /// As above.
    fn res_gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent,
        closed null_mut() => in_static(|place| by_name(name, family, place));

    /// gethostbyname_r(3).
    fn gethostbyname_r(name: *const c_char, entry: *mut hostent, buffer: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int,
        closed libc::EAGAIN => by_name(name, libc::AF_INET, Place { entry, buffer, size, result, error });

    /// gethostbyname2_r(3).
    fn gethostbyname2_r(name: *const c_char, family: c_int, entry: *mut hostent, buffer: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int,
        closed libc::EAGAIN => by_name(name, family, Place { entry, buffer, size, result, error });
}

/// Where an `_r` function is to write to: the last five of its arguments.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) entry: *mut hostent,
    pub(super) buffer: *mut c_char,
    pub(super) size: size_t,
    pub(super) result: *mut *mut hostent,
    pub(super) error: *mut c_int,
}

/// Runs an `_r` function over the static buffer.
pub(super) fn in_static(call: impl FnOnce(Place) -> c_int) -> *mut hostent {
    let (mut found, mut error) = (null_mut(), 0);
    let (entry, buffer) = {
        let place = RESULT.0.get();
        // SAFETY: addresses of the static's parts are taken, nothing is read; see `Static` for who writes.
        unsafe { ((&raw mut (*place).0).cast::<hostent>(), (&raw mut (*place).1).cast::<c_char>()) }
    };
    call(Place { entry, buffer, size: SIZE, result: &mut found, error: &mut error });
    if found.is_null() {
        set_h_errno(error);
    }
    found
}

/// # Safety
///
/// The arguments are as gethostbyname2_r(3) requires.
unsafe fn by_name(name: *const c_char, family: c_int, place: Place) -> c_int {
    // SAFETY: the program's own pointers; null names crash in libc too.
    let name = unsafe {
        *place.result = null_mut();
        CStr::from_ptr(name)
    };
    let bytes = name.to_bytes();
    if is_numeric(bytes) {
        let Some(real) = real::gethostbyname2_r.get() else {
            // SAFETY: the caller's promise.
            return unsafe { place.not(Herror::NoRecovery as c_int, 0) };
        };
        // SAFETY: the caller's promise; libc answers numbers by itself and asks nobody.
        return unsafe {
            real(name.as_ptr(), family, place.entry, place.buffer, place.size, place.result, place.error)
        };
    }
    let wanted = match family {
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        // SAFETY: as above.
        _ if !lookup::is_name(bytes) => return unsafe { place.not(Herror::NotFound as c_int, 0) },
        _ => {
            errno::set(libc::EAFNOSUPPORT);
            // SAFETY: as above.
            return unsafe { place.not(Herror::NoData as c_int, libc::EAFNOSUPPORT) };
        }
    };
    // SAFETY: the caller's promise.
    unsafe {
        match resolve::ask(bytes, wanted, None) {
            Ok(known) => {
                let (canonical, aliases) = known.canonical.split();
                let asked = bytes.strip_suffix(b".").unwrap_or(bytes);
                let name = if canonical.is_empty() { asked } else { canonical };
                let only = aliases.is_empty() && !name.eq_ignore_ascii_case(asked);
                let aliases = if only { asked } else { aliases };
                place.put(&Host { name, aliases, addresses: known.addresses.as_slice() })
            }
            Err(libc::EAI_AGAIN) => place.not(Herror::TryAgain as c_int, libc::EAGAIN),
            Err(resolve::EAI_NODATA) => place.not(Herror::NoData as c_int, 0),
            Err(_) => place.not(Herror::NotFound as c_int, 0),
        }
    }
}

impl Place {
    /// No entry: `_r` functions tell the reason apart, and succeed where there is none to be had.
    ///
    /// # Safety
    ///
    /// `error` is the program's to write.
    pub(super) unsafe fn not(self, reason: c_int, code: c_int) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { *self.error = reason };
        code
    }

    /// # Safety
    ///
    /// All five are as gethostbyname_r(3) requires.
    pub(super) unsafe fn put(self, host: &Host<'_>) -> c_int {
        // SAFETY: the caller's promise.
        unsafe {
            match host_entry::write(self.entry, self.buffer, self.size, host) {
                Ok(()) => {
                    *self.result = self.entry;
                    self.not(0, 0)
                }
                Err(host_entry::TooSmall) => {
                    errno::set(libc::ERANGE);
                    self.not(NETDB_INTERNAL, libc::ERANGE)
                }
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
