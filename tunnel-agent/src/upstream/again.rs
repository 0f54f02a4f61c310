//! What a relay has no time for now is asked of it again: of a burst the rest is later, and not lost.

use std::time::{Duration, Instant};

use underpass_core::failure::Failure;

/// How long it is waited at first, and at most, before a relay is asked again that has too much to do.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(1);

/// How long something may take, and how long is waited before it is asked for the next time.
pub(crate) struct Again {
    end: Instant,
    pause: Duration,
}

impl Again {
    /// For so long from now on.
    pub(crate) fn within(time: Duration) -> Self {
        Self { end: Instant::now() + time, pause: SHORTEST }
    }

    /// How much of that is left.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits before the next attempt, or gives the failure back where none would help, or come in time.
    pub(crate) async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        if !is_too_fast(&failure) || self.pause >= self.left() {
            return Err(failure);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST);
        Ok(())
    }
}

/// Whether a relay may take it a second later. Other proxies than ours may mean more by it than a second (RFC 6585 section 4).
pub(crate) fn is_too_fast(failure: &Failure) -> bool {
    let by_relay = || matches!(failure, Failure::At { name, .. } if name.starts_with("relay://"));
    match failure.bare() {
        Failure::Http { status, .. } => *status == 429 && by_relay(),
        // Nobody else says so.
        Failure::NotListening { status, .. } => *status == 429,
        _ => false,
    }
}
