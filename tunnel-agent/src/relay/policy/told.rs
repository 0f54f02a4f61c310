//! What may come again and again is written down once a second, and how many times it has come in between: nobody can
//! fill the audit by it. The time is passed in.

use std::time::{Duration, Instant};

const TOLD: Duration = Duration::from_secs(1);

/// When it was written down, and how many times it was not since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told(Option<(Instant, u64)>);

impl Told {
    /// It has come once more: whether to write that down, and how many times it was not written down before.
    pub(super) fn again(&mut self, now: Instant) -> Option<u64> {
        match &mut self.0 {
            Some((last, untold)) if now.saturating_duration_since(*last) < TOLD => {
                *untold += 1;
                None
            }
            told => Some(told.replace((now, 0)).map_or(0, |(_, untold)| untold)),
        }
    }
}
