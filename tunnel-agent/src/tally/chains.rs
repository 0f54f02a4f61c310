//! What is counted of connections, chain by chain, from the agent's start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::histogram::Histogram;
use super::{MOST, OTHERS};

/// What one chain has carried.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) handed_off: AtomicU64,
    pub(crate) relayed: AtomicU64,
    /// Relayed connections that are open.
    pub(crate) open: AtomicU64,
    /// Of relayed connections, from and to programs.
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    /// From the request to the connection.
    pub(crate) connect: Histogram,
    pub(crate) failures: Mutex<BTreeMap<&'static str, u64>>,
}

impl Tally {
    /// A program has its own socket connected, so long after it has asked.
    pub(crate) fn was_handed_off(&self, after: Duration) {
        self.handed_off.fetch_add(1, Ordering::Relaxed);
        self.connect.took(after);
    }

    /// A relayed connection has come about, so long after it was asked for.
    pub(crate) fn was_relayed(&self, after: Duration) {
        self.relayed.fetch_add(1, Ordering::Relaxed);
        self.connect.took(after);
    }

    /// One has not; the word is of a bounded set.
    pub(crate) fn has_failed(&self, word: &'static str) {
        *self.failures.lock().entry(word).or_default() += 1;
    }

    /// Bytes are relayed from now on.
    pub(crate) fn opens(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// And no more.
    pub(crate) fn closes(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many bytes have passed.
    pub(crate) fn passed(&self, up: u64, down: u64) {
        self.up.fetch_add(up, Ordering::Relaxed);
        self.down.fetch_add(down, Ordering::Relaxed);
    }
}

/// The tallies of one agent, by the names of chains; `direct` and `refuse`, which no chain is called, are those of what
/// takes none.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<BTreeMap<Box<str>, Arc<Tally>>>);

impl Tallies {
    pub(crate) fn of(&self, chain: &str) -> Arc<Tally> {
        let mut tallies = self.0.lock();
        let chain = if tallies.len() < MOST || tallies.contains_key(chain) { chain } else { OTHERS };
        Arc::clone(tallies.entry(chain.into()).or_default())
    }

    pub(crate) fn all(&self) -> Vec<(Box<str>, Arc<Tally>)> {
        self.0.lock().iter().map(|(chain, tally)| (chain.clone(), Arc::clone(tally))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_chains_is_bounded() {
        let tallies = Tallies::default();
        (0..MOST + 9).for_each(|number| tallies.of(&format!("c{number}")).has_failed("dial"));
        tallies.of("c1").has_failed("dial");
        let all = tallies.all();
        assert_eq!(all.len(), MOST + 1);
        let count = |chain: &str| {
            all.iter().find(|(name, _)| **name == *chain).map(|(_, tally)| tally.failures.lock()["dial"])
        };
        assert_eq!((count("c1"), count(OTHERS), count("c260")), (Some(2), Some(9), None));
    }
}
