//! Fake addresses: stand-ins for names that are not resolved here.
//!
//! One table per agent, so an address that one process was given is good in every other, also after
//! exec and in the next launch. It is kept in a file, so that a restarted agent knows the addresses
//! that programs still hold. No address is given twice in the table's life.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use parking_lot::Mutex;
use underpass_core::wire::MAX_NAME;

use crate::lines::Lines;

/// 198.18.0.0/15, set aside for benchmarks of network devices (RFC 2544, RFC 5735): no host on any
/// network should have such an address.
const V4_BASE: u32 = 0xc612_0000;
/// Less the first and the last address of the block.
const CAPACITY: u32 = (1 << 17) - 2;
/// A unique local prefix (RFC 4193) of our own.
const V6_BASE: u128 = 0xfd75_6e64_6572_7061_0000_0000_0000_0000;

/// Whether an address is one of a fake pool, known to the table or not.
fn index_of(ip: IpAddr) -> Option<u32> {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let offset = u32::from(v4).wrapping_sub(V4_BASE);
            (offset < 1 << 17).then(|| offset.wrapping_sub(1))
        }
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            (bits >> 64 == V6_BASE >> 64)
                .then(|| u32::try_from((bits as u64).wrapping_sub(1)).unwrap_or(u32::MAX))
        }
    }
}

fn addresses(index: u32) -> (Ipv4Addr, Ipv6Addr) {
    (Ipv4Addr::from(V4_BASE + 1 + index), Ipv6Addr::from(V6_BASE + 1 + u128::from(index)))
}

#[derive(Default)]
struct Table {
    by_name: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

/// The table of one agent.
pub(crate) struct Names {
    table: Mutex<Table>,
    lines: Lines,
}

/// What an address is to this agent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// An address like any other.
    Real,
    /// It stands for this name.
    Name(String),
    /// It is in a fake pool, and stands for nothing.
    Unknown,
}

/// Why a name was given no address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAddress {
    /// The pool is used up, or the table cannot be kept.
    Full,
}

/// A host name as it is looked up and sent: lower case, no trailing dot, 1 to 255 bytes without
/// blanks and control characters. UTF-8 is left to the far end.
pub(crate) fn normalised(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let good = !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    good.then(|| name.to_ascii_lowercase())
}

impl Names {
    /// The table kept in the file at `path`, one name a line, in the order of their addresses.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (lines, found) = Lines::open(path)?;
        let mut table = Table::default();
        for name in found {
            let name: Box<str> = name.into();
            let index = table.names.len() as u32;
            table.by_name.insert(name.clone(), index);
            table.names.push(name);
        }
        Ok(Self { table: Mutex::new(table), lines })
    }

    /// The addresses that stand for a normalised name, from now on.
    pub(crate) fn addresses_of(&self, name: &str) -> Result<(Ipv4Addr, Ipv6Addr), NoAddress> {
        let mut table = self.table.lock();
        if let Some(&index) = table.by_name.get(name) {
            return Ok(addresses(index));
        }
        let index = table.names.len() as u32;
        if index >= CAPACITY {
            tracing::warn!("the pool of fake addresses is used up: {CAPACITY} names");
            return Err(NoAddress::Full);
        }
        // The file first: an address that a restarted agent would give to another name is never given.
        if let Err(error) = self.lines.append(name) {
            tracing::warn!(%error, "the table of names cannot be kept");
            return Err(NoAddress::Full);
        }
        table.by_name.insert(name.into(), index);
        table.names.push(name.into());
        Ok(addresses(index))
    }

    /// Ends the table's life where a long one has used up much of the pool; called when no program is
    /// left that could hold an address.
    pub(crate) fn remove_if_crowded(&self, path: &Path) {
        if self.table.lock().names.len() as u32 > CAPACITY / 2 {
            let _ = std::fs::remove_file(path);
        }
    }

    /// What an address that a program wants to reach stands for.
    pub(crate) fn meaning(&self, ip: IpAddr) -> Meaning {
        match index_of(ip) {
            None => Meaning::Real,
            Some(index) => match self.table.lock().names.get(index as usize) {
                Some(name) => Meaning::Name(name.to_string()),
                None => Meaning::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(what: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("underpass-names-{what}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn a_name_keeps_its_addresses_over_a_restart() {
        let path = scratch("restart");
        let first = Names::open(&path).unwrap();
        let a = first.addresses_of("a.test").unwrap();
        let b = first.addresses_of("b.test").unwrap();
        assert_eq!(a.0, Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(first.addresses_of("a.test"), Ok(a));
        drop(first);
        let second = Names::open(&path).unwrap();
        assert_eq!(second.meaning(b.0.into()), Meaning::Name("b.test".into()));
        assert_eq!(second.meaning(b.1.into()), Meaning::Name("b.test".into()));
        assert_eq!(second.meaning(IpAddr::V6(a.0.to_ipv6_mapped())), Meaning::Name("a.test".into()));
        assert_ne!(second.addresses_of("c.test").unwrap(), b);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn every_address_of_the_pools_is_fake_and_no_other() {
        let path = scratch("pools");
        let names = Names::open(&path).unwrap();
        for unknown in [
            "198.18.0.0",
            "198.18.0.1",
            "198.19.255.255",
            "fd75:6e64:6572:7061::1",
            "fd75:6e64:6572:7061:ffff::",
        ] {
            assert_eq!(names.meaning(unknown.parse().unwrap()), Meaning::Unknown, "{unknown}");
        }
        for real in ["198.17.255.255", "198.20.0.0", "10.0.0.1", "fd75:6e64:6572:7062::1", "::1"] {
            assert_eq!(names.meaning(real.parse().unwrap()), Meaning::Real, "{real}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn names_are_bounded_and_folded() {
        assert_eq!(normalised(b"WWW.Example.org.").as_deref(), Some("www.example.org"));
        for bad in [&b""[..], b".", b"a b", b"a\nb", b"\xff", &[b'a'; 256]] {
            assert_eq!(normalised(bad), None, "{bad:?}");
        }
    }
}
