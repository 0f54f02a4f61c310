//! What clients of the front door wait for (`BIND`): a listener at an exit for one connection, for those who ask what
//! listens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use underpass_core::control::ListenerStatus;

use crate::agent::Agent;
use crate::course::Course;

/// All that wait, in the order in which they have begun to.
#[derive(Default)]
pub(super) struct Awaited {
    last: u64,
    by_number: BTreeMap<u64, Waits>,
}

/// One that waits.
struct Waits {
    exit: SocketAddr,
    client: String,
    course: Option<Arc<Course>>,
    since: Instant,
}

/// It is told of as long as this lives.
pub(crate) struct Told {
    agent: Arc<Agent>,
    number: u64,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.agent.exposures.awaited.lock().by_number.remove(&self.number);
    }
}

/// Whoever connects at `exit` is connected to this client.
pub(crate) fn waits(
    agent: &Arc<Agent>,
    exit: SocketAddr,
    client: String,
    course: Option<Arc<Course>>,
) -> Told {
    let mut awaited = agent.exposures.awaited.lock();
    awaited.last += 1;
    let number = awaited.last;
    awaited.by_number.insert(number, Waits { exit, client, course, since: Instant::now() });
    Told { agent: Arc::clone(agent), number }
}

impl Awaited {
    pub(super) fn status(&self) -> impl Iterator<Item = ListenerStatus> {
        self.by_number.values().map(Waits::status)
    }
}

impl Waits {
    fn status(&self) -> ListenerStatus {
        let course = self.course.as_deref();
        ListenerStatus {
            at: Some(self.exit),
            to: self.client.clone(),
            program: None,
            pid: None,
            chain: course.and_then(|course| course.chain.as_deref()).unwrap_or_default().to_owned(),
            configuration: course.map_or(0, |course| course.configuration),
            listens: true,
            age_seconds: self.since.elapsed().as_secs(),
            // With the first it waits no longer.
            connections: 0,
        }
    }
}
