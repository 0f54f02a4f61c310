//! Frames of HTTP/2 that move nothing and still have to be read, or even answered: SETTINGS, PING, PRIORITY, DATA
//! without data, and what nobody knows. h2 goes on with them for as long as they come (CVE-2019-9512, -9515, -9518);
//! who sends too many of them in a second is not listened to any longer.
//!
//! Too many resets and headers without end are h2's own matter, and too many requests that of [`super::visitor`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::watched::Watch;

/// In one second; a client that measures its way by pings sends some fifty.
const MOST: u32 = 1000;
/// What comes before the first frame (RFC 9113 section 3.4).
const PREFACE: u64 = 24;

/// Whether a client has sent too many of them.
#[derive(Clone, Debug, Default)]
pub(super) struct TooMany(Arc<AtomicBool>);

impl TooMany {
    /// Waits for that, in a task that reads the connection first: nothing else can set it, and nothing wakes this.
    pub(super) async fn wait(&self) {
        std::future::poll_fn(|_| if self.is_set() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts the frames of one connection as they are read.
pub(super) struct Counting {
    frames: Frames,
    too_many: TooMany,
}

impl Counting {
    pub(super) fn new() -> (Self, TooMany) {
        let too_many = TooMany::default();
        (Self { frames: Frames::new(), too_many: too_many.clone() }, too_many)
    }
}

impl Watch for Counting {
    /// What else has come is not looked at: the task goes on with the end.
    fn is_open(&self) -> bool {
        !self.too_many.is_set()
    }

    fn has_read(&mut self, bytes: &[u8]) {
        if self.frames.pass(bytes) && self.frames.are_too_many(Instant::now()) {
            self.too_many.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Where in a frame the bytes are, and how many have moved nothing.
struct Frames {
    /// Of the frame that has begun, the nine bytes before its payload.
    head: [u8; 9],
    seen: usize,
    /// What of its payload, or of the preface, is still to come.
    left: u64,
    idle: u32,
    since: Option<Instant>,
}

impl Frames {
    fn new() -> Self {
        Self { head: [0; 9], seen: 0, left: PREFACE, idle: 0, since: None }
    }

    /// These bytes come next. Whether there was one among them that moves nothing.
    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        let before = self.idle;
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= count as u64;
                bytes = &bytes[count..];
                continue;
            }
            let count = bytes.len().min(self.head.len() - self.seen);
            self.head[self.seen..self.seen + count].copy_from_slice(&bytes[..count]);
            self.seen += count;
            bytes = &bytes[count..];
            if self.seen == self.head.len() {
                self.seen = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]).into();
                self.idle = self.idle.saturating_add(is_idle(kind, flags, self.left).into());
            }
        }
        self.idle != before
    }

    fn are_too_many(&mut self, now: Instant) -> bool {
        let too_many = self.idle > MOST;
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.idle) = (Some(now), 0);
        }
        too_many
    }
}

/// Of types and flags as RFC 9113 section 6 numbers them.
fn is_idle(kind: u8, flags: u8, length: u64) -> bool {
    const END_STREAM: u8 = 1;
    match kind {
        0 => length == 0 && flags & END_STREAM == 0,
        // HEADERS, RST_STREAM, PUSH_PROMISE, GOAWAY, WINDOW_UPDATE, CONTINUATION.
        1 | 3 | 5 | 7 | 8 | 9 => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + usize::from(length), 4);
        bytes
    }

    fn counted(frames: &[Vec<u8>], piece: usize) -> u32 {
        let mut all = vec![b'P'; 24];
        all.extend(frames.concat());
        let mut counted = Frames::new();
        for bytes in all.chunks(piece) {
            counted.pass(bytes);
        }
        counted.idle
    }

    #[test]
    fn frames_are_told_apart_however_they_come() {
        let idle = [frame(4, 0, 12), frame(6, 0, 8), frame(2, 0, 5), frame(0, 0, 0), frame(0xbe, 0, 200)];
        let useful = [frame(1, 4, 30), frame(0, 0, 100), frame(0, 1, 0), frame(8, 0, 4), frame(3, 0, 4)];
        for piece in [1, 2, 8, 9, 10, 1000] {
            assert_eq!(counted(&idle, piece), 5, "{piece}");
            assert_eq!(counted(&useful, piece), 0, "{piece}");
            assert_eq!(counted(&[idle.concat(), useful.concat(), idle.concat()], piece), 10, "{piece}");
        }
    }

    #[test]
    fn they_count_for_a_second() {
        let start = Instant::now();
        let mut frames = Frames::new();
        frames.pass(&[b'P'; 24]);
        let ping = frame(6, 0, 8);
        let mut said = |count: u32, ms: u64| {
            (0..count).for_each(|_| assert!(frames.pass(&ping)));
            frames.are_too_many(start + Duration::from_millis(ms))
        };
        assert!(!said(1, 0));
        assert!(!said(MOST, 999));
        assert!(!said(0, 1000));
        assert!(!said(MOST, 1500));
        assert!(said(1, 1600));
    }
}
