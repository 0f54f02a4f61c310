//! How much a client may send on one stream before the relay has passed it on: twice what is on its way at most.
//!
//! A window that is too small stands still on long ways (1 MiB: 20 MB/s at 40 ms), and one that is too large keeps
//! others waiting behind it (16 MiB: 100 ms). So it follows what is measured: the shortest time of a ping there and
//! back, and the bytes that come in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::rooms::Rooms;

/// Before anything is known.
pub(crate) const FIRST: u32 = 1 << 20;
const LEAST: u32 = 256 << 10;
const MOST: u32 = 16 << 20;
/// A way that is shorter counts as this: with a smaller window everybody on it is woken more often for less.
const TURN: Duration = Duration::from_millis(2);
/// No more often than this is measured.
const PAUSE: Duration = Duration::from_millis(10);
/// And not before so many bytes have come.
const WORTH: u64 = 64 << 10;
/// A stream that had so much of its window on the way was held up by it, and gets twice as much again.
pub(crate) const HELD_UP: f64 = 0.7;

/// Bytes of all streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    received: AtomicU64,
    /// Where the next measurement is worth it.
    next: AtomicU64,
    worth: Notify,
    pub(crate) rooms: Arc<Rooms>,
}

impl Meter {
    /// So many bytes have come.
    pub(crate) fn received(&self, bytes: usize) {
        let before = self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        let next = self.next.load(Ordering::Relaxed);
        if before < next && before + bytes as u64 >= next {
            self.worth.notify_one();
        }
    }

    /// Waits until a measurement is worth it.
    pub(crate) async fn is_worth(&self) {
        self.worth.notified().await;
    }

    fn total(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn arm(&self) {
        let next = self.total() + WORTH;
        self.next.store(next, Ordering::Relaxed);
    }
}

/// The window of one connection's streams.
#[derive(Debug)]
pub(crate) struct Window {
    now: u32,
    shortest: Option<Duration>,
    /// The last answer to a ping, and how many bytes had come by then.
    last: Option<(Instant, u64)>,
    sent: Option<Instant>,
}

impl Window {
    pub(crate) fn new(meter: &Meter) -> Self {
        meter.arm();
        Self { now: FIRST, shortest: None, last: None, sent: None }
    }

    /// When a ping may be sent at the soonest.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        self.last.map_or(now, |(last, _)| last + PAUSE)
    }

    /// A ping goes out.
    pub(crate) fn pinged(&mut self, now: Instant) {
        self.sent = Some(now);
    }

    /// Whether an answer has been waited for since before `since`.
    pub(crate) fn is_waiting(&self) -> Option<Instant> {
        self.sent
    }

    /// The answer has come; what the window is from now on, if it changes. `share` is what memory has for each
    /// stream.
    pub(crate) fn answered(&mut self, meter: &Meter, share: u64, now: Instant) -> Option<u32> {
        let sample = now.saturating_duration_since(self.sent.take()?);
        let total = meter.total();
        let last = self.last.replace((now, total));
        meter.arm();
        let shortest = match self.shortest {
            // A way that has become longer is believed to be so by and by.
            Some(shortest) if sample > shortest => {
                let passed = last.map_or(Duration::ZERO, |(last, _)| now.saturating_duration_since(last));
                shortest.mul_f64(1.0 + 0.01 * passed.as_secs_f64().min(10.0)).min(sample)
            }
            _ => sample,
        };
        self.shortest = Some(shortest);
        let (since, before) = last?;
        let passed = now.saturating_duration_since(since);
        if passed > Duration::from_secs(1) {
            // It was idle in between: that is no rate.
            return self.change(self.now, share);
        }
        let rate = (total - before) as f64 / passed.as_secs_f64().max(1e-6);
        let held = rate * shortest.max(TURN).as_secs_f64();
        let times = if held >= HELD_UP * f64::from(self.now) { 4.0 } else { 2.0 };
        self.change((times * held).min(f64::from(MOST)) as u32, share)
    }

    fn change(&mut self, wanted: u32, share: u64) -> Option<u32> {
        let most = u32::try_from(share).unwrap_or(u32::MAX).clamp(64 << 10, MOST);
        // What was once needed is given back slowly: a pause of the sender is not the way's fault.
        let wanted = wanted.max(self.now - self.now / 8).clamp(LEAST, MOST).min(most);
        let differs = wanted > self.now + self.now / 4 || wanted < self.now - self.now / 4;
        // By steps, so that not every answer is followed by a change.
        if differs || (wanted < self.now && wanted == most) {
            self.now = wanted;
            return Some(wanted);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a connection on which `rate` bytes a second come at most, and a ping takes `way`.
    fn settled(rate: u64, way: Duration, share: u64) -> u32 {
        let meter = Meter::default();
        let mut window = Window::new(&meter);
        let mut now = Instant::now();
        let mut current = FIRST;
        for _ in 0..2000 {
            now = window.due(now).max(now);
            window.pinged(now);
            now += way;
            // No faster than the window lets it be.
            let passed = way.max(PAUSE).as_secs_f64();
            let possible = f64::from(current) * passed / way.as_secs_f64();
            meter.received(possible.min(rate as f64 * passed) as usize);
            current = window.answered(&meter, share, now).unwrap_or(current);
        }
        current
    }

    #[test]
    fn the_window_follows_the_way() {
        let ms = Duration::from_millis;
        let plenty = u64::MAX;
        // 100 MB/s at 40 ms are 4 MB on their way.
        let window = settled(100_000_000, ms(40), plenty);
        assert!((6_000_000..12_000_000).contains(&window), "{window}");
        assert_eq!(settled(1_000_000_000, ms(120), plenty), MOST);
        let window = settled(1_000_000_000, Duration::from_micros(100), plenty);
        assert!((3_000_000..5_000_000).contains(&window), "{window}");
    }

    #[test]
    fn memory_bounds_it() {
        assert_eq!(settled(1_000_000_000, Duration::from_millis(120), 512 << 10), 512 << 10);
        assert_eq!(settled(1_000_000_000, Duration::from_millis(120), 1), 64 << 10);
    }
}
