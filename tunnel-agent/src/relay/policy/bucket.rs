//! A token bucket with room for a second's worth. The time is passed in.

use std::time::{Duration, Instant};

const SECOND: i128 = 1_000_000_000;

/// Counts in billionths, so that nothing is lost between two looks at a fast clock.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: i128,
    /// What is left; less than nothing is a debt.
    left: i128,
    seen: Instant,
}

impl Bucket {
    /// A full one that is filled with `rate` in a second.
    pub(super) fn full(rate: u64, now: Instant) -> Self {
        let rate = i128::from(rate.max(1));
        Self { rate, left: rate * SECOND, seen: now }
    }

    /// Takes that many if they are there.
    pub(super) fn take(&mut self, count: u64, now: Instant) -> bool {
        self.fill(now);
        let count = i128::from(count) * SECOND;
        let enough = self.left >= count;
        if enough {
            self.left -= count;
        }
        enough
    }

    /// Takes that many, if need be on credit: says how long it takes until the debt is paid.
    pub(super) fn spend(&mut self, count: u64, now: Instant) -> Duration {
        self.fill(now);
        self.left = self.left.saturating_sub(i128::from(count) * SECOND);
        // Rounded up: who waits so long has no debt.
        let nanoseconds = ((-self.left).max(0) + self.rate - 1) / self.rate;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// A clock that goes back changes nothing.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_nanos();
        let passed = i128::try_from(passed).unwrap_or(i128::MAX);
        self.left = self.left.saturating_add(passed.saturating_mul(self.rate)).min(self.rate * SECOND);
        self.seen = self.seen.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_loses_nothing_between_two_looks() {
        let start = Instant::now();
        let mut bucket = Bucket::full(3, start);
        assert!(bucket.take(3, start) && !bucket.take(1, start));
        for step in 1..=333 {
            assert!(!bucket.take(1, start + Duration::from_millis(step)));
        }
        assert!(bucket.take(1, start + Duration::from_millis(334)));
    }

    #[test]
    fn who_waits_as_told_has_no_debt() {
        let start = Instant::now();
        for rate in [1, 3, 7, 1000, 1 << 40] {
            let mut bucket = Bucket::full(rate, start);
            let wait = bucket.spend(rate + 1, start);
            assert!(!wait.is_zero() && wait <= Duration::from_secs(1));
            assert_eq!(bucket.spend(0, start + wait), Duration::ZERO, "{rate}");
        }
    }

    #[test]
    fn neither_a_clock_that_goes_back_nor_a_long_time_breaks_it() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1 << 40);
        let mut bucket = Bucket::full(u64::MAX, later);
        assert!(bucket.take(u64::MAX, start) && !bucket.take(1, start));
        let mut bucket = Bucket::full(u64::MAX, start);
        assert!(bucket.take(1, later) && bucket.take(u64::MAX - 1, start));
        assert!(bucket.spend(u64::MAX, start) > Duration::ZERO);
    }
}
