//! `getaddrinfo`: names go to the agent, and the real function builds the answer from numeric
//! addresses, so that its shape is libc's and libc's `freeaddrinfo` frees it.

use std::ffi::{CStr, c_char};
use std::io::Write;

use libc::{addrinfo, c_int};
use underpass_core::wire::{Addresses, Family, MAX_NAME, Reply, Request};

use super::hooks;
use crate::{link, real};

/// The longest numeric address with a scope, and a zero (INET6_ADDRSTRLEN plus IF_NAMESIZE).
const NUMERIC: usize = 64;
/// The name exists, and has no address of that family (netdb.h; glibc's extension).
const EAI_NODATA: c_int = -5;

hooks! {
    /// getaddrinfo(3).
    fn getaddrinfo(node: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo) -> c_int,
        closed libc::EAI_FAIL => {
            let Some(real) = real::getaddrinfo.get() else { return libc::EAI_SYSTEM };
            if node.is_null() {
                return real(node, service, hints, result);
            }
            let wanted = if hints.is_null() { default_hints() } else { *hints };
            // Numeric hosts, bad flags and bad services are the real function's matter; with
            // AI_NUMERICHOST it asks nobody.
            let numeric = addrinfo { ai_flags: wanted.ai_flags | libc::AI_NUMERICHOST, ..wanted };
            let rc = real(node, service, &numeric, result);
            if rc != libc::EAI_NONAME || wanted.ai_flags & libc::AI_NUMERICHOST != 0 {
                return rc;
            }
            match addresses(CStr::from_ptr(node).to_bytes(), wanted.ai_family) {
                Ok(found) => build(node, service, &wanted, result, found),
                Err(code) => code,
            }
        };
}

/// What getaddrinfo(3) assumes without hints (glibc).
fn default_hints() -> addrinfo {
    // SAFETY: all zero bytes are a valid addrinfo (null pointers and integers).
    let mut hints: addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_flags = libc::AI_V4MAPPED | libc::AI_ADDRCONFIG;
    hints
}

/// The addresses that stand for a name, in the agent's order; or an `EAI_` code.
pub(super) fn addresses(name: &[u8], family: c_int) -> Result<Addresses, c_int> {
    let family = match family {
        libc::AF_UNSPEC => Family::Any,
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        _ => return Err(libc::EAI_FAMILY),
    };
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(libc::EAI_NONAME);
    }
    link::ask(&Request::Resolve { name, family }, |reply| match reply {
        Reply::Resolved { addresses, .. } => Ok(addresses),
        Reply::NoAddress => Err(EAI_NODATA),
        Reply::Unknown => Err(libc::EAI_NONAME),
        _ => Err(libc::EAI_AGAIN),
    })
    .unwrap_or(Err(libc::EAI_AGAIN))
}

/// # Safety
///
/// The pointers are as getaddrinfo(3) requires, `node` not null.
unsafe fn build(
    node: *const c_char,
    service: *const c_char,
    wanted: &addrinfo,
    result: *mut *mut addrinfo,
    found: Addresses,
) -> c_int {
    let Some(real) = real::getaddrinfo.get() else { return libc::EAI_SYSTEM };
    let mut head: *mut addrinfo = std::ptr::null_mut();
    let mut code = libc::EAI_NONAME;
    for ip in found.iter() {
        let mut text = [0u8; NUMERIC];
        // The array is longer than any address, and stays zero-terminated.
        if write!(text.get_mut(..NUMERIC - 1).unwrap_or_default(), "{ip}").is_err() {
            continue;
        }
        // AI_ADDRCONFIG is about addresses of the network; these never leave the machine.
        let flags = (wanted.ai_flags | libc::AI_NUMERICHOST) & !libc::AI_ADDRCONFIG;
        let numeric = addrinfo { ai_flags: flags, ..*wanted };
        let mut list = std::ptr::null_mut();
        // SAFETY: `text` is a C string, and the rest is the program's own.
        code = unsafe { real(text.as_ptr().cast(), service, &numeric, &mut list) };
        if code == 0 {
            // SAFETY: both are null or lists of getaddrinfo.
            head = unsafe { joined(head, list) };
        }
    }
    if head.is_null() {
        return code;
    }
    if wanted.ai_flags & libc::AI_CANONNAME != 0 {
        // SAFETY: the first entry of a list that we own until it is stored below; its canonical name
        // is a malloc'ed string of its own in glibc, which freeaddrinfo frees with free.
        unsafe {
            libc::free((*head).ai_canonname.cast());
            (*head).ai_canonname = libc::strdup(node);
        }
    }
    // SAFETY: the program's result pointer.
    unsafe { *result = head };
    0
}

/// # Safety
///
/// Each is null or a list that getaddrinfo made.
unsafe fn joined(head: *mut addrinfo, tail: *mut addrinfo) -> *mut addrinfo {
    if head.is_null() {
        return tail;
    }
    let mut last = head;
    // SAFETY: the list ends with a null `ai_next`; each entry is freed on its own by freeaddrinfo.
    unsafe {
        while !(*last).ai_next.is_null() {
            last = (*last).ai_next;
        }
        (*last).ai_next = tail;
    }
    head
}
