//! The end of a process that has stopped accepting: what is open ends by itself, or is cut as the process ends.

use std::time::{Duration, Instant};

use super::notify::Manager;
use super::signals::{Order, Signals};

/// How often it is looked at first what is still open, and how seldom at last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Returns when nothing is open, when `limit` has passed, or at the next signal; `open` counts.
pub(crate) async fn drain(
    manager: &Manager,
    limit: Option<Duration>,
    signals: &mut Signals,
    open: impl Fn() -> usize,
) {
    let begun = Instant::now();
    let (mut pause, slowest) = LOOKS;
    let mut told = None;
    loop {
        let left = limit.map_or(Duration::MAX, |limit| limit.saturating_sub(begun.elapsed()));
        let count = open();
        if count == 0 || left.is_zero() {
            return;
        }
        if told.replace(count) != Some(count) {
            manager.status(&format!("draining: {count} open"));
        }
        if pause == LOOKS.0 {
            tracing::info!(open = count, "draining");
        }
        tokio::select! {
            () = tokio::time::sleep(pause.min(left)) => {}
            order = signals.next() => match order {
                // We have no place any more that another could take.
                Order::Upgrade => continue,
                Order::Drain | Order::End => return tracing::info!(open = open(), "told to end at once"),
            },
        }
        pause = (pause * 2).min(slowest);
    }
}
