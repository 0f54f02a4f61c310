//! One exposed listener of a program, until its sockets are closed.

use std::sync::Arc;

use tokio::sync::watch;

use super::arrivals::{Arrivals, Next, ended};
use super::known::Pause;
use super::{Exposure, carry};
use crate::agent::Agent;
use crate::upstream::bind::Bound;
use crate::upstream::chain::listening::Listener;

/// Serves it; the agent says by `ending` that it ends, and waits until that is dropped.
pub(super) async fn serve(
    agent: &Arc<Agent>,
    exposure: Arc<Exposure>,
    listener: Listener,
    ending: watch::Receiver<bool>,
) {
    match listener {
        Listener::AtRelay(listening) => {
            let (control, relay) = *listening;
            at_relay(agent, &exposure, Arrivals::new(control, relay, ending.clone()), ending).await;
        }
        Listener::Once(bound) => {
            // With its connection the proxy closes it.
            drop(ending);
            once(agent, &exposure, *bound).await;
        }
    }
    tracing::info!(at = %exposure.exit, "no longer exposed");
    agent.exposures.forget(&exposure);
}

async fn at_relay(
    agent: &Arc<Agent>,
    exposure: &Arc<Exposure>,
    mut arrivals: Arrivals,
    mut ending: watch::Receiver<bool>,
) {
    loop {
        if !told(agent, exposure, &mut arrivals).await {
            return arrivals.close().await;
        }
        exposure.known.listens(false);
        tracing::warn!(at = %exposure.exit, "the exit has closed a listener, which is asked for again");
        let mut relay = arrivals.lost();
        let mut pause = Pause::default();
        arrivals = loop {
            let again = tokio::select! {
                () = exposure.closed.notified() => return,
                again = relay.again() => again,
            };
            match again {
                Ok(control) => break Arrivals::new(control, relay, ending.clone()),
                Err(failure) => tracing::debug!(%failure, "no listener yet"),
            }
            tokio::select! {
                () = exposure.closed.notified() => return,
                () = ended(&mut ending) => return,
                () = pause.wait() => {}
            }
        };
        exposure.known.listens(true);
    }
}

/// Takes each who comes; whether the exit has closed the listener, and not the program its sockets or the agent everything.
async fn told(agent: &Arc<Agent>, exposure: &Arc<Exposure>, arrivals: &mut Arrivals) -> bool {
    loop {
        let next = tokio::select! {
            () = exposure.closed.notified() => return false,
            next = arrivals.next() => next,
        };
        let arrival = match next {
            Next::Comes(arrival) => arrival,
            Next::Lost => return true,
            Next::Ends => return false,
        };
        let (agent, exposure) = (Arc::clone(agent), Arc::clone(exposure));
        tokio::spawn(async move {
            let peer = arrival.peer;
            match arrival.taken().await {
                Ok(stream) => carry::carry(&agent, &exposure, stream, peer).await,
                Err(failure) => tracing::debug!(%failure, %peer, "a connection was not taken"),
            }
        });
    }
}

/// One connection, and no more: a SOCKS proxy does not say at which port it listens before it does, so that a second
/// listener would be elsewhere.
async fn once(agent: &Arc<Agent>, exposure: &Arc<Exposure>, bound: Bound) {
    let accepted = tokio::select! {
        () = exposure.closed.notified() => return,
        accepted = bound.accept() => accepted,
    };
    exposure.known.listens(false);
    match accepted {
        Ok((stream, peer)) => {
            let (agent, one) = (Arc::clone(agent), Arc::clone(exposure));
            tokio::spawn(async move { carry::carry(&agent, &one, stream, peer).await });
        }
        Err(failure) => tracing::warn!(at = %exposure.exit, why = %failure, "nobody has connected"),
    }
    exposure.closed.notified().await;
}
