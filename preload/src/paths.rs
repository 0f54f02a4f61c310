//! Where datagrams go, as the agent has said lately: without a question for each of them.
//!
//! Two tables of fixed size, without locks: by socket and remote address, and by the agent's address. What
//! a signal handler finds half written it takes for unknown. What is older than a second is unknown, too,
//! so that the routes of an agent that was restarted are heard of.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence};

use rustix::time::{ClockId, clock_gettime};
use underpass_core::destination::canonical;
use underpass_core::wire::AT;

use crate::redirect::datagram::Way;

/// How long an entry is good, in milliseconds.
const GOOD: u32 = 1000;
/// Entries that share a place.
const WAYS: usize = 4;
const PLACES: usize = 64;

/// Whether anything was ever learned: a program without datagrams pays for no more than this.
static USED: AtomicBool = AtomicBool::new(false);
/// By socket and remote address.
static OUT: Table = Table::new();
/// By the agent's address.
static BACK: Table = Table::new();

/// Whether this process has sent datagrams through the agent.
pub(crate) fn is_used() -> bool {
    USED.load(Relaxed)
}

/// The way from a socket to `address`. The socket is only asked for its cookie where the address is known.
pub(crate) fn way(address: SocketAddr, cookie: impl FnOnce() -> Option<u64>) -> Option<Way> {
    if !is_used() {
        return None;
    }
    let (place, now) = (place_of(address), now());
    let fresh = |entry: &Entry| entry.read(now).filter(|content| content.is_for(address));
    let any = OUT.entries(place).iter().any(|entry| fresh(entry).is_some());
    let cookie = if any { cookie()? } else { return None };
    let found = OUT.entries(place).iter().filter_map(fresh).find(|content| content.key == cookie)?;
    unpack_way(found.value)
}

/// Takes what the agent has said. Refusals are not kept.
pub(crate) fn learn(cookie: u64, address: SocketAddr, way: Way) {
    if let Some(value) = pack_way(way) {
        USED.store(true, Relaxed);
        OUT.write(place_of(address), Content::new(cookie, address, value));
        if let Way::Via(at) = way {
            learn_source(at, Some(address));
        }
    }
}

/// Forgets what is known of a socket.
pub(crate) fn forget(cookie: u64) {
    let now = now();
    for entry in &OUT.0 {
        if entry.read(now).is_some_and(|content| content.key == cookie) {
            entry.clear();
        }
    }
}

/// Whether a source may be one of the agent's sockets.
pub(crate) fn may_be_at(address: SocketAddr) -> bool {
    match canonical(address).ip() {
        IpAddr::V4(v4) => v4 == AT,
        IpAddr::V6(v6) => v6 == Ipv6Addr::LOCALHOST,
    }
}

/// For whom a source stands, if that is known: for itself, or for a remote address.
pub(crate) fn source(at: SocketAddr) -> Option<Option<SocketAddr>> {
    let key = pack_at(at)?;
    let now = now();
    let entries = BACK.entries(key as usize % PLACES).iter();
    let found = entries.filter_map(|entry| entry.read(now)).find(|content| content.key == key)?;
    Some((found.value == STANDS).then(|| found.address()))
}

/// Takes for whom a source stands.
pub(crate) fn learn_source(at: SocketAddr, address: Option<SocketAddr>) {
    let Some(key) = pack_at(at) else { return };
    USED.store(true, Relaxed);
    let value = if address.is_some() { STANDS } else { STANDS_NOT };
    BACK.write(key as usize % PLACES, Content::new(key, address.unwrap_or(at), value));
}

/// Values; 0 is that of an empty entry.
const STANDS: u64 = 1;
const STANDS_NOT: u64 = 2;
const DIRECT: u64 = 1 << 18;
const AT_V4: u64 = 1 << 16;
const AT_V6: u64 = 1 << 17;

