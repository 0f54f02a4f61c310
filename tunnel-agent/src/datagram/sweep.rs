//! What is forgotten: sockets that their programs have closed, and peers that nobody uses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::peer::now;
use crate::agent::Agent;
use crate::sock_diag;

/// How often the kernel's list of sockets is read, as long as there are any of ours.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a peer that a program does not use is kept, in milliseconds.
const IDLE: u64 = 300_000;

/// Sweeps from now on, if that is not done already.
pub(super) fn begin(agent: &Arc<Agent>) {
    if agent.datagrams.sweeping.swap(true, Ordering::Relaxed) {
        return;
    }
    let agent = Arc::clone(agent);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            sweep(&agent).await;
            if agent.datagrams.sockets.lock().is_empty() {
                agent.datagrams.sweeping.store(false, Ordering::Relaxed);
                return;
            }
        }
    });
}

async fn sweep(agent: &Arc<Agent>) {
    let datagrams = &agent.datagrams;
    // What comes after this line is not judged by a list that may be older.
    let mut before: Vec<u64> = datagrams.sockets.lock().keys().copied().collect();
    before.sort_unstable();
    let read = tokio::task::spawn_blocking(move || {
        let mut alive = vec![false; before.len()];
        let read = sock_diag::udp_cookies(|cookie| {
            if let Ok(at) = before.binary_search(&cookie) {
                alive[at] = true;
            }
        });
        read.map(|()| {
            before.into_iter().zip(alive).filter(|(_, alive)| !alive).map(|(cookie, _)| cookie).collect()
        })
    });
    let closed: Vec<u64> = match read.await {
        Ok(Ok(closed)) => closed,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the list of datagram sockets cannot be read");
            Vec::new()
        }
        Err(_) => return,
    };
    let mut sockets = datagrams.sockets.lock();
    for cookie in closed {
        if let Some(socket) = sockets.remove(&cookie) {
            socket.end(datagrams);
        }
    }
    let limit = now().saturating_sub(IDLE);
    sockets.values().for_each(|socket| socket.remove_idle(datagrams, limit));
}
