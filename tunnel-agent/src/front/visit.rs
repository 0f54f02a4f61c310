//! One connection at the front door: asked, dialled, answered, and relayed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underpass_core::config::listen::Service;
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::Failure;
use underpass_core::wire::Token;

use super::asked::Asked;
use super::bind::bind;
use super::conversation::{Language, asked};
use super::datagrams::Association;
use super::held::{Dialled, Held, Usage};
use super::login::Login;
use super::socks5;
use crate::agent::Agent;
use crate::attempt::{self, along, trip, way};
use crate::datagram::NO_ROOM;
use crate::facts::FarOptions;
use crate::flow::{Listed, Trip};
use crate::lifetime::Lifetime;
use crate::loopback;
use crate::plan::Plan;
use crate::room::Taken;
use crate::socket::remote_address;
use crate::splice::Relaying;
use crate::upstream::Far;
use crate::upstream::hop::Client;
use crate::upstream::stream::{Bare, Stream};
use crate::{dns, ends, log, sight, sys};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one that was refused may take to close.
const LEAVE: Duration = Duration::from_secs(1);

/// What is asked and done at a door.
pub(super) struct Threshold {
    pub(super) service: Service,
    pub(super) login: Option<Login>,
    /// What is dialled before it comes.
    pub(super) held: Option<Arc<Held>>,
}

/// Who has come in, and by which door.
pub(super) struct Visit {
    pub(super) agent: Arc<Agent>,
    pub(super) plan: Arc<Plan>,
    /// Whose plan it is: a reload gives it another one.
    pub(super) session: Token,
    pub(super) threshold: Arc<Threshold>,
}

/// What becomes of a visit.
enum Next {
    /// With what it has had since it was dialled, if that was before it came.
    Relay(Bare<OwnedFd>, Stream, Trip, Option<Usage>),
    Datagrams(Bare<OwnedFd>, Association),
    Nothing,
}

/// What is left to be done for one that is served: as little as that is kept of it.
enum Rest {
    Relay(Relaying, Listed, Option<Usage>),
    Datagrams(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>),
}

/// Serves a client on the thread that relays.
pub(super) fn begin(visit: Visit, stream: OwnedFd, mut room: Option<Taken>) {
    let agent = Arc::clone(&visit.agent);
    let splicer = agent.splicer.clone();
    splicer.spawn(async move {
        let _usage = Lifetime::begin(&agent);
        // Boxed, so that a long-lived connection does not keep the room of its dial.
        let rest = match Box::pin(visit.carried(stream)).await {
            Ok(Next::Relay(client, far, trip, mut usage)) => {
                let dialled_for = usage.as_mut().map(|(_, taken)| taken);
                if let Some(taken) = dialled_for.or(room.as_mut()) {
                    taken.keep(1 + far.descriptors());
                }
                let listed = agent.flows.begin(trip);
                Rest::Relay(agent.splicer.relay(client, far, &listed.flow), listed, usage)
            }
            Ok(Next::Datagrams(stream, association)) => Rest::Datagrams(Box::pin(association.serve(stream))),
            Ok(Next::Nothing) => return,
            Err(error) => return gone(&error),
        };
        match rest {
            Rest::Relay(relaying, listed, _dialled_for) => log::ended(&listed.flow, &relaying.await),
            Rest::Datagrams(served) => served.await.unwrap_or_else(|error| gone(&error)),
        }
    });
}

fn gone(error: &io::Error) {
    tracing::debug!(%error, "a client at the front door went away");
}

impl Visit {
    /// Up to the answer that is good, if there is one.
    async fn carried(&self, stream: OwnedFd) -> io::Result<Next> {
        prepare(&stream);
        let mut stream = Bare::new(stream)?;
        let Threshold { service, login, held } = &*self.threshold;
        let asked = match service {
            Service::Proxy(kind) => {
                let asked = asked(&mut stream, *kind, login.as_ref());
                let Some((language, asked)) = tokio::time::timeout(PATIENCE, asked).await?? else {
                    take_leave(stream).await;
                    return Ok(Next::Nothing);
                };
                (Some(language), asked)
            }
            Service::Tcp(to) | Service::Udp(to) => (None, Asked::Connect(to.clone())),
            Service::Redirect(_) | Service::Tproxy => match redirected(&stream) {
                Some(to) => match held {
                    Some(held) => return taken(held, stream, to),
                    None => (None, Asked::Connect(Destination::Address(to))),
                },
                // Whoever connects to the listener itself wants nothing that is there.
                None => return reset(&stream),
            },
        };
        let (answer, found) = match asked {
            (language, Asked::Connect(destination)) => tokio::select! {
                connected = self.connect(language, destination) => connected,
                error = given_up(&stream, language) => return Err(error),
            },
            (_, Asked::Associate(from)) => self.associate(&stream, from),
            (Some(language), Asked::Bind(peer)) => match bind(self, language, &mut stream, peer).await? {
                Some((far, trip)) => (Vec::new(), Some(Found::Far(far, trip))),
                None => {
                    take_leave(stream).await;
                    return Ok(Next::Nothing);
                }
            },
            // It was not said in a protocol that could say what comes of it.
            (None, Asked::Bind(_)) => return reset(&stream),
        };
        tokio::time::timeout(PATIENCE, stream.write_all(&answer)).await??;
        match found {
            Some(Found::Far(far, trip)) => Ok(Next::Relay(stream, far, trip, None)),
            Some(Found::Datagrams(association)) => Ok(Next::Datagrams(stream, association)),
            // Nobody has told why: an end would look like an empty stream.
            None if answer.is_empty() => reset(&stream),
            None => {
                take_leave(stream).await;
                Ok(Next::Nothing)
            }
        }
    }

