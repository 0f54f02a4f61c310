//! Who comes to a listener of a relay, for as long as the stream lasts that tells of them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use underpass_core::failure::Failure;

use crate::relay::listen::announced::{Announced, Decoder};
use crate::relay::listen::request::Id;
use crate::upstream::chain::listening::AtRelay;
use crate::upstream::relay::muxed::Muxed;
use crate::upstream::stream::Stream;

/// How long the relay may take to close a listener.
const CLOSING: Duration = Duration::from_secs(2);

/// A listener at a relay.
pub(crate) struct Arrivals {
    control: Muxed,
    relay: Arc<AtRelay>,
    decoder: Decoder,
    /// Told of, and not yet looked at.
    told: VecDeque<Announced>,
    /// The agent ends, and waits until this is dropped.
    ending: watch::Receiver<bool>,
}

/// What is next at a listener.
pub(crate) enum Next {
    Comes(Arrival),
    /// The relay has closed it, or cannot be reached.
    Lost,
    /// The agent ends: it is to be closed.
    Ends,
}

/// Somebody has connected there, and waits to be taken.
pub(crate) struct Arrival {
    relay: Arc<AtRelay>,
    id: Id,
    pub(crate) peer: SocketAddr,
}

impl Arrivals {
    pub(crate) fn new(control: Muxed, relay: AtRelay, ending: watch::Receiver<bool>) -> Self {
        Self { control, relay: Arc::new(relay), decoder: Decoder::default(), told: VecDeque::new(), ending }
    }

    /// The next who comes, or why nobody does any more. Nobody is lost where the call is given up.
    pub(crate) async fn next(&mut self) -> Next {
        let Self { control, relay, decoder, told, ending } = self;
        let comes = async {
            loop {
                if let Some(Announced { id, peer }) = told.pop_front() {
                    return Some(Arrival { relay: Arc::clone(relay), id, peer });
                }
                let bytes = poll_fn(|cx| control.poll_receive(cx)).await?.ok()?;
                control.taken(bytes.len());
                told.extend(decoder.take(&bytes).ok()?);
            }
        };
        tokio::select! {
            comes = comes => comes.map_or(Next::Lost, Next::Comes),
            () = ended(ending) => Next::Ends,
        }
    }

    /// What asks for the same listener again. Connections that are being taken go on without it.
    pub(crate) fn lost(self) -> AtRelay {
        drop(self.control);
        Arc::unwrap_or_clone(self.relay)
    }

    /// A clean end, which closes the listener at once.
    pub(crate) async fn close(mut self) {
        if self.control.end().is_ok() {
            let ended = async {
                while let Some(Ok(bytes)) = poll_fn(|cx| self.control.poll_receive(cx)).await {
                    self.control.taken(bytes.len());
                }
            };
            let _ = tokio::time::timeout(CLOSING, ended).await;
        }
    }
}

/// Until the agent ends.
pub(super) async fn ended(ending: &mut watch::Receiver<bool>) {
    // Nobody is there to say so only where it has ended.
    let _ = ending.wait_for(|ends| *ends).await;
}

impl Arrival {
    /// The connection. Dropped before its end, it is reset.
    pub(crate) async fn taken(self) -> Result<Stream, Failure> {
        self.relay.accept(self.id).await.map(|stream| Stream::Muxed(Box::new(stream)))
    }
}
