//! One exposed listener, until its program's sockets are closed.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use super::{Exposure, carry};
use crate::agent::Agent;
use crate::relay::listen::announced::{Announced, Decoder};
use crate::upstream::bind::Bound;
use crate::upstream::chain::listening::{AtRelay, Listener};
use crate::upstream::relay::muxed::Muxed;
use crate::upstream::stream::Stream;

/// How long the relay may take to close a listener.
const CLOSING: Duration = Duration::from_secs(2);
/// Between two attempts to have a listener again whose stream has ended.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);

pub(super) async fn serve(agent: &Arc<Agent>, exposure: Arc<Exposure>, listener: Listener) {
    match listener {
        Listener::AtRelay(listening) => {
            let (control, relay) = *listening;
            at_relay(agent, &exposure, control, relay).await;
        }
        Listener::Once(bound) => once(agent, &exposure, *bound).await,
    }
    tracing::info!(at = %exposure.exit, "no longer exposed");
    agent.exposures.forget(&exposure);
}

async fn at_relay(agent: &Arc<Agent>, exposure: &Arc<Exposure>, mut control: Muxed, mut relay: AtRelay) {
    loop {
        let shared = Arc::new(relay);
        if told(agent, exposure, &shared, &mut control).await {
            return close(control).await;
        }
        tracing::warn!(at = %exposure.exit, "the exit has closed a listener, which is asked for again");
        drop(control);
        // Connections that are being taken go on without it.
        relay = Arc::unwrap_or_clone(shared);
        let mut pause = SHORTEST;
        control = loop {
            let again = tokio::select! {
                () = exposure.closed.notified() => return,
                again = relay.again() => again,
            };
            match again {
                Ok(control) => break control,
                Err(failure) => tracing::debug!(%failure, "no listener yet"),
            }
            tokio::select! {
                () = exposure.closed.notified() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST),
            }
        };
    }
}

/// Takes each connection that is told of; whether the program has closed its sockets, or else the exit the listener.
async fn told(
    agent: &Arc<Agent>,
    exposure: &Arc<Exposure>,
    relay: &Arc<AtRelay>,
    control: &mut Muxed,
) -> bool {
    let mut decoder = Decoder::default();
    loop {
        let received = tokio::select! {
            () = exposure.closed.notified() => return true,
            received = poll_fn(|cx| control.poll_receive(cx)) => received,
        };
        let Some(Ok(bytes)) = received else { return false };
        control.taken(bytes.len());
        let Ok(found) = decoder.take(&bytes) else { return false };
        for Announced { id, peer } in found {
            let (agent, exposure, relay) = (Arc::clone(agent), Arc::clone(exposure), Arc::clone(relay));
            tokio::spawn(async move {
                match relay.accept(id).await {
                    Ok(stream) => {
                        let stream = Stream::Muxed(Box::new(stream));
                        drop(relay);
                        carry::carry(&agent, &exposure, stream, peer).await;
                    }
                    Err(failure) => tracing::debug!(%failure, %peer, "a connection was not taken"),
                }
            });
        }
    }
}

/// A clean end, which closes the listener at once.
async fn close(mut control: Muxed) {
    if control.end().is_ok() {
        let ended = async {
            while let Some(Ok(bytes)) = poll_fn(|cx| control.poll_receive(cx)).await {
                control.taken(bytes.len());
            }
        };
        let _ = tokio::time::timeout(CLOSING, ended).await;
    }
}

/// One connection, and no more: a SOCKS proxy does not say at which port it listens before it does, so that a second
/// listener would be elsewhere.
async fn once(agent: &Arc<Agent>, exposure: &Arc<Exposure>, bound: Bound) {
    let accepted = tokio::select! {
        () = exposure.closed.notified() => return,
        accepted = bound.accept() => accepted,
    };
    match accepted {
        Ok((stream, peer)) => {
            let (agent, one) = (Arc::clone(agent), Arc::clone(exposure));
            tokio::spawn(async move { carry::carry(&agent, &one, stream, peer).await });
        }
        Err(failure) => tracing::warn!(at = %exposure.exit, why = %failure, "nobody has connected"),
    }
    exposure.closed.notified().await;
}
