//! What the clients of a relay use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{MOST, OTHERS};

/// What one client has used, from the relay's start.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub(crate) streams: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    pub(crate) refusals: Mutex<BTreeMap<&'static str, u64>>,
}

impl Used {
    /// One more stream may be carried.
    pub(crate) fn opens(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// It is over.
    pub(crate) fn closes(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes that have come from the client.
    pub(crate) fn up(&self, bytes: usize) {
        self.up.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that go to the client.
    pub(crate) fn down(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Something is refused, for a reason of RFC 9209 section 2.3.
    pub(crate) fn refused(&self, error: &'static str) {
        *self.refusals.lock().entry(error).or_default() += 1;
    }
}

/// What all clients of one relay have used, by their names.
#[derive(Default)]
pub(crate) struct Usage {
    clients: Mutex<BTreeMap<Arc<str>, Arc<Used>>>,
    pub(crate) strangers: AtomicU64,
}

impl Usage {
    /// The first clients have labels of their own.
    pub(crate) fn of(&self, client: &Arc<str>) -> Arc<Used> {
        let mut clients = self.clients.lock();
        let known = clients.len() < MOST || clients.contains_key(client);
        let name = if known { Arc::clone(client) } else { OTHERS.into() };
        Arc::clone(clients.entry(name).or_default())
    }

    /// Somebody has shown a token that is not known.
    pub(crate) fn stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<Arc<str>, Arc<Used>> {
        self.clients.lock().clone()
    }
}
