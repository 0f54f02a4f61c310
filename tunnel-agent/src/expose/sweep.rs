//! Listeners whose sockets their programs have closed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Exposure;
use crate::agent::Agent;
use crate::sock_diag;

/// How often the kernel's list of sockets is read, as long as there is a listener.
const INTERVAL: Duration = Duration::from_secs(1);
/// A socket that is bound and does not listen is in no list; its listener is kept for so long.
const UNUSED: Duration = Duration::from_secs(60);
/// How long the exit may take to close a listener.
const CLOSING: Duration = Duration::from_secs(3);

/// Sweeps from now on, if that is not done already.
pub(super) fn begin(agent: &Arc<Agent>) {
    if agent.exposures.is_sweeping() {
        return;
    }
    let (agent, runner) = (Arc::clone(agent), agent.splicer.clone());
    runner.spawn(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            sweep(&agent).await;
            if agent.exposures.tables.lock().exposed.is_empty() {
                agent.exposures.sweeping.store(false, Ordering::Relaxed);
                return;
            }
        }
    });
}

/// Ends the listeners that have no socket any more, and waits until they have ended.
pub(super) async fn sweep(agent: &Agent) {
    let all = agent.exposures.all();
    let (Some(once), Some(twice)) = (alive(&all).await, alive(&all).await) else { return };
    for exposure in all {
        let is_over = {
            let mut state = exposure.state.lock();
            // The list comes in parts, and can leave one out.
            let lives = |cookie: &u64| once.contains(cookie) || twice.contains(cookie);
            match state.listens {
                true => {
                    state.cookies.retain(lives);
                    state.cookies.is_empty()
                }
                false => state.since.elapsed() > UNUSED,
            }
        };
        if is_over {
            exposure.closed.notify_one();
            let mut over = exposure.over.subscribe();
            let _ = tokio::time::timeout(CLOSING, over.wait_for(|over| *over)).await;
        }
    }
}

/// Which of their sockets the kernel lists.
async fn alive(exposures: &[Arc<Exposure>]) -> Option<HashSet<u64>> {
    let wanted: HashSet<u64> =
        exposures.iter().flat_map(|exposure| exposure.state.lock().cookies.clone()).collect();
    let read = tokio::task::spawn_blocking(move || {
        let mut found = HashSet::new();
        let read = sock_diag::tcp_cookies(|cookie| {
            if wanted.contains(&cookie) {
                found.insert(cookie);
            }
        });
        read.map(|()| found)
    });
    match read.await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the list of sockets cannot be read");
            None
        }
        Err(_) => None,
    }
}
