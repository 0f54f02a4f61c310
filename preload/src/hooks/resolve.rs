//! `getaddrinfo`: names go to the agent, and the real function builds the answer from numeric
//! addresses, so that its shape is libc's and libc's `freeaddrinfo` frees it.

use std::ffi::{CStr, c_char};
use std::io::Write;
use std::time::Duration;

use libc::{addrinfo, c_int};
use underpass_core::lookup::{self, Mapped, Wanted, flag};
use underpass_core::wire::{Addresses, Family, Reply, Request};

use super::{hooks, idn};
use crate::entries::{self, Entries};
use crate::link::{self, LinkError};
use crate::name::Name;
use crate::real;

/// The longest numeric address with a scope, and a zero (INET6_ADDRSTRLEN plus IF_NAMESIZE).
const NUMERIC: usize = 64;
/// The name exists, and has no address of that family (netdb.h; glibc's extension).
pub(super) const EAI_NODATA: c_int = -5;
/// Not answered yet (netdb.h; getaddrinfo_a(3)).
pub(super) const EAI_INPROGRESS: c_int = -100;

hooks! {
    /// getaddrinfo(3).
    fn getaddrinfo(node: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo) -> c_int,
        closed libc::EAI_FAIL => find(node, service, hints, result, None);
}

/// Gives [`EAI_INPROGRESS`] where the agent does not answer within `patience`.
///
/// # Safety
///
/// The arguments are as getaddrinfo(3) requires.
pub(super) unsafe fn find(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
    patience: Option<Duration>,
) -> c_int {
    // SAFETY: the caller's promise.
    let call = unsafe {
        // `*` is no host either.
        if node.is_null() || CStr::from_ptr(node) == c"*" {
            let Some(real) = real::getaddrinfo.get() else { return libc::EAI_SYSTEM };
            return real(node, service, hints, result);
        }
        let hints = if hints.is_null() { defaults() } else { *hints };
        Call { node: CStr::from_ptr(node), service, hints, patience }
    };
    match call.answer() {
        Ok(list) => {
            // The entries show the flags of the call.
            let list = list.with_flags(call.hints.ai_flags);
            // SAFETY: the program's result pointer.
            unsafe { *result = list.into_raw() };
            0
        }
        Err(code) => code,
    }
}

/// What getaddrinfo(3) assumes without hints (glibc).
fn defaults() -> addrinfo {
    // SAFETY: all zero bytes are a valid addrinfo (null pointers and integers).
    let mut hints: addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_flags = flag::V4MAPPED | flag::ADDRCONFIG;
    hints
}

/// One call for a host.
struct Call<'a> {
    node: &'a CStr,
    /// Null or a C string.
    service: *const c_char,
    hints: addrinfo,
    patience: Option<Duration>,
}

