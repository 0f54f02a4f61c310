//! How a session fares, for those who use it and for the task that drives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use underpass_core::failure::Failure;

use crate::relay::rooms::Rooms;

/// Whether new connections can use a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The relay has said nothing yet: whoever it does not know hears nothing but an alert.
    Fresh,
    Well,
    /// A ping has not been answered in time. It may be again.
    Stalled,
    Ended,
}

/// What is known of one session.
#[derive(Debug)]
pub(crate) struct Vitals {
    state: watch::Sender<State>,
    /// Whether it was ever well.
    heard: AtomicBool,
    /// Why it has ended, if that is known.
    failure: Mutex<Option<Failure>>,
    streams: AtomicUsize,
    /// Bytes, since the start.
    received: AtomicU64,
    /// When the relay has answered a ping last.
    answered: Mutex<Instant>,
    pub(super) poke: Notify,
    pub(super) rooms: Arc<Rooms>,
}

/// A dial asks for a sign of life if there was none for so long.
pub(super) const OLD: Duration = Duration::from_secs(1);

/// Bytes after which it is worth knowing how fast they come.
const MANY: u64 = 128 << 10;

impl Vitals {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::Fresh),
            heard: AtomicBool::new(false),
            failure: Mutex::new(None),
            streams: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            answered: Mutex::new(Instant::now()),
            poke: Notify::new(),
            rooms: Arc::default(),
        }
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Says what it is from now on. What has ended does not begin again.
    pub(super) fn becomes(&self, state: State) {
        self.state.send_if_modified(|now| {
            let changes = *now != state && *now != State::Ended;
            if changes {
                *now = state;
            }
            changes
        });
    }

    pub(super) fn ends(&self, failure: Option<Failure>) {
        if let Some(failure) = failure {
            self.notes(failure);
        }
        self.becomes(State::Ended);
    }

    /// Why it is about to end. What is known first is the cause.
    pub(super) fn notes(&self, failure: Failure) {
        self.failure.lock().get_or_insert(failure);
    }

    pub(super) fn failure(&self) -> Failure {
        self.failure.lock().clone().unwrap_or(Failure::UpstreamClosed)
    }

    /// Whether what comes new is well served by it.
    pub(super) fn is_well(&self) -> bool {
        matches!(self.state(), State::Fresh | State::Well)
    }

    /// Returns when it is not well.
    pub(super) async fn unwell(&self) -> State {
        self.until(|state| matches!(state, State::Stalled | State::Ended)).await
    }

    /// Returns when it is known whether the relay serves us.
    pub(super) async fn known(&self) -> State {
        self.until(|state| *state != State::Fresh).await
    }

    async fn until(&self, wanted: impl FnMut(&State) -> bool) -> State {
        let mut state = self.state.subscribe();
        let state = state.wait_for(wanted).await;
        state.map_or(State::Ended, |state| *state)
    }

    /// The relay has said something.
    pub(super) fn hears(&self) {
        self.heard.store(true, Ordering::Relaxed);
        if self.state() == State::Fresh {
            self.becomes(State::Well);
        }
    }

    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    pub(super) fn answers(&self) {
        self.hears();
        *self.answered.lock() = Instant::now();
    }

    /// Asks for a sign of life, unless there was one just now.
    pub(super) fn nudge(&self) {
        if self.answered.lock().elapsed() > OLD {
            self.poke.notify_one();
        }
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// So many bytes more have come. Where they are many, the path is measured.
    pub(super) fn receives(&self, bytes: usize) {
        let before = self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        if before / MANY != (before + bytes as u64) / MANY {
            self.poke.notify_one();
        }
    }

    pub(super) fn opens(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closes(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