    /// Dials; what is answered, and the far end if there is one.
    async fn connect(
        &self,
        language: Option<Language>,
        destination: Destination,
    ) -> (Vec<u8>, Option<Found>) {
        let client = Client::default();
        let since = Instant::now();
        let redirected = matches!(self.threshold.service, Service::Redirect(_));
        let dialled = dial(&self.agent, &self.plan, &client, &destination, redirected).await;
        let trip = trip(&self.agent, &self.plan, &client, destination);
        let answer = |failure| language.map_or(Vec::new(), |language| language.answer(failure));
        match dialled {
            Ok(far) => {
                sight::relayed(&trip, since);
                // A client that is to tell others where it is, as FTP does, learns it so; SOCKS4 has it for BIND alone.
                let known = far.exit.filter(|_| language == Some(Language::Socks5));
                let told = known.map_or_else(|| answer(None), socks5::carried_at);
                (told, Some(Found::Far(far.stream, trip)))
            }
            Err(failure) => {
                sight::failed(&self.agent, &trip, &failure);
                (answer(Some(&failure)), None)
            }
        }
    }

    fn associate(&self, stream: &Bare<OwnedFd>, from: SocketAddr) -> (Vec<u8>, Option<Found>) {
        match Association::open(&self.agent, (&self.plan, self.session), stream, from) {
            Ok(association) => (socks5::carried_at(association.place()), Some(Found::Datagrams(association))),
            Err(failure) => {
                log::no_datagrams(&self.agent.datagrams, &self.plan, None, &Client::default(), &failure);
                // There may be room later.
                let code = match failure == NO_ROOM {
                    true => socks5::FAILURE,
                    false => socks5::COMMAND_NOT_SUPPORTED,
                };
                (socks5::reply(code), None)
            }
        }
    }
}

/// The error with which a client has gone that waits for its answer. What it has sent meanwhile is for the far end, and stays
/// unread. Where nothing is spoken there is no answer to wait for, and who has said all may have ended already.
async fn given_up(stream: &Bare<OwnedFd>, language: Option<Language>) -> io::Error {
    match stream.peek(&mut [0]).await {
        Ok(0) if language.is_some() => io::ErrorKind::UnexpectedEof.into(),
        Ok(_) => std::future::pending().await,
        Err(error) => error,
    }
}

/// Dials by the routes and chains of a plan; `redirected`: for one who has not asked us.
pub(super) async fn dial(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    asked: &Destination,
    redirected: bool,
) -> Result<Far, Failure> {
    let deadline = Duration::from_secs(plan.config.deadline.into());
    // A fake address stands for a name here, too, and is never dialled.
    let destination = match asked {
        Destination::Address(address) => &attempt::destination(agent, *address)?,
        Destination::Name { .. } => asked,
    };
    let way = way(plan, client, destination);
    // Who knows nothing of us asks for names as a program does.
    if let (true, Destination::Address(address)) = (redirected, asked)
        && dns::is_served(destination, &way)
    {
        return dns::far(agent, plan, client, *address);
    }
    let options = FarOptions::default();
    let far = along(way, None, client, destination, &options, deadline);
    tokio::time::timeout(deadline, far).await.unwrap_or(Err(Failure::TimedOut))
}

/// Where a connection was going that the kernel has redirected to us.
fn redirected(stream: &Bare<OwnedFd>) -> Option<SocketAddr> {
    let to = canonical(sys::original_destination(stream.get().get_ref())?);
    (stream.local().map(canonical) != Some(to)).then_some(to)
}

/// Relays to what was dialled while the SYN waited.
fn taken(held: &Held, stream: Bare<OwnedFd>, to: SocketAddr) -> io::Result<Next> {
    let from = remote_address(stream.get().get_ref())?;
    match held.take(from, to) {
        Some(Dialled { far, trip, usage, .. }) => Ok(Next::Relay(stream, far, trip, Some(usage))),
        None => {
            tracing::warn!(%to, "reset: its SYN was in no queue, or waited too long behind it");
            reset(&stream)
        }
    }
}

/// Closing will be a reset (socket(7)).
fn reset(stream: &Bare<OwnedFd>) -> io::Result<Next> {
    ends::cut_on_close(stream.get())?;
    Ok(Next::Nothing)
}

/// What a client gets.
enum Found {
    Far(Stream, Trip),
    Datagrams(Association),
}

/// Sets what a connection of TCP needs; a Unix socket needs nothing.
fn prepare(stream: &OwnedFd) {
    let peer = rustix::net::getpeername(stream).ok().flatten();
    if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
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
