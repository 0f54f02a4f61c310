//! Addresses to names: the agent knows those of fake addresses and of the hosts file; what it does not know
//! stays numeric, since a reverse look-up here would tell a resolver whom the program talks to.

use std::ffi::{c_char, c_void};
use std::net::IpAddr;
use std::ptr::null_mut;

use libc::{c_int, hostent, size_t, sockaddr, socklen_t};
use underpass_core::lookup::Herror;
use underpass_core::wire::{Reply, Request};

use super::hostname::{self, Place};
use super::{hooks, idn};
use crate::address::Given;
use crate::host_entry::Host;
use crate::name::Name;
use crate::{link, real};

/// netdb.h: the known flags of getnameinfo(3), and NI_IDN.
const NI_KNOWN: c_int = 0xff;
const NI_IDN: c_int = 0x20;

hooks! {
    /// getnameinfo(3).
    fn getnameinfo(address: *const sockaddr, len: socklen_t, host: *mut c_char, host_size: socklen_t, service: *mut c_char, service_size: socklen_t, flags: c_int) -> c_int,
        closed libc::EAI_FAIL => {
            let Some(real) = real::getnameinfo.get() else { return libc::EAI_SYSTEM };
            let by_libc = |flags| real(address, len, host, host_size, service, service_size, flags);
            let by_name = flags & (libc::NI_NUMERICHOST | !NI_KNOWN) == 0 && !host.is_null() && host_size != 0;
            let given = if by_name { crate::address::read(address, len) } else { Given::Nothing };
            let Given::Inet(given) = given else { return by_libc(flags) };
            let Some(name) = name_of(given.ip()) else { return by_libc(flags | libc::NI_NUMERICHOST) };
            let (name, _) = name.split();
            let shown = if flags & NI_IDN != 0 { idn::to_native(name) } else { None };
            let name = shown.as_ref().map_or(name, Name::as_bytes);
            let name = if flags & libc::NI_NOFQDN != 0 { without_domain(name) } else { name };
            if name.len() >= host_size as usize {
                return libc::EAI_OVERFLOW;
            }
            std::ptr::copy_nonoverlapping(name.as_ptr().cast(), host, name.len());
            *host.add(name.len()) = 0;
            if service.is_null() || service_size == 0 {
                return 0;
            }
            real(address, len, null_mut(), 0, service, service_size, flags & !libc::NI_NAMEREQD)
        };

    /// gethostbyaddr(3).
    fn gethostbyaddr(address: *const c_void, len: socklen_t, family: c_int) -> *mut hostent,
        closed null_mut() => hostname::in_static(|place| by_address(address, len, family, place));

    /// What it was in libresolv, for programs that were linked before glibc 2.26.
    fn res_gethostbyaddr(address: *const c_void, len: socklen_t, family: c_int) -> *mut hostent,
        closed null_mut() => hostname::in_static(|place| by_address(address, len, family, place));

    /// gethostbyaddr_r(3).
    fn gethostbyaddr_r(address: *const c_void, len: socklen_t, family: c_int, entry: *mut hostent, buffer: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int,
        closed libc::EAGAIN => by_address(address, len, family, Place { entry, buffer, size, result, error });
}

fn name_of(ip: IpAddr) -> Option<Name> {
    link::ask(&Request::NameOf { ip: ip.to_canonical() }, |reply| match reply {
        Reply::Name { name } => Some(Name::new(name)),
        _ => None,
    })
    .ok()
    .flatten()
}

/// `NI_NOFQDN`: without the domain of this host, as its own name tells it.
fn without_domain(name: &[u8]) -> &[u8] {
    let uname = rustix::system::uname();
    let own = uname.nodename().to_bytes();
    let Some(dot) = own.iter().position(|b| *b == b'.') else { return name };
    let domain = own.get(dot..).unwrap_or_default();
    match name.strip_suffix(domain) {
        Some(host) if !host.is_empty() => host,
        _ => name,
    }
}

/// # Safety
///
/// The arguments are as gethostbyaddr_r(3) requires.
unsafe fn by_address(address: *const c_void, len: socklen_t, family: c_int, place: Place) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        *place.result = null_mut();
        let ip = crate::address::read_ip(address, len, family);
        match ip.and_then(|ip| Some((ip, name_of(ip)?))) {
            Some((ip, name)) => {
                let (name, aliases) = name.split();
                place.put(&Host { name, aliases, addresses: &[ip] })
            }
            None if ip.is_some_and(|ip| ip.is_unspecified() && ip.is_ipv6()) => {
                place.not(Herror::NotFound as c_int, libc::ENOENT)
            }
            None => place.not(Herror::NotFound as c_int, 0),
        }
    }
}
