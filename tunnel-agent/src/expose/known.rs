//! What is known of a listener at an exit, for those who ask; and how long to wait between two attempts to have one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::course::Course;
use crate::plan::Plan;

/// Between two attempts.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);

/// What is known.
pub(super) struct Known {
    since: Instant,
    listens: AtomicBool,
    came: AtomicU64,
}

impl Known {
    pub(super) fn new(listens: bool) -> Self {
        Self { since: Instant::now(), listens: AtomicBool::new(listens), came: AtomicU64::new(0) }
    }

    /// It listens from now on, or does not.
    pub(super) fn listens(&self, listens: bool) {
        self.listens.store(listens, Ordering::Relaxed);
    }

    /// Somebody was connected through it.
    pub(super) fn comes(&self) {
        self.came.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_listening(&self) -> bool {
        self.listens.load(Ordering::Relaxed)
    }

    pub(super) fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// In seconds.
    pub(super) fn age(&self) -> u64 {
        self.since.elapsed().as_secs()
    }
}

/// The course of what comes in at the exit of a chain.
pub(super) fn course(agent: &Agent, plan: &Arc<Plan>, chain: &str) -> Arc<Course> {
    let (tally, plan_of) = (agent.courses.tallies.of(chain), Arc::downgrade(plan));
    Arc::new(Course {
        configuration: plan.number,
        route: None,
        chain: Some(chain.into()),
        tally,
        plan: plan_of,
    })
}

/// Grows from one attempt to the next.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(SHORTEST)
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}
