//! One connection attempt: destination, mechanism, dial, and the connection's further life.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::{Failure, errno};
use underpass_core::upstream::Upstream;
use underpass_core::wire::{Reply, Request};

use crate::agent::Agent;
use crate::facts::{Facts, FarOptions};
use crate::handoff::hand_off;
use crate::hold::Held;
use crate::lifetime::Lifetime;
use crate::names::Meaning;
use crate::upstream::socks5::Handshake;
use crate::upstream::{self, DEADLINE, Far};
use crate::{frames, sys};

/// What the program asked for, and with what.
pub(crate) struct Attempt {
    pub(crate) agent: Arc<Agent>,
    pub(crate) upstream: Arc<Upstream>,
    /// The program waits at its other end.
    pub(crate) connection: OwnedFd,
    /// A copy of the program's own socket.
    pub(crate) socket: OwnedFd,
    pub(crate) facts: Facts,
    /// The address as the program gave it.
    pub(crate) address: SocketAddr,
    /// Another thread may see the socket in an epoll set.
    pub(crate) watched: bool,
}

/// Judges the attempt and starts it. A second attempt with the same socket ends the first.
pub(crate) fn begin(attempt: Attempt) {
    let agent = Arc::clone(&attempt.agent);
    let cookie = attempt.facts.cookie;
    // connect(2) after a failure that nobody has asked about reports that failure.
    if let Some(errno) = agent.carried.take_failure(cookie) {
        return frames::reply(&attempt.connection, &Reply::Refuse { errno });
    }
    if let Some(previous) = agent.attempts.lock().remove(&cookie) {
        previous.abort();
    }
    let destination = match destination(&agent, attempt.address) {
        Ok(destination) => destination,
        Err(failure) => return attempt.refuse(&failure),
    };
    let Ok(room) = Arc::clone(&agent.room).try_acquire_owned() else {
        return attempt.refuse(&Failure::Socket("too many connections are being made at once"));
    };
    if agent.carried.wants_sweep() {
        let agent = Arc::clone(&agent);
        tokio::task::spawn_blocking(move || agent.carried.sweep());
    }
    let task = tokio::spawn({
        let agent = Arc::clone(&agent);
        async move {
            attempt.run(destination).await;
            agent.attempts.lock().remove(&cookie);
            drop(room);
        }
    });
    if !task.is_finished() {
        agent.attempts.lock().insert(cookie, task.abort_handle());
    }
}

/// What the program really wants. A fake address is never dialled.
fn destination(agent: &Agent, address: SocketAddr) -> Result<Destination, Failure> {
    match agent.names.meaning(address.ip()) {
        Meaning::Name(host) => Ok(Destination::Name { host, port: address.port() }),
        Meaning::Unknown => Err(Failure::UnknownFakeAddress),
        Meaning::Real => Ok(Destination::Address(canonical(address))),
    }
}

impl Attempt {
    fn refuse(&self, failure: &Failure) {
        tracing::info!(destination = %self.address, %failure, "refused");
        frames::reply(&self.connection, &Reply::Refuse { errno: failure.errno() });
    }

    async fn run(self, destination: Destination) {
        match self.handoff_hop().await {
            Err(failure) => self.refuse(&failure),
            Ok(Some((hop, handshake))) => self.hand_off(destination, hop, handshake).await,
            Ok(None) => self.hold(destination).await,
        }
    }

    /// The first hop to hand off to, if this socket and this upstream allow it.
    async fn handoff_hop(&self) -> Result<Option<(SocketAddr, HandshakeFor)>, Failure> {
        // A socket that cannot be held blocks in connect(), as the only other way.
        let must = !self.agent.can_hold || self.facts.device;
        let may = self.facts.allows_handoff(self.watched) || !self.agent.can_hold;
        if let Upstream::Socks5 { host, port, credentials } = &*self.upstream
            && may
        {
            let hops = upstream::hop_addresses(host, *port).await?;
            if let Some(hop) = hops.into_iter().find_map(|hop| self.facts.reachable(hop)) {
                return Ok(Some((hop, HandshakeFor(credentials.clone()))));
            }
        }
        if must {
            return Err(Failure::Socket("a socket bound to a device can only be handed off, while it is blocking"));
        }
        Ok(None)
    }

    async fn hand_off(self, destination: Destination, hop: SocketAddr, credentials: HandshakeFor) {
        let handshake = Handshake::new(&destination, credentials.0.as_ref());
        let driven = tokio::time::timeout(DEADLINE, hand_off(&self.socket, hop, handshake));
        let ended = tokio::select! {
            biased;
            ended = driven => Some(ended.unwrap_or(Err(Failure::TimedOut))),
            said = frames::wait(&self.connection) => match said {
                Some(frame) if matches!(Request::decode(frame.frame()), Ok((_, Request::Convert))) => None,
                // The program has gone, and nobody else waits for this connection.
                _ => return sys::dissolve(&self.socket),
            },
        };
        match ended {
            Some(Ok(())) => {
                tracing::info!(%destination, "handed off");
                self.agent.carried.begin(self.facts.cookie, self.address);
                frames::reply(&self.connection, &Reply::HandedOff);
            }
            Some(Err(failure)) => {
                sys::dissolve(&self.socket);
                self.refuse(&failure);
            }
            None => {
                sys::dissolve(&self.socket);
                self.hold(destination).await;
            }
        }
    }

    async fn hold(self, destination: Destination) {
        let Self { agent, upstream, connection, socket, facts, address, .. } = self;
        let options = FarOptions::read(&socket, &facts);
        let held = match agent.holds.hold(socket, &facts) {
            Ok(held) => held,
            Err(error) => {
                tracing::info!(%destination, %error, "cannot be held");
                let errno = error.raw_os_error().unwrap_or(errno::ENETUNREACH);
                return frames::reply(&connection, &Reply::Refuse { errno });
            }
        };
        frames::reply(&connection, &Reply::Held { blocking: facts.blocking });
        drop(connection);
        let dialled = tokio::time::timeout(DEADLINE, upstream::dial(&upstream, &destination, &options)).await;
        match dialled.unwrap_or(Err(Failure::TimedOut)) {
            Ok(far) => {
                if let Err(error) = complete(&agent, facts.cookie, address, held, far).await {
                    tracing::info!(%destination, %error, "the program has gone");
                }
            }
            Err(failure) => {
                tracing::info!(%destination, %failure, "failed");
                held.fail(|| agent.carried.failed(facts.cookie, failure.errno()));
            }
        }
    }
}

/// The credentials for the handshake on the program's own socket.
struct HandshakeFor(Option<underpass_core::upstream::Credentials>);

async fn complete(agent: &Arc<Agent>, cookie: u64, address: SocketAddr, held: Held, far: Far) -> io::Result<()> {
    // Before the program can see its connection and ask.
    agent.carried.begin(cookie, address);
    if let Some(local) = far.local {
        agent.carried.leaves_from(cookie, local);
    }
    let program = match held.complete().await {
        Ok(program) => program,
        Err(error) => {
            agent.carried.forget(cookie);
            return Err(error);
        }
    };
    let usage = Lifetime::begin(agent);
    agent.relays.spawn(program, far.socket, move || drop(usage));
    Ok(())
}
