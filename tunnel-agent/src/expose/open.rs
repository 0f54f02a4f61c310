//! A listener is asked for at the exit, while its program waits in `listen()`.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libc::SOL_SOCKET;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use underpass_core::destination::canonical;
use underpass_core::failure::{Failure, errno};
use underpass_core::wire::Reply;

use super::known::Known;
use super::{Bound, Exposure, MOST, State, serve, sweep};
use crate::agent::Agent;
use crate::socket::local_address;
use crate::upstream::chain::listening;
use crate::{frames, sys};

/// Answers where a socket is exposed. It is asked with the socket, of which nothing is kept.
pub(crate) fn begin(agent: &Arc<Agent>, connection: OwnedFd, socket: &OwnedFd, listens: bool) {
    let cookie = sys::option::<u64>(socket, SOL_SOCKET, libc::SO_COOKIE);
    let (Ok(cookie), Ok(local)) = (cookie, local_address(socket)) else {
        return frames::reply(&connection, &Reply::Unknown);
    };
    let local = canonical(local);
    let known = {
        let tables = agent.exposures.tables.lock();
        match tables.exposed.get(&local) {
            Some(exposure) if exposure.has(cookie) => Ok(Arc::clone(exposure)),
            _ => Err(tables.bound.get(&cookie).cloned()),
        }
    };
    let bound = match known {
        Ok(exposure) => {
            exposure.state.lock().listens |= listens;
            return reply(&connection, &exposure);
        }
        Err(None) => return frames::reply(&connection, &Reply::Unknown),
        Err(Some(bound)) => bound,
    };
    let (agent, runner) = (Arc::clone(agent), agent.splicer.clone());
    // With the connections that will come.
    runner.spawn(async move {
        match exposed(&agent, bound, cookie, local, listens).await {
            Ok(exposure) => reply(&connection, &exposure),
            Err(errno) => frames::reply(&connection, &Reply::Refuse { errno }),
        }
    });
}

fn reply(connection: &OwnedFd, exposure: &Exposure) {
    frames::reply(connection, &Reply::Peer { peer: exposure.exit, local: None });
}

impl Exposure {
    fn has(&self, cookie: u64) -> bool {
        self.state.lock().cookies.contains(&cookie)
    }
}

async fn exposed(
    agent: &Arc<Agent>,
    bound: Bound,
    cookie: u64,
    local: SocketAddr,
    listens: bool,
) -> Result<Arc<Exposure>, i32> {
    let until = Instant::now() + Duration::from_secs(bound.plan.config.deadline.into());
    let opening = agent.exposures.opening(local);
    let one = tokio::time::timeout_at(until.into(), opening.lock()).await;
    let _one = one.map_err(|_| errno::ETIMEDOUT)?;
    // What has listened there, or at the same place of the exit, may have ended a moment ago.
    let is_same = |exposure: &Exposure| {
        exposure.local == local || exposure.bound.chain == bound.chain && exposure.bound.wish == bound.wish
    };
    let before: Vec<_> = agent.exposures.all().into_iter().filter(|exposure| is_same(exposure)).collect();
    if !before.is_empty() {
        sweep::sweep(agent).await;
        for exposure in &before {
            if exposure.local == local && !*exposure.over.borrow() && exposure.state.lock().listens {
                let mut state = exposure.state.lock();
                state.cookies.insert(cookie);
                return Ok(Arc::clone(exposure));
            }
        }
    }
    if agent.exposures.all().len() >= MOST {
        tracing::warn!("as many listeners are exposed as can be");
        return Err(errno::EACCES);
    }
    let chain = bound.plan.chain(&bound.chain).ok_or(errno::EACCES)?;
    // From before it is asked for: an agent that ends waits for the answer, and closes what that gives.
    let ending = agent.exposures.ending();
    let expected = bound.expected.as_ref();
    let left = until.saturating_duration_since(Instant::now());
    let listening = tokio::time::timeout(left, chain.listen(bound.wish, expected, &bound.client, left));
    let listener = match listening.await.unwrap_or(Err(Failure::TimedOut)) {
        Ok(listener) => listener,
        Err(failure) => {
            let (pid, program) = (bound.client.pid, bound.client.program.as_deref());
            tracing::warn!(pid, program, chain = bound.chain, port = bound.wish.port, why = %failure, "not exposed");
            return Err(listening::errno(&failure));
        }
    };
    let exit = listener.bound();
    tracing::info!(pid = bound.client.pid, chain = bound.chain, at = %exit, program = %local, "exposed");
    let state = State { cookies: [cookie].into(), listens, since: Instant::now() };
    let exposure = Arc::new(Exposure {
        bound,
        local,
        exit,
        state: Mutex::new(state),
        known: Known::new(true),
        closed: Notify::new(),
        over: watch::Sender::new(false),
    });
    agent.exposures.tables.lock().exposed.insert(local, Arc::clone(&exposure));
    sweep::begin(agent);
    let (shared, served) = (Arc::clone(agent), Arc::clone(&exposure));
    agent.splicer.spawn(async move { serve::serve(&shared, served, listener, ending).await });
    Ok(exposure)
}
