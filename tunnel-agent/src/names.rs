//! Fake addresses: stand-ins for names that are not resolved here.
//!
//! One table per agent and pool, so an address that one process was given is good in every other, also
//! after exec and in the next launch. It is kept in a file, so that a restarted agent knows the addresses
//! that programs still hold. No address is given twice in the table's life, also where two agents have it, one of which
//! ends while the other has begun: each looks at what the other has written before it gives an address or knows none.
//!
//! A session may bring a pool of its own. The addresses of every pool that this agent has stand for names
//! in all of its sessions, since they travel from program to program; so no two pools may share one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use underpass_core::config::pool::Pool;
use underpass_core::wire::MAX_NAME;

use crate::lines::Lines;

/// How many pools one agent has at most.
const MAX_POOLS: usize = 16;
/// The file of the first pool; others follow it with their ranges.
const FILE: &str = "names";

#[derive(Default)]
struct Entries {
    by_name: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    /// That it is full has been said.
    has_complained: bool,
}

/// The names of one pool.
struct Table {
    pool: Pool,
    path: PathBuf,
    entries: Mutex<Entries>,
    lines: Lines,
}

/// The tables of one agent.
pub(crate) struct Names {
    directory: PathBuf,
    tables: RwLock<Vec<Arc<Table>>>,
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

/// Whether nobody has a host of this name, `invalid` or below it: resolvers answer so at once, and ask no one
/// (RFC 6761 section 6.4). `name` is [`normalised`].
pub(crate) fn is_nobodys(name: &str) -> bool {
    name == "invalid" || name.ends_with(".invalid")
}

impl Entries {
    fn add(&mut self, name: Box<str>) {
        let index = self.names.len() as u32;
        self.by_name.insert(name.clone(), index);
        self.names.push(name);
    }
}

impl Table {
    /// The table kept in the file at `path`, one name a line, in the order of their addresses.
    fn open(path: PathBuf, pool: Pool) -> io::Result<Self> {
        let (lines, found) = Lines::open(&path)?;
        let mut entries = Entries::default();
        for name in found {
            entries.add(name.into());
        }
        Ok(Self { pool, path, entries: Mutex::new(entries), lines })
    }

    fn addresses_of(&self, name: &str) -> Result<(Ipv4Addr, Ipv6Addr), NoAddress> {
        let mut entries = self.entries.lock();
        if let Some(&index) = entries.by_name.get(name) {
            return Ok(self.pool.addresses(index));
        }
        let capacity = self.pool.capacity();
        // The file first: an address that a restarted agent would give to another name is never given.
        let kept = self.lines.append_after(|news| {
            for other in news {
                entries.add(other.into());
            }
            let is_new = !entries.by_name.contains_key(name) && (entries.names.len() as u32) < capacity;
            is_new.then(|| name.to_owned())
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "the table of names cannot be kept");
            return Err(NoAddress::Full);
        }
        if let Some(&index) = entries.by_name.get(name) {
            return Ok(self.pool.addresses(index));
        }
        let index = entries.names.len() as u32;
        if index >= capacity {
            if !std::mem::replace(&mut entries.has_complained, true) {
                let pool = self.pool;
                tracing::warn!(names = index, %pool, "the pool of fake addresses is used up: new names have none");
            }
            return Err(NoAddress::Full);
        }
        entries.add(name.into());
        Ok(self.pool.addresses(index))
    }

    fn name(&self, index: u32) -> Option<String> {
        let mut entries = self.entries.lock();
        if index as usize >= entries.names.len() {
            // Another agent may have given it.
            let news = self.lines.news();
            let news = news.inspect_err(|error| tracing::warn!(%error, "the table of names cannot be read"));
            for other in news.unwrap_or_default() {
                entries.add(other.into());
            }
        }
        entries.names.get(index as usize).map(ToString::to_string)
    }
}

impl Names {
    /// The tables kept in `directory`.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let mut tables = vec![Arc::new(Table::open(directory.join(FILE), Pool::default())?)];
        for entry in fs::read_dir(directory)? {
            if let Some(pool) = entry?.file_name().to_str().and_then(pool_of) {
                tables.push(Arc::new(Table::open(directory.join(file_of(&pool)), pool)?));
            }
        }
        Ok(Self { directory: directory.to_owned(), tables: RwLock::new(tables) })
    }