impl Call<'_> {
    fn answer(&self) -> Result<Entries, c_int> {
        let wanted = lookup::wanted(self.hints.ai_flags, self.hints.ai_family);
        let Some(wanted) = wanted.filter(|_| !lookup::may_be_numeric(self.node.to_bytes())) else {
            // Numbers, and what is wrong, libc answers by itself.
            return match self.by_libc(self.node, false) {
                Err(libc::EAI_NONAME) => self.named(wanted.ok_or(libc::EAI_NONAME)?),
                Ok(_) if self.hints.ai_flags & flag::ADDRCONFIG != 0 => self.by_libc(self.node, true),
                other => other,
            };
        };
        // What is wrong with the rest of the call comes before what is wrong with the name.
        self.named(wanted).map_err(|code| match self.by_libc(self.node, false) {
            Err(libc::EAI_NONAME) | Ok(_) => code,
            Err(before) => before,
        })
    }

    fn named(&self, wanted: Wanted) -> Result<Entries, c_int> {
        let flags = self.hints.ai_flags;
        let name = self.node.to_bytes();
        let own = if flags & flag::IDN != 0 { idn::to_ascii(self.node)? } else { None };
        let found = addresses(own.as_ref().map_or(name, Name::as_bytes), wanted, self.patience)?;
        let list = self.build(&found.addresses)?;
        if flags & libc::AI_CANONNAME != 0 {
            let plain = name.strip_suffix(b".").unwrap_or(name);
            let asked = own.as_ref().map_or(plain, Name::as_bytes);
            let (canonical, _) = found.canonical.split();
            let canonical = if canonical.is_empty() { asked } else { canonical };
            let native = if flags & flag::CANONIDN != 0 { idn::to_native(canonical) } else { None };
            return Ok(list.with_name(native.as_ref().map_or(canonical, Name::as_bytes)));
        }
        Ok(list)
    }

    fn build(&self, found: &Addresses) -> Result<Entries, c_int> {
        let choice = found.iter().any(|ip| ip.is_ipv4()) && found.iter().any(|ip| ip.is_ipv6());
        let choice = choice && self.hints.ai_family == libc::AF_UNSPEC;
        let mut list: Result<Entries, c_int> = Err(libc::EAI_NONAME);
        for ip in found.iter() {
            let mut text = [0u8; NUMERIC];
            // The last byte stays zero.
            if write!(text.get_mut(..NUMERIC - 1).unwrap_or_default(), "{ip}").is_err() {
                continue;
            }
            let Ok(text) = CStr::from_bytes_until_nul(&text) else { continue };
            list = match (list, self.by_libc(text, choice).map(Entries::without_name)) {
                (Ok(head), Ok(tail)) => Ok(head.joined(tail)),
                (Ok(list), Err(_)) | (Err(_), Ok(list)) => Ok(list),
                (Err(_), Err(code)) => Err(code),
            };
        }
        list
    }

    /// The real function, which is to make entries of a numeric host.
    fn by_libc(&self, host: &CStr, choice: bool) -> Result<Entries, c_int> {
        let hints = addrinfo { ai_flags: lookup::numeric(self.hints.ai_flags, choice), ..self.hints };
        // SAFETY: `host` is a C string, and the service the program's own.
        unsafe { entries::numeric(host, self.service, &hints) }
    }
}

/// What the agent knows of a name.
pub(super) struct Known {
    pub(super) addresses: Addresses,
    /// Empty where it is the name that was asked for.
    pub(super) canonical: Name,
}

/// The addresses that stand for a name, in the agent's order; or an `EAI_` code.
fn addresses(name: &[u8], wanted: Wanted, patience: Option<Duration>) -> Result<Known, c_int> {
    let first = ask(name, wanted.first, patience);
    let enough = match wanted.mapped {
        None => true,
        Some(Mapped::Instead) => first.is_ok(),
        Some(Mapped::Also) => false,
    };
    if enough {
        return first;
    }
    match (first, ask(name, Family::V4, patience)) {
        (Err(EAI_INPROGRESS), _) | (_, Err(EAI_INPROGRESS)) => Err(EAI_INPROGRESS),
        (Ok(mut known), Ok(more)) => {
            more.addresses.iter().all(|ip| known.addresses.push(ip));
            Ok(known)
        }
        (Ok(known), Err(_)) | (Err(_), Ok(known)) => Ok(known),
        (Err(EAI_NODATA), Err(code)) | (Err(code), Err(_)) => Err(code),
    }
}

/// One question to the agent.
pub(super) fn ask(name: &[u8], family: Family, patience: Option<Duration>) -> Result<Known, c_int> {
    if !lookup::is_name(name) {
        return Err(libc::EAI_NONAME);
    }
    let asked = link::ask_within(&Request::Resolve { name, family }, patience, |reply| match reply {
        Reply::Resolved { addresses, canonical } => Ok(Known { addresses, canonical: Name::new(canonical) }),
        Reply::NoAddress => Err(EAI_NODATA),
        Reply::Unknown => Err(libc::EAI_NONAME),
        _ => Err(libc::EAI_AGAIN),
    });
    asked.unwrap_or_else(|error| Err(if error == LinkError::Late { EAI_INPROGRESS } else { libc::EAI_AGAIN }))
}
