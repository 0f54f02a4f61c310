//! What is forgotten: sockets that their programs have closed, and peers that nobody uses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Datagrams;
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
            sweep(&agent.datagrams).await;
            if agent.datagrams.sockets.lock().is_empty() {
                agent.datagrams.sweeping.store(false, Ordering::Relaxed);
                return;
            }
        }
    });
}

pub(super) async fn sweep(datagrams: &Datagrams) {
    // What comes after this line is not judged by a list that may be older.
    let known: Vec<u64> = datagrams.sockets.lock().keys().copied().collect();
    let mut closed = unlisted(known).await;
    if !closed.is_empty() {
        // The list comes in parts, and leaves one out where another is closed between two of them (udp_dump
        // goes on by number).
        closed = unlisted(closed).await;
    }
    let mut sockets = datagrams.sockets.lock();
    for cookie in closed {
        if let Some(socket) = sockets.remove(&cookie) {
            socket.end(datagrams);
        }
    }
    let limit = now().saturating_sub(IDLE);
    sockets.values().for_each(|socket| socket.remove_idle(datagrams, limit));
}

/// Which of these the kernel does not list.
async fn unlisted(mut cookies: Vec<u64>) -> Vec<u64> {
    cookies.sort_unstable();
    let read = tokio::task::spawn_blocking(move || {
        let mut alive = vec![false; cookies.len()];
        let read = sock_diag::udp_cookies(|cookie| {
            if let Ok(at) = cookies.binary_search(&cookie) {
                alive[at] = true;
            }
        });
        read.map(|()| {
            cookies.into_iter().zip(alive).filter(|(_, alive)| !alive).map(|(cookie, _)| cookie).collect()
        })
    });
    match read.await {
        Ok(Ok(closed)) => closed,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the list of datagram sockets cannot be read");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
