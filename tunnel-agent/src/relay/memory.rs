//! What a relay may keep in buffers, shared among what is open. Sockets' own buffers are the kernel's to bound.
//!
//! Half of it is for what clients send: the windows of all connections of HTTP/2 together. The other half is for what
//! they are sent: each stream keeps no more than its share, nor more than its client has taken before and the least. One
//! that is open all the same is refused where the shares become too small.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::buffers::{Buffer, LENGTH};

/// With less than this a stream is not served well, and so it is not served.
pub(crate) const LEAST: u64 = 16 * 1024;
/// A window of a connection is at least this, and never more than it may be of use.
const WINDOW: (u64, u64) = (64 * 1024, 1 << 30);

/// The memory of one relay.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: u64,
    /// Connections of HTTP/2.
    connections: AtomicUsize,
    changed: Notify,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, connections: AtomicUsize::new(0), changed: Notify::new() }
    }

    /// What each of so many streams may keep.
    pub(crate) fn share(&self, streams: u32) -> u64 {
        self.bytes / 2 / u64::from(streams.max(1))
    }

    /// What each connection's window may be. By powers of two, so that it seldom changes.
    pub(crate) fn window(&self) -> u32 {
        let each = self.bytes / 2 / self.connections.load(Ordering::Relaxed).max(1) as u64;
        let (least, most) = WINDOW;
        let each = each.clamp(least, most);
        1 << each.ilog2()
    }

    /// One more connection of HTTP/2.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.count(|connections| connections.fetch_add(1, Ordering::Relaxed));
        Connected(Arc::clone(self))
    }

    fn count(&self, change: impl FnOnce(&AtomicUsize) -> usize) {
        let before = self.window();
        change(&self.connections);
        if self.window() != before {
            self.changed.notify_waiters();
        }
    }

    /// Waits until [`Self::window`] is another.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Counts as a connection as long as it lives.
pub(crate) struct Connected(Arc<Memory>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.count(|connections| connections.fetch_sub(1, Ordering::Relaxed));
    }
}

/// What one stream has given to h2 and h2 has not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Held {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether there is less than `most` of it.
    pub(crate) fn poll_below(&self, most: u64, cx: &mut Context<'_>) -> Poll<()> {
        if (self.bytes() as u64) < most {
            return Poll::Ready(());
        }
        *self.waker.lock() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What has been read into `buffer`, which is held until it is dropped. Of few bytes it is not, nor where a stream
    /// has less than that.
    pub(crate) fn part(self: &Arc<Self>, buffer: Buffer, length: usize, share: u64) -> Part {
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let whole = length >= MANY && share >= LENGTH as u64;
        let bytes = if whole { Bytes::new() } else { Bytes::copy_from_slice(&buffer[..length]) };
        let buffer = Some(buffer).filter(|_| whole);
        Part { bytes, buffer, at: 0, length, held: Some(Arc::clone(self)) }
    }

    /// The same of bytes that are by themselves.
    pub(crate) fn piece(self: &Arc<Self>, bytes: Bytes) -> Part {
        self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let mut part = Part::of(bytes);
        part.held = Some(Arc::clone(self));
        part
    }
}

/// So many bytes are worth a buffer.
pub(crate) const MANY: usize = LENGTH / 4;

/// Bytes on their way through h2: in a buffer, or by themselves.
#[derive(Debug)]
pub(crate) struct Part {
    bytes: Bytes,
    buffer: Option<Buffer>,
    at: usize,
    length: usize,
    held: Option<Arc<Held>>,
}

impl Part {
    /// Few bytes, that are not counted.
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self { length: bytes.len(), bytes, buffer: None, at: 0, held: None }
    }
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.length - self.at
    }

    fn chunk(&self) -> &[u8] {
        let all = self.buffer.as_deref().unwrap_or(&self.bytes);
        &all[self.at..self.length]
    }

    fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.length);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.bytes.fetch_sub(self.length, Ordering::Relaxed);
            if let Some(waker) = held.waker.lock().take() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_all_connections_are_no_more_than_half() {
        let memory = Arc::new(Memory::new(64 << 20));
        let mut connections = Vec::new();
        for count in 1..=200 {
            connections.push(memory.connected());
            assert!(u64::from(memory.window()) * count <= 32 << 20, "{count}");
        }
        drop(connections);
        assert_eq!(memory.window(), 32 << 20);
    }

    #[test]
    fn what_is_dropped_is_held_no_longer() {
        let held = Arc::new(Held::default());
        let mut buffer = Buffer::take();
        buffer[..4].copy_from_slice(b"four");
        let mut part = held.part(buffer, 4, u64::MAX);
        part.advance(2);
        assert_eq!((held.bytes(), part.chunk()), (4, &b"ur"[..]));
        drop(part);
        assert_eq!(held.bytes(), 0);
        let whole = held.part(Buffer::take(), LENGTH, u64::MAX);
        assert_eq!((held.bytes(), whole.remaining()), (LENGTH, LENGTH));
    }
}
