//! How tests wait for what has to come.

use std::time::{Duration, Instant};

/// How long a test waits for what has to come. A busy machine takes its time; who waits for a condition is done as soon
/// as it holds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until this holds.
#[track_caller]
pub fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