fn pack_at(at: SocketAddr) -> Option<u64> {
    let kind = match canonical(at).ip() {
        IpAddr::V4(v4) if v4 == AT => AT_V4,
        IpAddr::V6(v6) if v6 == Ipv6Addr::LOCALHOST => AT_V6,
        _ => return None,
    };
    Some(kind | u64::from(at.port()))
}

fn pack_way(way: Way) -> Option<u64> {
    match way {
        Way::Direct => Some(DIRECT),
        Way::Via(at) => pack_at(at),
        Way::Refused(_) => None,
    }
}

fn unpack_way(value: u64) -> Option<Way> {
    let port = value as u16;
    match value & !0xffff {
        DIRECT => Some(Way::Direct),
        AT_V4 => Some(Way::Via((AT, port).into())),
        AT_V6 => Some(Way::Via((Ipv6Addr::LOCALHOST, port).into())),
        _ => None,
    }
}

fn place_of(address: SocketAddr) -> usize {
    let [high, low, rest] = words(address);
    let mixed = (high ^ low.rotate_left(17) ^ rest.rotate_left(31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % PLACES
}

/// An address in three words, IPv4 in its mapped form.
fn words(address: SocketAddr) -> [u64; 3] {
    let (ip, scope) = match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    let bits = u128::from(ip);
    [(bits >> 64) as u64, bits as u64, u64::from(scope) << 16 | u64::from(address.port())]
}

/// Milliseconds; the kernel's, which no library in the process has changed.
fn now() -> u32 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    (time.tv_sec as u32).wrapping_mul(1000).wrapping_add(time.tv_nsec as u32 / 1_000_000)
}

#[derive(Clone, Copy, Debug)]
struct Content {
    key: u64,
    words: [u64; 3],
    value: u64,
}

impl Content {
    fn new(key: u64, address: SocketAddr, value: u64) -> Self {
        Self { key, words: words(address), value }
    }

    fn is_for(&self, address: SocketAddr) -> bool {
        self.words == words(address)
    }

    fn address(&self) -> SocketAddr {
        let [high, low, rest] = self.words;
        let ip = Ipv6Addr::from(u128::from(high) << 64 | u128::from(low));
        let (port, scope) = (rest as u16, (rest >> 16) as u32);
        canonical(SocketAddrV6::new(ip, port, 0, scope).into())
    }
}

/// An entry, written by one thread at a time: the version is odd meanwhile.
struct Entry {
    version: AtomicU32,
    written: AtomicU32,
    words: [AtomicU64; 5],
}

impl Entry {
    const fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            written: AtomicU32::new(0),
            words: [const { AtomicU64::new(0) }; 5],
        }
    }

    fn read(&self, now: u32) -> Option<Content> {
        let version = self.version.load(Acquire);
        let [key, high, low, rest, value] = self.words.each_ref().map(|word| word.load(Relaxed));
        let written = self.written.load(Relaxed);
        fence(Acquire);
        let is_whole = version.is_multiple_of(2) && self.version.load(Relaxed) == version;
        let is_good = value != 0 && now.wrapping_sub(written) <= GOOD;
        (is_whole && is_good).then_some(Content { key, words: [high, low, rest], value })
    }

    /// Where another thread, or the one that this signal handler has interrupted, is writing: not at all.
    fn write(&self, content: Content, now: u32) {
        let version = self.version.load(Relaxed);
        let odd = version.wrapping_add(1);
        if !version.is_multiple_of(2)
            || self.version.compare_exchange(version, odd, Acquire, Relaxed).is_err()
        {
            return;
        }
        fence(Release);
        let Content { key, words: [high, low, rest], value } = content;
        for (word, new) in self.words.iter().zip([key, high, low, rest, value]) {
            word.store(new, Relaxed);
        }
        self.written.store(now, Relaxed);
        self.version.store(version.wrapping_add(2), Release);
    }

    fn clear(&self) {
        self.write(Content { key: 0, words: [0; 3], value: 0 }, 0);
    }
}