    /// Makes a pool one of this agent's, or says why it cannot be.
    pub(crate) fn add(&self, pool: &Pool) -> Result<(), String> {
        self.table(pool).map(drop)
    }

    fn table(&self, pool: &Pool) -> Result<Arc<Table>, String> {
        let find = |tables: &[Arc<Table>]| tables.iter().find(|table| table.pool == *pool).cloned();
        if let Some(known) = find(&self.tables.read()) {
            return Ok(known);
        }
        let mut tables = self.tables.write();
        if let Some(known) = find(&tables) {
            return Ok(known);
        }
        if let Some(other) = tables.iter().find(|table| table.pool.overlaps(pool)) {
            let other = other.pool;
            return Err(format!("fake-pool {pool} shares addresses with another of this agent, {other}"));
        }
        if tables.len() >= MAX_POOLS {
            return Err(format!("fake-pool {pool}: this agent has {MAX_POOLS} of them already"));
        }
        let table = Table::open(self.directory.join(file_of(pool)), *pool);
        let table = Arc::new(table.map_err(|error| format!("fake-pool {pool}: it cannot be kept: {error}"))?);
        tables.push(Arc::clone(&table));
        Ok(table)
    }

    /// The addresses of `pool` that stand for a normalised name, from now on.
    pub(crate) fn addresses_of(&self, name: &str, pool: &Pool) -> Result<(Ipv4Addr, Ipv6Addr), NoAddress> {
        match self.table(pool) {
            Ok(table) => table.addresses_of(name),
            Err(why) => {
                tracing::warn!(reason = why.as_str(), "names have no addresses");
                Err(NoAddress::Full)
            }
        }
    }

    /// Ends the life of tables where a long one has used up much of the pool; called when no program is
    /// left that could hold an address. Pools that sessions have brought go with them.
    pub(crate) fn remove_if_crowded(&self) {
        for (number, table) in self.tables.read().iter().enumerate() {
            if number > 0 || table.entries.lock().names.len() as u32 > table.pool.capacity() / 2 {
                let _ = fs::remove_file(&table.path);
            }
        }
    }

    /// What an address that a program wants to reach stands for.
    pub(crate) fn meaning(&self, ip: IpAddr) -> Meaning {
        let tables = self.tables.read();
        let found = tables.iter().find_map(|table| Some((table, table.pool.index(ip)?)));
        match found {
            None => Meaning::Real,
            Some((table, index)) => table.name(index).map_or(Meaning::Unknown, Meaning::Name),
        }
    }
}

/// `names,10.0.0.0_8,fd00::_64`
fn file_of(pool: &Pool) -> String {
    if *pool == Pool::default() {
        return FILE.to_owned();
    }
    let (v4, v6) = pool.ranges();
    format!("{FILE},{v4},{v6}").replace('/', "_")
}

