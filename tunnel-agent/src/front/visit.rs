//! One connection at the front door: asked, dialled, answered, and relayed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

use super::asked::Asked;
use super::conversation::{Language, asked};
use super::datagrams::Association;
use super::door::Kind;
use super::login::Login;
use super::socks5;
use crate::agent::Agent;
use crate::attempt::{self, along, trip, way};
use crate::facts::FarOptions;
use crate::flow::{Flows, Trip};
use crate::lifetime::Lifetime;
use crate::log;
use crate::loopback;
use crate::plan::Plan;
use crate::upstream::Far;
use crate::upstream::hop::Client;
use crate::upstream::stream::{Bare, Stream};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one that was refused may take to close.
const LEAVE: Duration = Duration::from_secs(1);

/// Who has come in, and by which door.
pub(super) struct Visit {
    pub(super) agent: Arc<Agent>,
    pub(super) plan: Arc<Plan>,
    pub(super) kind: Kind,
    pub(super) login: Option<Arc<Login>>,
}

/// What becomes of a visit.
enum Next {
    Relay(OwnedFd, Stream, Trip),
    Datagrams(Bare<OwnedFd>, Association),
    Nothing,
}

/// Serves a client on the thread that relays.
pub(super) fn begin(visit: Visit, stream: OwnedFd, room: OwnedSemaphorePermit) {
    let agent = Arc::clone(&visit.agent);
    let splicer = agent.splicer.clone();
    splicer.spawn(async move {
        let _usage = (Lifetime::begin(&agent), room);
        // Boxed, so that a long-lived connection does not keep the room of its dial.
        let ended = match Box::pin(visit.carried(stream)).await {
            Ok(Next::Relay(client, far, trip)) => {
                let listed = Flows::begin(&agent, trip);
                let ended = agent.splicer.relay(client, far, &listed.flow).await;
                log::ended(&listed.flow, &ended);
                Ok(())
            }
            Ok(Next::Datagrams(stream, association)) => association.serve(stream).await,
            Ok(Next::Nothing) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a client at the front door went away");
        }
    });
}

impl Visit {
    /// Up to the answer that is good, if there is one.
    async fn carried(&self, stream: OwnedFd) -> io::Result<Next> {
        prepare(&stream);
        let mut stream = Bare::new(stream)?;
        let login = self.login.as_deref();
        let asked = tokio::time::timeout(PATIENCE, asked(&mut stream, self.kind, login)).await??;
        let (answer, next) = match asked {
            Some((language, Asked::Connect(destination))) => self.connect(language, destination).await,
            Some((_, Asked::Associate(from))) => {
                match Association::open(&self.agent, &self.plan, &stream, from) {
                    Ok(association) => {
                        let answer = socks5::carried_at(association.place());
                        (answer, Some(Found::Datagrams(association)))
                    }
                    Err(failure) => {
                        log::no_datagrams(
                            &self.agent.datagrams,
                            &self.plan,
                            None,
                            &Client::default(),
                            &failure,
                        );
                        (socks5::reply(socks5::COMMAND_NOT_SUPPORTED), None)
                    }
                }
            }
            None => (Vec::new(), None),
        };
        tokio::time::timeout(PATIENCE, stream.write_all(&answer)).await??;
        Ok(match next {
            Some(Found::Far(far, trip)) => {
                log::relayed(&trip);
                Next::Relay(stream.into_watched().into_inner(), far, trip)
            }
            Some(Found::Datagrams(association)) => Next::Datagrams(stream, association),
            None => {
                take_leave(stream).await;
                Next::Nothing
            }
        })
    }

    /// Dials; what is answered, and the far end if there is one.
    async fn connect(&self, language: Language, destination: Destination) -> (Vec<u8>, Option<Found>) {
        let client = Client::default();
        let dialled = dial(&self.agent, &self.plan, &client, &destination).await;
        let trip = trip(&self.agent, &self.plan, &client, destination);
        match dialled {
            Ok(far) => (language.answer(None), Some(Found::Far(far.stream, trip))),
            Err(failure) => {
                log::failed(&trip, &failure);
                (language.answer(Some(&failure)), None)
            }
        }
    }
}

/// What a client gets.
enum Found {
    Far(Stream, Trip),
    Datagrams(Association),
}

/// Sets what a connection of TCP needs; a Unix socket needs nothing.
fn prepare(stream: &OwnedFd) {
    let peer = rustix::net::getpeername(stream).ok().flatten();
    if let Some(peer) = peer.and_then(|peer| std::net::SocketAddr::try_from(peer).ok()) {
        let _ = rustix::net::sockopt::set_tcp_nodelay(stream, true);
        loopback::accepted(stream, peer.ip());
    }
}

/// Ends a connection so that the last answer is read: to close it over bytes that nobody has read would be a
/// reset, which can overtake the answer (RFC 9112 section 9.6).
async fn take_leave(mut stream: Bare<OwnedFd>) {
    let mut rest = [0; 1024];
    let drained = async {
        stream.shutdown().await?;
        for _ in 0..64 {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LEAVE, drained).await;
}

async fn dial(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    destination: &Destination,
) -> Result<Far, Failure> {
    let deadline = Duration::from_secs(plan.config.deadline.into());
    // A fake address stands for a name here, too, and is never dialled.
    let destination = &match destination {
        Destination::Address(address) => attempt::destination(agent, *address)?,
        Destination::Name { .. } => destination.clone(),
    };
    let options = FarOptions::default();
    let far = along(way(plan, client, destination), client, destination, &options, deadline);
    tokio::time::timeout(deadline, far).await.unwrap_or(Err(Failure::TimedOut))
}
