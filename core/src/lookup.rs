//! What the arguments of the resolver functions mean, without I/O and without a C library.
//!
//! The preload library asks here what it has to ask the agent; everything that libc decides by itself
//! (numeric hosts, services, wrong arguments) stays libc's.
//!
//! # Layout
//!
//! - this file: getaddrinfo(3)'s hints
//! - `search`: the names that res_search(3) tries, one after the other
//! - `question`: what is put behind a DNS question, and what an answer's head says

mod question;
mod search;
#[cfg(test)]
mod tests;

pub use question::{Edns, Head, head, told};
pub use search::{Found, Herror, Policy, Tried, search};

use crate::wire::{Family, MAX_NAME};

/// netdb.h of glibc on Linux.
pub mod flag {
    /// `AI_NUMERICHOST`
    pub const NUMERICHOST: i32 = 0x4;
    /// `AI_V4MAPPED`
    pub const V4MAPPED: i32 = 0x8;
    /// `AI_ALL`
    pub const ALL: i32 = 0x10;
    /// `AI_ADDRCONFIG`
    pub const ADDRCONFIG: i32 = 0x20;
    /// `AI_IDN`
    pub const IDN: i32 = 0x40;
    /// `AI_CANONIDN`
    pub const CANONIDN: i32 = 0x80;
    /// All that glibc knows; with any other it says `EAI_BADFLAGS`.
    pub const KNOWN: i32 = 0x7ff;
}

const AF_UNSPEC: i32 = 0;
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

/// Which addresses of a name are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Asked for first.
    pub first: Family,
    /// IPv4 addresses are wanted too, to be written as IPv6 ones: where there are no others, or always.
    pub mapped: Option<Mapped>,
}

/// When IPv4-mapped addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// Where the name has no IPv6 address (`AI_V4MAPPED`).
    Instead,
    /// Behind the IPv6 addresses (`AI_V4MAPPED` and `AI_ALL`).
    Also,
}

/// What to ask for a name under these hints; `None` where nobody is to be asked, since the flags forbid
/// it or are wrong.
pub fn wanted(flags: i32, family: i32) -> Option<Wanted> {
    if flags & !flag::KNOWN != 0 || flags & flag::NUMERICHOST != 0 {
        return None;
    }
    let first = match family {
        AF_UNSPEC => Family::Any,
        AF_INET => Family::V4,
        AF_INET6 => Family::V6,
        _ => return None,
    };
    let mapped = match (first, flags & flag::V4MAPPED != 0, flags & flag::ALL != 0) {
        (Family::V6, true, true) => Some(Mapped::Also),
        (Family::V6, true, false) => Some(Mapped::Instead),
        _ => None,
    };
    Some(Wanted { first, mapped })
}

/// The flags under which libc makes an entry of a numeric address, and asks nobody.
///
/// `AI_ADDRCONFIG` is about what addresses the machine has, for which libc opens a netlink socket; it is
/// left out unless there is a `choice` between families.
pub fn numeric(flags: i32, choice: bool) -> i32 {
    let without = if choice { 0 } else { flag::ADDRCONFIG };
    (flags | flag::NUMERICHOST) & !without
}

/// Whether libc may take a host for an address: as inet_aton(3) reads it, it begins with a digit, and an IPv6 address has a colon. Everything else is a name.
pub fn may_be_numeric(host: &[u8]) -> bool {
    matches!(host, [] | [b'0'..=b'9', ..]) || host.contains(&b':')
}

/// Whether a question about a name can be written at all (RFC 1035 section 2.3.4): what is too long, or has
/// an empty label, does not exist.
pub fn is_name(name: &[u8]) -> bool {
    let labels = name.strip_suffix(b".").unwrap_or(name);
    labels.len() <= MAX_NAME - 2 && labels.split(|b| *b == b'.').all(|label| (1..=63).contains(&label.len()))
}
