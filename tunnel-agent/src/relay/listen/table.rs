//! What of listeners outlives the stream that they belong to: connections that wait to be taken, and listeners that
//! wait for their clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::super::policy::exposing::Exposing;
use super::request::Id;

/// How long the stream that a listener had before may take to notice that it is gone.
const HANDOVER: Duration = Duration::from_secs(2);

/// All listeners of a relay.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Table>);

#[derive(Default)]
struct Table {
    waiting: HashMap<Id, Waiting>,
    kept: HashMap<Id, Kept>,
    /// By the clients' names.
    open: HashMap<Arc<str>, u32>,
}

/// A connection that waits.
pub(super) struct Waiting {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) client: Arc<str>,
    pub(super) label: Arc<str>,
    /// Its place among those of its listener.
    pub(super) _place: OwnedSemaphorePermit,
}

/// A listener's place for the time without a stream.
struct Kept {
    client: Arc<str>,
    parked: Option<Parked>,
    /// Tells whoever has it that somebody else has come for it; another one for each who has it.
    wanted: Arc<Notify>,
    /// Says when it is parked, and when it is taken up.
    changes: watch::Sender<()>,
}

/// Whose a listener is that can be taken up again. When this is dropped it is forgotten, unless somebody else has taken it up.
pub(super) struct Claim {
    listeners: Arc<Listeners>,
    pub(super) id: Id,
    wanted: Arc<Notify>,
}

/// A listener, and what it needs to go on.
pub(super) struct Parked {
    pub(super) listener: TcpListener,
    pub(super) bound: SocketAddr,
    pub(super) rule: Exposing,
    pub(super) born: Instant,
    pub(super) _place: Place,
    /// For those that wait to be taken.
    pub(super) places: Arc<Semaphore>,
    /// What was told of and has not been taken.
    pub(super) untaken: Vec<Id>,
}

/// One listener of a client's; it counts as long as this lives.
pub(super) struct Place {
    listeners: Arc<Listeners>,
    client: Arc<str>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.listeners.0.lock();
        if let Some(count) = table.open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                table.open.remove(&self.client);
            }
        }
    }
}

impl Listeners {
    /// One more, if the client may have so many.
    pub(super) fn place(self: &Arc<Self>, client: &Arc<str>, most: u32) -> Option<Place> {
        let mut table = self.0.lock();
        let count = table.open.entry(Arc::clone(client)).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { listeners: Arc::clone(self), client: Arc::clone(client) })
    }

    pub(super) fn waits(&self, id: Id, waiting: Waiting) {
        self.0.lock().waiting.insert(id, waiting);
    }

    /// Who it is that waits for this client, and for nobody else.
    pub(super) fn peer(&self, id: Id, client: &str) -> Option<SocketAddr> {
        let table = self.0.lock();
        table.waiting.get(&id).filter(|waiting| &*waiting.client == client).map(|waiting| waiting.peer)
    }

    /// It waits no longer.
    pub(super) fn take(&self, id: Id) -> Option<Waiting> {
        self.0.lock().waiting.remove(&id)
    }

    /// Those of these that still wait, and who they are.
    pub(super) fn still(&self, ids: &[Id]) -> Vec<(Id, SocketAddr)> {
        let table = self.0.lock();
        ids.iter().filter_map(|id| Some((*id, table.waiting.get(id)?.peer))).collect()
    }

    /// A listener that can be taken up again.
    pub(super) fn keep(self: &Arc<Self>, id: Id, client: &Arc<str>) -> Claim {
        let wanted = Arc::new(Notify::new());
        let kept = Kept {
            client: Arc::clone(client),
            parked: None,
            wanted: Arc::clone(&wanted),
            changes: watch::Sender::new(()),
        };
        self.0.lock().kept.insert(id, kept);
        Claim { listeners: Arc::clone(self), id, wanted }
    }

    /// Takes a listener up again.
    pub(super) async fn resume(self: &Arc<Self>, id: Id, client: &str) -> Option<(Parked, Claim)> {
        let until = tokio::time::Instant::now() + HANDOVER;
        loop {
            let mut changes = {
                let mut table = self.0.lock();
                let kept = table.kept.get_mut(&id).filter(|kept| &*kept.client == client)?;
                if let Some(parked) = kept.parked.take() {
                    let wanted = Arc::new(Notify::new());
                    kept.wanted = Arc::clone(&wanted);
                    kept.changes.send_replace(());
                    return Some((parked, Claim { listeners: Arc::clone(self), id, wanted }));
                }
                kept.wanted.notify_one();
                kept.changes.subscribe()
            };
            tokio::time::timeout_at(until, changes.changed()).await.ok()?.ok()?;
        }
    }
}

impl Claim {
    /// Until somebody else has come for it.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Keeps it without a stream until it is taken up, or `over`.
    pub(super) async fn park(self, parked: Parked, over: impl Future<Output = ()>) {
        let mut changes = {
            let mut table = self.listeners.0.lock();
            let Some(kept) = table.kept.get_mut(&self.id) else { return };
            kept.parked = Some(parked);
            kept.changes.send_replace(());
            kept.changes.subscribe()
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = over => {}
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut table = self.listeners.0.lock();
        if table.kept.get(&self.id).is_some_and(|kept| Arc::ptr_eq(&kept.wanted, &self.wanted)) {
            let gone = table.kept.remove(&self.id);
            // It gives its place back, in the same table.
            drop(table);
            drop(gone);
        }
    }
}
