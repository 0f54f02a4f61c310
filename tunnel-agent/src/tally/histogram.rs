//! How many things took how long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds, in seconds: from a hand-off on this machine to the longest deadline but one.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Times, by how long they were.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Each counts what the one before it does not.
    within: [AtomicU64; BOUNDS.len()],
    longer: AtomicU64,
    micros: AtomicU64,
}

/// What a histogram was at one moment.
pub(crate) struct Snapshot {
    /// Upper bounds in seconds, and how many times were not longer.
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: u64,
    /// In seconds.
    pub(crate) sum: f64,
}

impl Histogram {
    pub(crate) fn took(&self, time: Duration) {
        let at = BOUNDS.iter().position(|bound| time.as_secs_f64() <= *bound);
        at.and_then(|at| self.within.get(at)).unwrap_or(&self.longer).fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(time.as_micros().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut count = 0;
        let buckets = BOUNDS.iter().zip(&self.within).map(|(&bound, within)| {
            count += within.load(Ordering::Relaxed);
            (bound, count)
        });
        let buckets = buckets.collect();
        count += self.longer.load(Ordering::Relaxed);
        Snapshot { buckets, count, sum: self.micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}
