//! `reload` and SIGHUP: configuration files are read again. Connections that are there stay as they are;
//! new ones take the new routes and chains.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use underpass_core::control::ControlReply;

use crate::agent::Agent;
use crate::front::configuration::Fixed;
use crate::processes;

/// Reads them, away from those who wait for connections. Sessions whose programs have ended, as far as that
/// can be known, are not counted.
pub(crate) async fn reload(agent: &Arc<Agent>) -> io::Result<ControlReply> {
    // A successor reads the file of sessions when nobody writes it.
    let alone = Arc::clone(&agent.writing).lock_owned().await;
    let reading = Arc::clone(agent);
    let reloaded = tokio::task::spawn_blocking(move || {
        let _alone = alone;
        let alive = processes::sessions(&reading.sessions.socket, &reading.lifetime.seen_and_alive());
        let has_programs = |token: &_| alive.as_ref().is_none_or(|alive| alive.contains(token));
        let mut reloaded = reading.sessions.reload(has_programs, |pool| reading.names.add(pool));
        reloaded.failures.extend(reading.fixed.get().and_then(Fixed::changed));
        reloaded
    });
    let mut reloaded = reloaded.await.map_err(io::Error::other)?;
    for plan in agent.sessions.plans() {
        if let Err(why) = agent.metrics.open(agent, plan.config.metrics.as_ref()) {
            reloaded.failures.push(why);
        }
    }
    for failure in &reloaded.failures {
        tracing::warn!(reason = failure.as_str(), "not reloaded");
    }
    tracing::info!(sessions = reloaded.changed, "reloaded");
    Ok(ControlReply::Reloaded {
        changed: reloaded.changed,
        unchanged: reloaded.unchanged,
        fixed: reloaded.fixed,
        failures: reloaded.failures,
    })
}

/// Does so at each SIGHUP.
pub(crate) async fn on_hangup(agent: &Arc<Agent>) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    while hangup.recv().await.is_some() {
        agent.manager.reloading();
        reload(agent).await?;
        agent.manager.ready("serving");
    }
    std::future::pending().await
}
