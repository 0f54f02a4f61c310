//! `--check`: each hop of each chain is tried as a connection would reach it, and what comes of it is
//! told as it is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use underpass_core::config::{Config, Kind};
use underpass_core::control::ControlReply;
use underpass_core::failure::Failure;
use underpass_core::upstream::Upstream;

use crate::facts::FarOptions;
use crate::plan::Plan;
use crate::upstream::hop::{Client, Hop};
use crate::upstream::path::{self, Progress};
use crate::upstream::relay::sessions;
use crate::upstream::ssh;

/// Tries all hops, and tells of each; the last word is left to the caller.
pub(crate) async fn check(config: Config, tell: mpsc::Sender<ControlReply>) -> Result<(), String> {
    let plan = Plan::new(config)?;
    let deadline = Duration::from_secs(plan.config.deadline.into());
    for (name, chain) in plan.chains() {
        let hops = chain.hops();
        // The later hops of a strict chain are reached through those before them; those of the other
        // kinds may be the first, and are tried as such.
        let through = |at: usize| match plan.config.chains.get(name).map(|chain| chain.kind) {
            Some(Kind::Strict) => &hops[..=at],
            _ => &hops[at..=at],
        };
        for (at, hop) in hops.iter().enumerate() {
            let start = Instant::now();
            let tried = tokio::time::timeout(deadline, reach(through(at))).await;
            let ended = tried.unwrap_or(Err(Failure::TimedOut));
            let millis = start.elapsed().as_millis().try_into().ok().filter(|_| ended.is_ok());
            let failure = ended.err();
            let told = ControlReply::Checked {
                chain: name.to_owned(),
                hop: at + 1,
                of: hops.len(),
                name: hop.upstream.to_string(),
                millis,
                hint: failure.as_ref().and_then(Failure::hint).map(str::to_owned),
                failure: failure.map(|failure| failure.to_string()),
            };
            if tell.send(told).await.is_err() {
                // Nobody listens any more.
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether the last of the hops answers, and lets us in.
async fn reach(hops: &[Arc<Hop>]) -> Result<(), Failure> {
    match hops.last().map(|hop| &hop.upstream) {
        Some(Upstream::Local) | None => Ok(()),
        Some(Upstream::Ssh(ssh)) => ssh::check(ssh).await,
        // Whom it does not know it tells after the handshake.
        Some(_) if hops.last().is_some_and(|hop| hop.is_relay()) => sessions::check(hops).await,
        Some(_) => {
            let (options, client, progress): (FarOptions, Client, Progress) = Default::default();
            path::open(hops, &options, &client, &progress).await.map(drop)
        }
    }
}
