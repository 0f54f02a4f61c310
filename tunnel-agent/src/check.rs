//! `--check`: each hop of each chain is tried as a connection would reach it, and what comes of it is
//! told as it is known. [`trial`] tries one.

mod trial;

use std::time::Duration;

use tokio::sync::mpsc;
use underpass_core::config::{Config, Kind};
use underpass_core::control::ControlReply;
use underpass_core::failure::Failure;

use crate::plan::Plan;

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
            let (good, failure) = match trial::hop(through(at), deadline).await {
                Ok(good) => (Some(good), None),
                Err(failure) => (None, Some(failure)),
            };
            let round_trip = good.as_ref().and_then(|good| good.round_trip);
            let told = ControlReply::Checked {
                chain: name.to_owned(),
                hop: at + 1,
                of: hops.len(),
                name: hop.upstream.to_string(),
                millis: good.as_ref().and_then(|good| good.took.as_millis().try_into().ok()),
                round_trip_microseconds: round_trip.and_then(|time| time.as_micros().try_into().ok()),
                refuses: good.map(|good| good.refuses).unwrap_or_default(),
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
