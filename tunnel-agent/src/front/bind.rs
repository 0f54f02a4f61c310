//! `BIND` at a door (RFC 1928 section 4; openssh.com/txt/socks4.protocol): one connection is waited for at the exit of the
//! chain by which its peer would be reached. The first answer says where it is waited for, the second who has come.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::SocketAddrUnix;
use tokio::io::AsyncWriteExt;
use underpass_core::config::route::Asked;
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::{Failure, errno};

use super::conversation::Language;
use super::visit::Visit;
use crate::attempt;
use crate::expose::arrivals::{Arrival, Arrivals, Next};
use crate::expose::awaited;
use crate::flow::Trip;
use crate::plan::Way;
use crate::relay::policy::exposing::Wish;
use crate::socket::remote_address;
use crate::upstream::bind::Bound;
use crate::upstream::chain::listening::{Listener, NO_LISTENERS};
use crate::upstream::hop::Client;
use crate::upstream::stream::{Bare, Stream};
use crate::{log, sight};

/// How long somebody is waited for.
const WAIT: Duration = Duration::from_secs(120);
/// How long a client may take to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for one connection from `peer`, or from whom it may be where that is unspecified. `None` after a refusal that was
/// answered; an error where the client has gone.
pub(super) async fn bind(
    visit: &Visit,
    language: Language,
    stream: &mut Bare<OwnedFd>,
    peer: Destination,
) -> io::Result<Option<(Stream, Trip)>> {
    let client = Client::default();
    let (agent, plan) = (&visit.agent, &visit.plan);
    let course = agent.courses.get(agent.courses.number(plan, &judged(&client, &peer)));
    let tally = agent.courses.tally(course.as_deref());
    let trip = Trip { pid: client.pid, program: None, destination: peer.clone(), course, tally };
    let refused = |failure: &Failure| {
        sight::failed(agent, &trip, failure);
        // A chain that has no listeners has no such command.
        let no_command = match failure {
            Failure::At { failure, .. } => matches!(**failure, Failure::Socket(_)),
            other => *other == NO_LISTENERS,
        };
        language.answer(Some(if no_command { &Failure::Socks5(7) } else { failure }))
    };
    let deadline = Duration::from_secs(plan.config.deadline.into());
    let listening = tokio::time::timeout(deadline, listen(visit, language, &client, &peer, deadline));
    let answered = match listening.await.unwrap_or(Err(Failure::TimedOut)) {
        Ok((listener, expected)) => {
            let mut waiting = Waiting::new(visit, listener);
            let came = waiting.answered(visit, language, stream, &trip, expected).await;
            // Whatever has come of it: a relay would keep it for a client that comes back.
            waiting.close();
            came?
        }
        Err(failure) => Err(failure),
    };
    match answered {
        Ok((far, from, second)) => {
            say(stream, &second).await?;
            let trip = Trip { destination: Destination::Address(from), ..trip };
            log::relayed(&trip);
            Ok(Some((far, trip)))
        }
        Err(failure) => {
            say(stream, &refused(&failure)).await?;
            Ok(None)
        }
    }
}

/// By which address the client has come, or at which path.
fn whose(stream: &Bare<OwnedFd>) -> String {
    let socket = stream.get().get_ref();
    if let Ok(address) = remote_address(socket) {
        return canonical(address).to_string();
    }
    let local = rustix::net::getsockname(socket).ok().and_then(|local| SocketAddrUnix::try_from(local).ok());
    let path = local.as_ref().and_then(SocketAddrUnix::path);
    path.map_or_else(String::new, |path| path.to_string_lossy().into_owned())
}

const NOWHERE: Failure =
    Failure::Socket("the exit does not say at which address it listens: [[expose]] of a relay can name one");

fn is_anybody(peer: &Destination) -> bool {
    matches!(peer, Destination::Address(address) if address.ip().is_unspecified())
}

/// What routes judge: as a connection to the peer, of whom nothing may be known.
fn judged<'a>(client: &'a Client, peer: &'a Destination) -> Asked<'a> {
    match is_anybody(peer) {
        true => Asked { user: client.user, ..Asked::default() },
        false => attempt::asked(client, peer),
    }
}

