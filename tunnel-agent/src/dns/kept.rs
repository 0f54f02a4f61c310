//! Connections to resolvers that are kept for the next question: through a chain, making one costs more than
//! asking.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use underpass_core::destination::Destination;

use crate::plan::Plan;
use crate::room::Taken;
use crate::upstream::hop::Client;
use crate::upstream::stream::Stream;

/// How long one is kept; resolvers close idle ones a little later (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(8);
/// How often the old ones are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How many are kept for each resolver, and in all.
const MOST_EACH: usize = 8;
const MOST: usize = 64;

/// What two questions must have in common to go by one connection: routes and hops may tell programs and
/// users apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    plan: u32,
    server: Destination,
    program: Option<String>,
    user: Option<u32>,
}

impl Key {
    pub(super) fn new(plan: &Plan, server: &Destination, client: &Client) -> Self {
        let (program, user) = (client.program.clone(), client.user);
        Self { plan: plan.number, server: server.clone(), program, user }
    }
}

/// A connection to a resolver.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) _room: Taken,
}

#[derive(Default)]
struct Held {
    connections: HashMap<Key, Vec<(Instant, Connection)>>,
    has_sweeper: bool,
}

/// The connections of one agent.
#[derive(Default)]
pub(super) struct Kept(Mutex<Held>);

impl Kept {
    /// The one that was used last, if it is still good.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut held = self.0.lock();
        let list = held.connections.get_mut(key)?;
        while let Some((since, connection)) = list.pop() {
            if since.elapsed() < IDLE && !connection.stream.is_stale() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps one for a while.
    pub(super) fn put(kept: &Arc<Self>, key: Key, connection: Connection) {
        let mut held = kept.0.lock();
        let count: usize = held.connections.values().map(Vec::len).sum();
        let list = held.connections.entry(key).or_default();
        if count >= MOST || list.len() >= MOST_EACH {
            return;
        }
        list.push((Instant::now(), connection));
        if !std::mem::replace(&mut held.has_sweeper, true) {
            tokio::spawn(sweep(Arc::clone(kept)));
        }
    }
}

/// Closes what nobody has used.
async fn sweep(kept: Arc<Kept>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let mut held = kept.0.lock();
        for list in held.connections.values_mut() {
            list.retain(|(since, _)| since.elapsed() < IDLE);
        }
        held.connections.retain(|_, list| !list.is_empty());
        if held.connections.is_empty() {
            held.has_sweeper = false;
            return;
        }
    }
}
