//! How much a stream may have on its way to us: twice what the path holds (bandwidth times round trip), so that
//! one stream is as fast as the path, and what waits in front of the others is no more than a round trip.
//!
//! A window that never changes is wrong at both ends (docs/performance.md): 16 MiB hold up everybody else for
//! 100 ms, 1 MiB is 20 MB/s where a round trip takes 40 ms.

use std::time::{Duration, Instant};

/// Before anything has been measured.
pub(super) const FIRST: u32 = 1 << 20;
const LEAST: u32 = 256 << 10;
const MOST: u32 = 16 << 20;
/// What all streams of a session may hold together if nobody reads: with very many streams each gets less.
const BUDGET: u64 = 256 << 20;
/// With very many streams. A connection that waits for each reply needs no more.
const SHARE: u32 = 64 << 10;
/// A shorter round trip than this is that of a machine that has been quick to schedule us: with a smaller window
/// everybody on the way is woken more often for less.
const TURN: Duration = Duration::from_millis(2);
/// The shortest round trip is looked for anew from time to time: the path may have become longer.
const MEMORY: Duration = Duration::from_secs(300);
/// A change that is smaller is not worth a SETTINGS frame.
const STEP: u32 = 4;
/// A stream that had so much of its window on the way was held up by it, and gets twice as much again.
const HELD_UP: f64 = 0.7;

/// What is known of a session's path.
#[derive(Debug)]
pub(super) struct Window {
    size: u32,
    /// Bytes a second, the most of late.
    rate: f64,
    /// The shortest round trips of this time and of the time before.
    shortest: [Duration; 2],
    since: Instant,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { size: FIRST, rate: 0.0, shortest: [Duration::MAX; 2], since: now }
    }

    /// Takes a measured round trip, during which so many bytes have come, on so many streams. The new size, if it
    /// is another.
    pub(super) fn measured(
        &mut self,
        round_trip: Duration,
        bytes: u64,
        streams: usize,
        now: Instant,
    ) -> Option<u32> {
        if now.duration_since(self.since) > MEMORY {
            self.shortest = [self.shortest[1], Duration::MAX];
            self.since = now;
        }
        self.shortest[1] = self.shortest[1].min(round_trip);
        if bytes == 0 && self.rate == 0.0 {
            return None;
        }
        let rate = bytes as f64 / round_trip.as_secs_f64().max(1e-6);
        // A pause is no reason to begin anew.
        self.rate = rate.max(self.rate * 0.95);
        let shortest = self.shortest();
        let held = self.rate * shortest.as_secs_f64();
        let times = if held >= HELD_UP * f64::from(self.size) { 4.0 } else { 2.0 };
        let wanted = (times * held) as u64;
        let share = (BUDGET / streams.max(1) as u64).clamp(SHARE.into(), MOST.into());
        let wanted = wanted.clamp(LEAST.into(), MOST.into()).min(share) as u32;
        if wanted.abs_diff(self.size) < self.size / STEP {
            return None;
        }
        self.size = wanted;
        Some(wanted)
    }

    /// The shortest round trip of late.
    pub(super) fn shortest(&self) -> Duration {
        let shortest = self.shortest[0].min(self.shortest[1]);
        if shortest == Duration::MAX { TURN } else { shortest.max(TURN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that holds `rate` bytes a second, with one stream that is never read too slowly.
    fn settles(rate: f64, round_trip: Duration, streams: usize) -> u32 {
        let now = Instant::now();
        let mut window = Window::new(now);
        // The first ping is sent before there is anything to wait behind.
        let _ = window.measured(round_trip, 0, streams, now);
        for _ in 0..100 {
            let queued = f64::from(window.size) / rate;
            let took = round_trip.as_secs_f64().max(queued);
            let bytes = (f64::from(window.size) * took / round_trip.as_secs_f64().max(queued)) as u64;
            let _ = window.measured(Duration::from_secs_f64(took), bytes, streams, now);
        }
        window.size
    }

    #[test]
    fn a_window_is_twice_what_the_path_holds() {
        let millis = Duration::from_millis;
        for (rate, round_trip, least, most) in [
            (50e6, millis(40), 3 << 20, 6 << 20),
            (100e6, millis(120), MOST, MOST),
            (1e6, millis(20), LEAST, LEAST),
            (500e6, Duration::from_micros(100), 1500 << 10, 2600 << 10),
        ] {
            let size = settles(rate, round_trip, 1);
            assert!((least..=most).contains(&size), "{rate} {round_trip:?}: {size}");
        }
    }

    #[test]
    fn very_many_streams_share_a_budget() {
        assert_eq!(settles(100e6, Duration::from_millis(120), 5000), SHARE);
        assert!(u64::from(settles(100e6, Duration::from_millis(120), 100)) * 100 <= BUDGET);
    }

    #[test]
    fn a_pause_changes_little_and_a_long_one_much() {
        let now = Instant::now();
        let mut window = Window::new(now);
        let round_trip = Duration::from_millis(100);
        assert_eq!(window.measured(round_trip, 0, 1, now), None, "nothing is known yet");
        assert_eq!(window.measured(round_trip, 1 << 20, 1, now), Some(4 << 20), "it was held up");
        assert_eq!(window.measured(round_trip, 4 << 20, 1, now), Some(16 << 20));
        assert_eq!(window.measured(round_trip, 4 << 20, 1, now), Some(8 << 20));
        assert_eq!(window.measured(round_trip, 0, 1, now), None);
        for _ in 0..200 {
            let _ = window.measured(round_trip, 0, 1, now);
        }
        assert!(window.size < LEAST + LEAST / STEP, "{}", window.size);
    }
}
