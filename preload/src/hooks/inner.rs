//! Functions inside which libc looks names up by itself, where no hook sees it: they are answered from what
//! this machine knows, or with "no".

use std::ffi::{c_char, c_int, c_long, c_void};
use std::net::IpAddr;
use std::ptr::null_mut;

use rustix::fs::{Mode, OFlags};
use underpass_core::lookup::Herror;
use underpass_core::wire::Family;

use super::hooks;
use super::hostname::set_h_errno;
use super::resolve;
use crate::errno;

hooks! {
    /// gethostid(3): of /etc/hostid, or of the address of this machine's own name.
    fn gethostid() -> c_long,
        closed 0 => c_long::from(own_id());

    /// getnetbyname(3): no network has a name.
    fn getnetbyname(_name: *const c_char) -> *mut c_void,
        closed null_mut() => no_network();
    /// getnetbyaddr(3): as above.
    fn getnetbyaddr(_network: u32, _family: c_int) -> *mut c_void,
        closed null_mut() => no_network();
    /// getnetbyname_r(3): as above.
    fn getnetbyname_r(_name: *const c_char, _entry: *mut c_void, _buffer: *mut c_char, _size: usize, result: *mut *mut c_void, error: *mut c_int) -> c_int,
        closed 0 => {
            *result = null_mut();
            *error = Herror::NotFound as c_int;
            0
        };
    /// getnetbyaddr_r(3): as above.
    fn getnetbyaddr_r(_network: u32, _family: c_int, _entry: *mut c_void, _buffer: *mut c_char, _size: usize, result: *mut *mut c_void, error: *mut c_int) -> c_int,
        closed 0 => {
            *result = null_mut();
            *error = Herror::NotFound as c_int;
            0
        };

    /// ruserok(3): nobody is trusted by the name of a machine.
    fn ruserok(_host: *const c_char, _superuser: c_int, _remote: *const c_char, _local: *const c_char) -> c_int,
        closed -1 => -1;
    /// ruserok_af(3): as above.
    fn ruserok_af(_host: *const c_char, _superuser: c_int, _remote: *const c_char, _local: *const c_char, _family: u16) -> c_int,
        closed -1 => -1;
    /// iruserok(3): as above; files name machines by their names.
    fn iruserok(_address: u32, _superuser: c_int, _remote: *const c_char, _local: *const c_char) -> c_int,
        closed -1 => -1;
    /// iruserok_af(3): as above.
    fn iruserok_af(_address: *const c_void, _superuser: c_int, _remote: *const c_char, _local: *const c_char, _family: u16) -> c_int,
        closed -1 => -1;
}

fn no_network() -> *mut c_void {
    set_h_errno(Herror::NotFound as c_int);
    null_mut()
}

/// Exports functions that say that there is no answer, whatever they are asked: what libc keeps for itself and its
/// own libraries, and a program finds all the same (dlsym(3)).
macro_rules! silent {
    ($answer:expr; $($name:ident)*) => {
        hooks! { $(
            /// No answer.
            fn $name() -> c_int, closed $answer => $answer;
        )* }
    };
}

/// nss.h: this source has no answer, ask the next one.
const UNAVAILABLE: c_int = -1;

silent! {
    UNAVAILABLE;
    _nss_dns_getcanonname_r _nss_dns_gethostbyaddr2_r _nss_dns_gethostbyaddr_r _nss_dns_gethostbyname2_r
    _nss_dns_gethostbyname3_r _nss_dns_gethostbyname4_r _nss_dns_gethostbyname_r _nss_dns_getnetbyaddr_r
    _nss_dns_getnetbyname_r
}

silent! {
    errno::fail(libc::ECONNREFUSED);
    __res_context_query __res_context_search __res_context_send
}

/// As glibc makes it.
fn own_id() -> i32 {
    let mut kept = [0; 4];
    let file = rustix::fs::open("/etc/hostid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    if file.is_ok_and(|file| rustix::io::read(&file, &mut kept) == Ok(4)) {
        return i32::from_ne_bytes(kept);
    }
    let own = rustix::system::uname();
    match resolve::ask(own.nodename().to_bytes(), Family::V4, None) {
        Ok(known) => match known.addresses.iter().next() {
            Some(IpAddr::V4(v4)) => u32::from_ne_bytes(v4.octets()).rotate_left(16).cast_signed(),
            _ => 0,
        },
        Err(_) => 0,
    }
}
