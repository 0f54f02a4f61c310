//! Addresses to names: fake addresses have one, all others stay numeric, since a reverse look-up
//! would tell a resolver whom the program talks to.

use std::ffi::{c_char, c_void};
use std::net::IpAddr;
use std::ptr::null_mut;

use libc::{c_int, hostent, size_t, sockaddr, socklen_t};
use underpass_core::wire::{MAX_NAME, Reply, Request};

use super::{hooks, hostname};
use crate::address::Given;
use crate::{link, real};

hooks! {
    /// getnameinfo(3).
    fn getnameinfo(address: *const sockaddr, len: socklen_t, host: *mut c_char, host_size: socklen_t, service: *mut c_char, service_size: socklen_t, flags: c_int) -> c_int,
        closed libc::EAI_FAIL => {
            let Some(real) = real::getnameinfo.get() else { return libc::EAI_SYSTEM };
            let by_libc = |flags| real(address, len, host, host_size, service, service_size, flags);
            let Given::Inet(given) = crate::address::read(address, len) else { return by_libc(flags) };
            if flags & libc::NI_NUMERICHOST != 0 || host.is_null() || host_size == 0 {
                return by_libc(flags);
            }
            let Some(name) = name_of(given.ip()) else {
                return if flags & libc::NI_NAMEREQD != 0 { libc::EAI_NONAME } else { by_libc(flags | libc::NI_NUMERICHOST) };
            };
            let name = name.as_bytes();
            if name.len() + 1 > host_size as usize {
                return libc::EAI_OVERFLOW;
            }
            // The service first: a failure there must leave the host alone.
            if !service.is_null() && service_size != 0 {
                let rc = real(address, len, null_mut(), 0, service, service_size, flags & !libc::NI_NAMEREQD);
                if rc != 0 {
                    return rc;
                }
            }
            std::ptr::copy_nonoverlapping(name.as_ptr().cast(), host, name.len());
            *host.add(name.len()) = 0;
            0
        };

    /// gethostbyaddr(3).
    fn gethostbyaddr(address: *const c_void, len: socklen_t, family: c_int) -> *mut hostent,
        closed null_mut() => hostname::in_static(|entry, buffer, size, result, error| {
            by_address(address, len, family, entry, buffer, size, result, error)
        });

    /// gethostbyaddr_r(3).
    fn gethostbyaddr_r(address: *const c_void, len: socklen_t, family: c_int, entry: *mut hostent, buffer: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int,
        closed libc::EAGAIN => by_address(address, len, family, entry, buffer, size, result, error);
}

/// A name on the stack.
struct Name {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Name {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn name_of(ip: IpAddr) -> Option<Name> {
    link::ask(&Request::NameOf { ip: ip.to_canonical() }, |reply| match reply {
        Reply::Name { name } => {
            let mut own = Name { bytes: [0; MAX_NAME], len: name.len() };
            own.bytes.get_mut(..name.len())?.copy_from_slice(name);
            Some(own)
        }
        _ => None,
    })
    .ok()
    .flatten()
}

/// # Safety
///
/// The arguments are as gethostbyaddr_r(3) requires.
#[allow(clippy::too_many_arguments, reason = "the arguments of gethostbyaddr_r(3)")]
unsafe fn by_address(
    address: *const c_void,
    len: socklen_t,
    family: c_int,
    entry: *mut hostent,
    buffer: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    const HOST_NOT_FOUND: c_int = 1;
    // SAFETY: the caller's promise.
    unsafe {
        *result = null_mut();
        let named = crate::address::read_ip(address, len, family).and_then(|ip| Some((ip, name_of(ip)?)));
        match named {
            Some((ip, name)) => hostname::entry_of(name.as_bytes(), ip, entry, buffer, size, result, error),
            None => {
                *error = HOST_NOT_FOUND;
                0
            }
        }
    }
}
