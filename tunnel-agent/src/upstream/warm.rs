//! Connections kept ready: greeted by the last hop of a path, and waiting for a destination. A connect
//! then costs one round trip from end to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Far;
use super::chain::Path;
use super::hop::{Client, Hop};
use super::path::{self, Progress};
use crate::facts::FarOptions;

/// How many are kept for each path.
const WANTED: usize = 3;
/// How many there are at most.
const MOST: usize = 16;
/// How long one is kept. Proxies give up idle ones after half a minute or more.
const AGE: Duration = Duration::from_secs(8);
/// How often the old ones are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How long making one may take.
const PATIENCE: Duration = Duration::from_secs(10);

struct Warm {
    path: Path,
    since: Instant,
    far: Far,
}

#[derive(Default)]
struct Held {
    warm: Vec<Warm>,
    being_made: usize,
    has_sweeper: bool,
}

/// The warm connections of one chain.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Held>);

impl Pool {
    /// One that goes along `path`, if there is a good one.
    pub(crate) fn take(&self, path: &Path) -> Option<Far> {
        let mut held = self.0.lock();
        loop {
            let at = held.warm.iter().position(|warm| warm.path == *path)?;
            let warm = held.warm.remove(at);
            if warm.since.elapsed() < AGE && !warm.far.stream.is_stale() {
                return Some(warm.far);
            }
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().warm.len()
    }

    /// Makes what is missing, in the background. What nobody uses goes after [`AGE`], and is not made again.
    pub(crate) fn refill(pool: &Arc<Self>, path: &Path, hops: &[Arc<Hop>]) {
        let missing = {
            let mut held = pool.0.lock();
            let there = held.warm.iter().filter(|warm| warm.path == *path).count() + held.being_made;
            let room = MOST.saturating_sub(held.warm.len() + held.being_made);
            let missing = WANTED.saturating_sub(there).min(room);
            held.being_made += missing;
            missing
        };
        for _ in 0..missing {
            let (pool, path, hops) = (Arc::clone(pool), path.clone(), hops.to_vec());
            tokio::spawn(async move {
                let (options, client, progress): (FarOptions, Client, Progress) = Default::default();
                let opened = path::open(&hops, &options, &client, &progress);
                let opened = tokio::time::timeout(PATIENCE, opened).await;
                let mut held = pool.0.lock();
                held.being_made -= 1;
                if let Ok(Ok(far)) = opened {
                    held.warm.push(Warm { path, since: Instant::now(), far });
                    if !std::mem::replace(&mut held.has_sweeper, true) {
                        tokio::spawn(sweep(Arc::clone(&pool)));
                    }
                }
            });
        }
    }
}

/// Closes what nobody has used, one task for all of a pool: many connections a second, each with a timer of
/// its own, would be as many tasks as are made in [`AGE`].
async fn sweep(pool: Arc<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let mut held = pool.0.lock();
        held.warm.retain(|warm| warm.since.elapsed() < AGE);
        if held.warm.is_empty() {
            held.has_sweeper = false;
            return;
        }
    }
}