struct Table([Entry; PLACES * WAYS]);

impl Table {
    const fn new() -> Self {
        Self([const { Entry::new() }; PLACES * WAYS])
    }

    fn entries(&self, place: usize) -> &[Entry] {
        self.0.get(place * WAYS..(place + 1) * WAYS).unwrap_or_default()
    }

    /// In place of what is known of the same, or else of the oldest.
    fn write(&self, place: usize, content: Content) {
        let now = now();
        let age = |entry: &Entry| match entry.read(now) {
            Some(old) if old.key == content.key && old.words == content.words => u32::MAX,
            // Unknown or too old, it is as good as empty.
            None => u32::MAX - 1,
            Some(_) => now.wrapping_sub(entry.written.load(Relaxed)),
        };
        if let Some(entry) = self.entries(place).iter().max_by_key(|entry| age(entry)) {
            entry.write(content, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Way {
        Way::Via((AT, port).into())
    }

    #[test]
    fn ways_are_kept_by_socket_and_address() {
        let address: SocketAddr = "10.0.0.1:9".parse().unwrap();
        let other = "[fe80::1%3]:9".parse().unwrap();
        assert_eq!(way(address, || Some(7)), None);
        learn(7, address, at(1));
        learn(8, address, Way::Via("[::1]:2".parse().unwrap()));
        learn(7, other, Way::Direct);
        learn(9, address, Way::Refused(1));
        assert_eq!(way(address, || Some(7)), Some(at(1)));
        assert_eq!(way(address, || Some(8)), Some(Way::Via("[::1]:2".parse().unwrap())));
        assert_eq!(way(other, || Some(7)), Some(Way::Direct));
        assert_eq!(way(address, || Some(9)), None);
        assert_eq!(way(address, || None), None);
        assert_eq!(source((AT, 1).into()), Some(Some(address)));
        learn(7, address, at(3));
        assert_eq!(way(address, || Some(7)), Some(at(3)));
        forget(7);
        assert_eq!(way(address, || Some(7)), None);
        assert!(way(address, || Some(8)).is_some());
    }

    #[test]
    fn sources_are_kept_whether_they_stand_for_another_or_not() {
        let (one, two) = (SocketAddr::from((AT, 101)), "[::1]:101".parse().unwrap());
        let address = "[fd00::1]:65535".parse().unwrap();
        assert_eq!(source(one), None);
        learn_source(one, Some(address));
        learn_source(two, None);
        assert_eq!((source(one), source(two)), (Some(Some(address)), Some(None)));
        assert_eq!(source("[::ffff:127.117.112.1]:101".parse().unwrap()), Some(Some(address)));
        assert_eq!(source("127.0.0.1:101".parse().unwrap()), None);
    }

    #[test]
    fn what_is_old_or_half_written_is_unknown() {
        let entry = Entry::new();
        let content = Content::new(1, "10.0.0.1:9".parse().unwrap(), DIRECT);
        assert!(entry.read(0).is_none());
        entry.write(content, u32::MAX - 5);
        assert!(entry.read(u32::MAX).is_some() && entry.read(GOOD - 6).is_some());
        assert!(entry.read(GOOD - 5).is_none());
        entry.version.store(7, Relaxed);
        assert!(entry.read(u32::MAX).is_none());
        entry.write(content, 9);
        assert_eq!(entry.version.load(Relaxed), 7);
    }

    #[test]
    fn a_place_keeps_the_newest() {
        let table = Table::new();
        for key in 1..=WAYS as u64 + 2 {
            table.write(3, Content::new(key, "10.0.0.1:9".parse().unwrap(), DIRECT));
        }
        let now = now();
        let keys: Vec<_> = table.entries(3).iter().filter_map(|e| e.read(now)).map(|c| c.key).collect();
        assert_eq!(keys.len(), WAYS);
        assert!(keys.contains(&(WAYS as u64 + 2)), "{keys:?}");
    }
}