/// A listener at the exit, and who alone may come.
async fn listen(
    visit: &Visit,
    language: Language,
    client: &Client,
    peer: &Destination,
    deadline: Duration,
) -> Result<(Listener, Option<IpAddr>), Failure> {
    // What stands for a name is that name.
    let peer = match peer {
        Destination::Address(address) => &attempt::destination(&visit.agent, *address)?,
        Destination::Name { .. } => peer,
    };
    let chain = match visit.plan.way(&judged(client, peer)).1 {
        Way::Chain(chain) => chain,
        Way::Direct => return Err(Failure::Route(errno::EACCES)),
        Way::Refuse(errno) => return Err(Failure::Route(errno)),
    };
    let family = match peer {
        _ if language == Language::Socks4 => Some(Ipv4Addr::UNSPECIFIED.into()),
        Destination::Address(SocketAddr::V4(_)) => Some(Ipv4Addr::UNSPECIFIED.into()),
        Destination::Address(SocketAddr::V6(_)) => Some(Ipv6Addr::UNSPECIFIED.into()),
        Destination::Name { .. } => None,
    };
    let expected = Some(peer).filter(|peer| !is_anybody(peer));
    let listener = chain.listen(Wish { ip: family, port: 0 }, expected, client, deadline).await?;
    let alone = match expected {
        Some(Destination::Address(address)) => Some(canonical(*address).ip()),
        _ => None,
    };
    Ok((listener, alone))
}

/// Where somebody is waited for.
struct Waiting {
    at: SocketAddr,
    by: By,
}

enum By {
    /// `None` once somebody has come.
    Proxy(Option<Box<Bound>>),
    Relay(Box<Arrivals>),
}

impl Waiting {
    fn new(visit: &Visit, listener: Listener) -> Self {
        let at = listener.bound();
        let by = match listener {
            Listener::Once(bound) => By::Proxy(Some(bound)),
            Listener::AtRelay(it) => {
                By::Relay(Box::new(Arrivals::new(it.0, it.1, visit.agent.exposures.ending())))
            }
        };
        Self { at, by }
    }

    /// Says where it waits. The one who has come, and how to say that, or why there is nobody; an error where the client has gone.
    async fn answered(
        &mut self,
        visit: &Visit,
        language: Language,
        stream: &mut Bare<OwnedFd>,
        trip: &Trip,
        expected: Option<IpAddr>,
    ) -> io::Result<Result<(Stream, SocketAddr, Vec<u8>), Failure>> {
        let first = language.reached(self.at).filter(|_| !self.at.ip().is_unspecified());
        let Some(first) = first else { return Ok(Err(NOWHERE)) };
        let _told = awaited::waits(&visit.agent, self.at, whose(stream), trip.course.clone());
        say(stream, &first).await?;
        let came = tokio::select! {
            came = tokio::time::timeout(WAIT, self.comes(expected)) => came.unwrap_or(Err(Failure::TimedOut)),
            error = gone(stream) => return Err(error),
        };
        Ok(came.and_then(|(far, from)| match language.reached(from) {
            Some(second) => Ok((far, from, second)),
            None => Err(Failure::Request("its version of the protocol has no word for who has come")),
        }))
    }

    fn close(self) {
        if let By::Relay(arrivals) = self.by {
            tokio::spawn(arrivals.close());
        }
    }

    /// The one who comes.
    async fn comes(&mut self, expected: Option<IpAddr>) -> Result<(Stream, SocketAddr), Failure> {
        let is_it = |peer: SocketAddr| expected.is_none_or(|ip| ip == canonical(peer).ip());
        let arrivals = match &mut self.by {
            By::Proxy(bound) => {
                let (far, peer) = bound.take().ok_or(Failure::UpstreamClosed)?.accept().await?;
                return match is_it(peer) {
                    true => Ok((far, peer)),
                    false => Err(Failure::Route(errno::EACCES)),
                };
            }
            By::Relay(arrivals) => arrivals,
        };
        loop {
            let Next::Comes(arrival) = arrivals.next().await else { return Err(Failure::UpstreamClosed) };
            let peer = arrival.peer;
            if !is_it(peer) {
                tracing::debug!(%peer, "somebody else has come, and is reset");
                tokio::spawn(reset(arrival));
                continue;
            }
            match arrival.taken().await {
                Ok(far) => return Ok((far, peer)),
                // They have gone already; others may come.
                Err(failure) => tracing::debug!(%failure, %peer, "a connection was not taken"),
            }
        }
    }
}

async fn reset(arrival: Arrival) {
    drop(arrival.taken().await);
}

/// The error with which a client has gone. What it sends before it knows who has come is for the far end, and stays unread.
async fn gone(stream: &Bare<OwnedFd>) -> io::Error {
    match stream.peek(&mut [0]).await {
        Ok(0) => io::ErrorKind::UnexpectedEof.into(),
        Ok(_) => std::future::pending().await,
        Err(error) => error,
    }
}

async fn say(stream: &mut Bare<OwnedFd>, answer: &[u8]) -> io::Result<()> {
    tokio::time::timeout(PATIENCE, stream.write_all(answer)).await?
}
