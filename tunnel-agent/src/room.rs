//! Room for connections, in descriptors: who comes when the limit on open files is used up is refused, or waits, and
//! what is open goes on.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use underpass_core::failure::Failure;

/// What a connection needs while it is made: a copy of the program's socket, the agent's end of it, and the upstream's.
const WHILE_MADE: u32 = 3;

/// Who comes when there is none is told this.
pub(crate) const NO_ROOM: Failure =
    Failure::Socket("the agent has as many connections as its limit on open files allows (see ulimit -n)");

/// The remedy, where the limit keeps an agent or a relay from starting.
pub(crate) const MORE_FILES: &str = "ulimit -n 1024, or LimitNOFILE= in the unit";

/// Raises the limit on open files as far as it goes (getrlimit(2)); how many there may be.
pub(crate) fn raise_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The room of one agent.
#[derive(Debug)]
pub(crate) struct Room {
    descriptors: Arc<Semaphore>,
    connections: Arc<()>,
}

/// What a connection takes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    permit: OwnedSemaphorePermit,
    _connection: Arc<()>,
}

impl Room {
    /// For so many descriptors, but at least one connection.
    pub(crate) fn new(descriptors: usize) -> Self {
        let descriptors = descriptors.clamp(WHILE_MADE as usize, Semaphore::MAX_PERMITS);
        Self { descriptors: Arc::new(Semaphore::new(descriptors)), connections: Arc::default() }
    }

    /// For one connection that is to be made, if there is as much.
    pub(crate) fn take(&self) -> Option<Taken> {
        Arc::clone(&self.descriptors).try_acquire_many_owned(WHILE_MADE).ok().map(|permit| self.taken(permit))
    }

    /// The same, waiting for it.
    pub(crate) async fn wait(&self) -> Option<Taken> {
        let permit = Arc::clone(&self.descriptors).acquire_many_owned(WHILE_MADE).await.ok()?;
        Some(self.taken(permit))
    }

    /// How many connections have room.
    pub(crate) fn connections(&self) -> usize {
        Arc::strong_count(&self.connections) - 1
    }

    /// How many more can be made at the same time.
    pub(crate) fn free(&self) -> usize {
        self.descriptors.available_permits() / WHILE_MADE as usize
    }

    fn taken(&self, permit: OwnedSemaphorePermit) -> Taken {
        Taken { permit, _connection: Arc::clone(&self.connections) }
    }
}

impl Taken {
    /// The connection is made, and needs no more than so many descriptors from now on.
    pub(crate) fn keep(&mut self, descriptors: usize) {
        let beyond = self.permit.num_permits().saturating_sub(descriptors);
        drop(self.permit.split(beyond));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_made_gives_back_what_it_does_not_need() {
        let room = Room::new(7);
        let mut first = room.take().expect("there is room for two");
        let second = room.take().expect("there is room for two");
        assert!(room.take().is_none());
        assert_eq!(room.connections(), 2);
        first.keep(1);
        let third = room.take().expect("one is back, and two of the first");
        assert!(room.take().is_none());
        first.keep(9);
        drop((second, third));
        assert!(room.take().is_some_and(|_third| room.take().is_some()));
        assert!(Room::new(0).take().is_some());
    }
}