fn pool_of(file: &str) -> Option<Pool> {
    let (v4, v6) = file.strip_prefix(FILE)?.strip_prefix(',')?.split_once(',')?;
    let range = |text: &str| text.replace('_', "/");
    Pool::new(range(v4).parse().ok()?, Some(range(v6).parse().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn scratch(what: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("underpass-names-{what}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn pool(v4: &str) -> Pool {
        Pool::new(v4.parse().unwrap(), None).unwrap()
    }

    #[test]
    fn a_name_keeps_its_addresses_over_a_restart() {
        let scratch = scratch("restart");
        let (ours, other) = (Pool::default(), pool("10.9.0.0/24"));
        let first = Names::open(&scratch.0).unwrap();
        let a = first.addresses_of("a.test", &ours).unwrap();
        let b = first.addresses_of("b.test", &ours).unwrap();
        let c = first.addresses_of("c.test", &other).unwrap();
        assert_eq!((a.0, c.0), (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(10, 9, 0, 1)));
        assert_eq!(first.addresses_of("a.test", &ours), Ok(a));
        drop(first);
        let second = Names::open(&scratch.0).unwrap();
        for (ip, name) in
            [(b.0.into(), "b.test"), (b.1.into(), "b.test"), (c.0.into(), "c.test"), (c.1.into(), "c.test")]
        {
            assert_eq!(second.meaning(ip), Meaning::Name(name.into()));
        }
        assert_eq!(second.meaning(IpAddr::V6(a.0.to_ipv6_mapped())), Meaning::Name("a.test".into()));
        assert_ne!(second.addresses_of("c.test", &ours).unwrap(), b);
        assert_eq!(second.meaning("198.18.0.9".parse().unwrap()), Meaning::Unknown);
        assert_eq!(second.meaning("10.9.0.2".parse().unwrap()), Meaning::Unknown);
        assert_eq!(second.meaning("10.9.1.1".parse().unwrap()), Meaning::Real);
    }

    #[test]
    fn two_agents_give_no_address_twice() {
        let scratch = scratch("two");
        let (leaving, next) = (Names::open(&scratch.0).unwrap(), Names::open(&scratch.0).unwrap());
        let ours = Pool::default();
        let given: Vec<_> = (0..20)
            .map(|n| [&leaving, &next][n % 2].addresses_of(&format!("{n}.test"), &ours).unwrap().0)
            .collect();
        for (n, ip) in given.iter().enumerate() {
            for names in [&leaving, &next] {
                assert_eq!(names.meaning((*ip).into()), Meaning::Name(format!("{n}.test")));
                assert_eq!(names.addresses_of(&format!("{n}.test"), &ours).unwrap().0, *ip);
            }
        }
    }

    #[test]
    fn a_pool_that_is_used_up_gives_nothing_and_keeps_what_it_gave() {
        let scratch = scratch("full");
        let names = Names::open(&scratch.0).unwrap();
        let small = pool("10.9.0.0/29");
        let given: Vec<_> = (0..6).map(|n| names.addresses_of(&format!("n{n}"), &small).unwrap().0).collect();
        assert_eq!(names.addresses_of("n6", &small), Err(NoAddress::Full));
        for (n, ip) in given.into_iter().enumerate() {
            assert_eq!(names.meaning(ip.into()), Meaning::Name(format!("n{n}")));
        }
        for unknown in ["10.9.0.0", "10.9.0.7"] {
            assert_eq!(names.meaning(unknown.parse().unwrap()), Meaning::Unknown);
        }
        assert!(names.addresses_of("n6", &Pool::default()).is_ok());
    }

    #[test]
    fn no_two_pools_share_an_address() {
        let scratch = scratch("overlap");
        let names = Names::open(&scratch.0).unwrap();
        assert_eq!(names.add(&pool("10.9.0.0/24")), Ok(()));
        assert_eq!(names.add(&pool("10.9.0.0/24")), Ok(()));
        for other in ["10.0.0.0/8", "10.9.0.16/28", "198.18.0.0/24"] {
            let why = names.add(&pool(other)).unwrap_err();
            assert!(why.contains(" shares addresses with another"), "{why}");
        }
        names.remove_if_crowded();
        assert_eq!(Names::open(&scratch.0).unwrap().add(&pool("10.0.0.0/8")), Ok(()));
    }

    #[test]
    fn names_are_bounded_and_folded() {
        assert_eq!(normalised(b"WWW.Example.org.").as_deref(), Some("www.example.org"));
        for bad in [&b""[..], b".", b"a b", b"a\nb", b"\xff", &[b'a'; 256]] {
            assert_eq!(normalised(bad), None, "{bad:?}");
        }
    }
}
