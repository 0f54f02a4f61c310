//! Listeners at the end of a chain: at a relay of ours that is the last hop, for as many connections as come, or, by
//! BIND of a SOCKS5 proxy (RFC 1928 section 4), for one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};

use super::{Chain, Path};
use crate::relay::listen::request::{BOUND, Id, RESUME};
use crate::relay::policy::exposing::Wish;
use crate::upstream::again::Again;
use crate::upstream::bind::{self, Bound};
use crate::upstream::hop::{Client, Hop};
use crate::upstream::path::{self, Progress};
use crate::upstream::relay::muxed::Muxed;
use crate::upstream::relay::request::{self, Listening};
use crate::upstream::relay::sessions::{Sessions, Through};

/// A listener.
pub(crate) enum Listener {
    /// The stream that tells of connections.
    AtRelay(Box<(Muxed, AtRelay)>),
    /// One connection comes over this one.
    Once(Box<Bound>),
}

/// What leads to a listener of a relay.
#[derive(Clone)]
pub(crate) struct AtRelay {
    sessions: Arc<Sessions>,
    path: Path,
    hops: Vec<Arc<Hop>>,
    client: Client,
    wish: Wish,
    pub(crate) bound: SocketAddr,
    token: Option<Id>,
    patience: Duration,
}

impl Listener {
    /// Where it is reached.
    pub(crate) fn bound(&self) -> SocketAddr {
        match self {
            Self::AtRelay(relay) => relay.1.bound,
            Self::Once(bound) => bound.address,
        }
    }
}

/// The errno of listen(2) or bind(2) for why there is no listener.
pub(crate) fn errno(failure: &Failure) -> i32 {
    match failure {
        Failure::At { failure, .. } => self::errno(failure),
        Failure::Socket(_) | Failure::Socks5(_) => errno::EACCES,
        other => other.errno(),
    }
}

/// Where the last hop can only connect.
pub(crate) const NO_LISTENERS: Failure =
    Failure::Socket("only SOCKS5 proxies and relays listen for others, where they are the last hop");

impl Chain {
    /// A listener at its end, by other paths where hops fail; `expected` is who will connect, where that is known.
    pub(crate) async fn listen(
        &self,
        wish: Wish,
        expected: Option<&Destination>,
        client: &Client,
        deadline: Duration,
    ) -> Result<Listener, Failure> {
        let mut again = Again::within(deadline);
        let (mut failed, mut last) = (Vec::new(), None);
        self.measure().await;
        loop {
            let left = again.left();
            let Some(path) = self.path(&failed).filter(|_| !left.is_zero()) else { break };
            let (hops, progress) = (self.along(&path), Progress::default());
            let patience = self.patience(failed.len(), left);
            let attempt = async {
                match hops.last() {
                    Some(hop) if hop.is_relay() => {
                        let relay = AtRelay {
                            sessions: Arc::clone(&self.sessions),
                            path: path.clone(),
                            hops: hops.clone(),
                            client: client.clone(),
                            wish,
                            bound: unspecified(wish),
                            token: None,
                            patience,
                        };
                        Ok(Listener::AtRelay(Box::new(relay.listen(&progress).await?)))
                    }
                    Some(hop) if bind::binds(hop) => {
                        let bound =
                            path::answering(|| bind::bind(&hops, expected, client, &progress)).await?;
                        Ok(Listener::Once(Box::new(bound)))
                    }
                    _ => Err(NO_LISTENERS),
                }
            };
            let failure = match tokio::time::timeout(patience, attempt).await {
                Ok(Ok(listener)) => {
                    hops.iter().for_each(|hop| hop.has_served());
                    return Ok(listener);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::TimedOut,
            };
            let at = match failure {
                // It may carry connections all the same.
                Failure::Socket(_) => {
                    last = Some(self.named(&path, path.len() - 1, failure));
                    path.len() - 1
                }
                failure => match self.accuse(failure, &path, &progress) {
                    (None, failure) => {
                        again.after(failure).await?;
                        continue;
                    }
                    (Some(at), failure) => {
                        self.hops[path[at]].has_failed(&failure);
                        last = Some(failure);
                        at
                    }
                },
            };
            failed.push(path[at]);
        }
        Err(last.unwrap_or(Failure::TimedOut))
    }
}

fn unspecified(wish: Wish) -> SocketAddr {
    let ip = wish.ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
    SocketAddr::new(ip, wish.port)
}

impl AtRelay {
    /// The connection with this id.
    pub(crate) async fn accept(&self, id: Id) -> Result<Muxed, Failure> {
        let asked = Listening::Connection(id);
        let mut again = Again::within(self.patience);
        loop {
            let progress = Progress::default();
            let taken = tokio::time::timeout(again.left(), self.ask(&asked, &progress)).await;
            match taken.unwrap_or(Err(Failure::TimedOut)) {
                Ok((stream, _)) => return Ok(stream),
                Err(failure) => again.after(failure).await?,
            }
        }
    }

    /// The listener again, after its stream has ended: the same one, or else a new one at its port.
    pub(crate) async fn again(&mut self) -> Result<Muxed, Failure> {
        match self.resumed().await? {
            Some(control) => Ok(control),
            None => self.asked_again(None).await,
        }
    }

    /// The same listener; `None` if the relay does not keep it for us. By a failure it is not known whether it does.
    pub(crate) async fn resumed(&mut self) -> Result<Option<Muxed>, Failure> {
        let Some(token) = self.token else { return Ok(None) };
        match self.asked_again(Some(token)).await {
            Err(Failure::NotListening { status: 404, .. }) => {
                self.token = None;
                Ok(None)
            }
            answered => answered.map(Some),
        }
    }

    async fn asked_again(&mut self, token: Option<Id>) -> Result<Muxed, Failure> {
        let same = Wish { port: self.bound.port(), ..self.wish };
        let (asked, progress) = (Listening::Listener(same, token), Progress::default());
        let answered = tokio::time::timeout(self.patience, self.ask(&asked, &progress)).await;
        let (control, said) = answered.unwrap_or(Err(Failure::TimedOut))?;
        self.told(&said)?;
        Ok(control)
    }

    async fn listen(mut self, progress: &Progress) -> Result<(Muxed, Self), Failure> {
        let (control, said) = self.ask(&Listening::Listener(self.wish, None), progress).await?;
        self.told(&said)?;
        Ok((control, self))
    }

    /// An unspecified address means the relay's own, as for SOCKS.
    fn told(&mut self, said: &HeaderMap) -> Result<(), Failure> {
        let bound =
            request::address(said, BOUND).ok_or(Failure::Protocol("it does not say where it listens"))?;
        let own = self.hops.last().and_then(|hop| hop.destination());
        self.bound = match own {
            Some(Destination::Address(own)) if bound.ip().is_unspecified() => {
                SocketAddr::new(own.ip(), bound.port())
            }
            _ => bound,
        };
        self.token = said.get(RESUME).and_then(|token| token.to_str().ok()).and_then(Id::parse);
        Ok(())
    }

    async fn ask(&self, asked: &Listening, progress: &Progress) -> Result<(Muxed, HeaderMap), Failure> {
        let destination = Destination::Address(self.bound);
        let through = Through {
            path: &self.path,
            hops: &self.hops,
            client: &self.client,
            destination: &destination,
            patience: self.patience,
        };
        path::answering(|| Sessions::listening(&self.sessions, &through, asked, progress)).await
    }
}
