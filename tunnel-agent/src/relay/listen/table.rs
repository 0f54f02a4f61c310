//! What of listeners outlives the stream that they belong to: connections that wait to be taken, and listeners that
//! wait for their clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit};

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
    /// How often it was parked.
    times: u32,
    /// Somebody else has come for it.
    wanted: Arc<Notify>,
    /// It is there.
    came: Arc<Notify>,
}

/// A listener, and what it needs to go on.
pub(super) struct Parked {
    pub(super) listener: TcpListener,
    pub(super) bound: SocketAddr,
    pub(super) rule: Exposing,
    pub(super) born: Instant,
    pub(super) _place: Place,
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

    /// A connection that waits for this client, and for nobody else.
    pub(super) fn take(&self, id: Id, client: &str) -> Option<Waiting> {
        let mut table = self.0.lock();
        match table.waiting.get(&id) {
            Some(waiting) if &*waiting.client == client => table.waiting.remove(&id),
            _ => None,
        }
    }

    /// Nobody has taken it.
    pub(super) fn gives_up(&self, id: Id) -> Option<Waiting> {
        self.0.lock().waiting.remove(&id)
    }

    /// Those of these that still wait, and who they are.
    pub(super) fn still(&self, ids: &[Id]) -> Vec<(Id, SocketAddr)> {
        let table = self.0.lock();
        ids.iter().filter_map(|id| Some((*id, table.waiting.get(id)?.peer))).collect()
    }

    /// A listener that can be taken up again; the signal says that somebody wants it.
    pub(super) fn keep(&self, id: Id, client: &Arc<str>) -> Arc<Notify> {
        let wanted = Arc::new(Notify::new());
        let kept = Kept {
            client: Arc::clone(client),
            parked: None,
            times: 0,
            wanted: Arc::clone(&wanted),
            came: Arc::new(Notify::new()),
        };
        self.0.lock().kept.insert(id, kept);
        wanted
    }

    /// It has no stream any more; for which time.
    pub(super) fn park(&self, id: Id, parked: Parked) -> Option<u32> {
        let mut table = self.0.lock();
        let kept = table.kept.get_mut(&id)?;
        kept.parked = Some(parked);
        kept.times += 1;
        kept.came.notify_one();
        Some(kept.times)
    }

    /// Its grace time has passed, unless it was taken up since it was parked for that time.
    pub(super) fn gives_way(&self, id: Id, time: u32) {
        let mut table = self.0.lock();
        if table.kept.get(&id).is_some_and(|kept| kept.parked.is_some() && kept.times == time) {
            let gone = table.kept.remove(&id);
            // It gives its place back, in the same table.
            drop(table);
            drop(gone);
        }
    }

    /// It has ended.
    pub(super) fn forget(&self, id: Id) {
        let gone = self.0.lock().kept.remove(&id);
        drop(gone);
    }

    /// Takes a listener up again.
    pub(super) async fn resume(&self, id: Id, client: &str) -> Option<(Parked, Arc<Notify>)> {
        let until = tokio::time::Instant::now() + HANDOVER;
        loop {
            let came = {
                let mut table = self.0.lock();
                let kept = table.kept.get_mut(&id).filter(|kept| &*kept.client == client)?;
                if let Some(parked) = kept.parked.take() {
                    return Some((parked, Arc::clone(&kept.wanted)));
                }
                kept.wanted.notify_one();
                Arc::clone(&kept.came)
            };
            tokio::time::timeout_at(until, came.notified()).await.ok()?;
        }
    }
}
