//! One connection attempt: destination, mechanism, dial, and the connection's further life.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::{Failure, documented, errno};
use underpass_core::upstream::{Credentials, HopHost, Protocol, Upstream};
use underpass_core::wire::{Reply, Request};

use crate::agent::Agent;
use crate::facts::{Facts, FarOptions};
use crate::handoff::hand_off;
use crate::hold::{Held, Holds};
use crate::lifetime::Lifetime;
use crate::names::Meaning;
use crate::upstream::socks5::Handshake;
use crate::upstream::{self, DEADLINE};
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
    /// Where the library has put the socket into `SYN_SENT` by itself, or 0; it does not wait then.
    pub(crate) held_at: u16,
}

/// Judges the attempt and starts it. A second attempt with the same socket ends the first.
pub(crate) fn begin(mut attempt: Attempt) {
    let agent = Arc::clone(&attempt.agent);
    let cookie = attempt.facts.cookie;
    // Another thread connects the same socket; both learn what becomes of it.
    attempt.connection = match agent.attempts.join_handoff(cookie, attempt.connection) {
        Ok(()) => return,
        Err(connection) => connection,
    };
    // connect(2) after a failure that nobody has asked about reports that failure.
    let unread = agent.carried.take_failure(cookie);
    if let Some(errno) = unread.filter(|_| attempt.held_at == 0) {
        return frames::reply(&attempt.connection, &Reply::Refuse { errno });
    }
    // Two threads may connect one socket at once; the second gets what the kernel would say.
    if attempt.held_at == 0 {
        match sys::tcp_state(&attempt.socket) {
            Ok(sys::CLOSE) => agent.attempts.end(cookie),
            Ok(sys::SYN_SENT) => {
                return frames::reply(&attempt.connection, &Reply::Refuse { errno: errno::EALREADY });
            }
            _ => return frames::reply(&attempt.connection, &Reply::Refuse { errno: errno::EISCONN }),
        }
    } else {
        agent.attempts.end(cookie);
    }
    let destination = match destination(&agent, attempt.address) {
        Ok(destination) => destination,
        Err(failure) => return attempt.refuse(&failure),
    };
    let Ok(room) = Arc::clone(&agent.room).try_acquire_owned() else {
        return attempt
            .refuse(&Failure::Socket("the agent has as many connections as its limit on open files allows"));
    };
    if agent.carried.wants_sweep() {
        let agent = Arc::clone(&agent);
        tokio::task::spawn_blocking(move || agent.carried.sweep());
    }
    if attempt.held_at != 0 {
        if agent.holds.is_ours(attempt.held_at) {
            return attempt.hold(destination, room);
        }
        return attempt.refuse(&Failure::Socket("it is held by another agent"));
    }
    agent.attempts.begin_handoff(cookie);
    tokio::spawn(attempt.run(destination, room));
}

/// What the program really wants. A fake address is never dialled.
fn destination(agent: &Agent, address: SocketAddr) -> Result<Destination, Failure> {
    match agent.names.meaning(address.ip()) {
        Meaning::Name(host) => Ok(Destination::Name { host, port: address.port() }),
        Meaning::Unknown => Err(Failure::UnknownFakeAddress),
        Meaning::Real => Ok(Destination::Address(canonical(address))),
    }
}

/// How an attempt to hand off has ended, if not in failure.
enum Driven {
    HandedOff,
    /// Nothing was done: the socket, its family, or the upstream is not for it.
    CannotBe,
}

impl Attempt {
    fn refuse(&self, failure: &Failure) {
        tracing::info!(destination = %self.address, %failure, "refused");
        if self.held_at != 0 {
            if sys::tcp_state(&self.socket).is_ok_and(|state| state == sys::SYN_SENT) {
                self.agent.carried.failed(self.facts.cookie, failure.errno());
                sys::dissolve(&self.socket);
            }
            return;
        }
        frames::reply(&self.connection, &Reply::Refuse { errno: failure.errno() });
    }

    async fn run(self, destination: Destination, room: OwnedSemaphorePermit) {
        // A socket that cannot be held blocks in connect(), as the only other way.
        let may = self.facts.allows_handoff(&self.socket, self.watched) || !self.agent.can_hold;
        let driven = tokio::time::timeout(DEADLINE, async {
            match (&*self.upstream, may) {
                (Upstream::Proxy(proxy), true) if proxy.protocol == Protocol::Socks5 => {
                    self.try_handoff(&destination, &proxy.host, proxy.port, proxy.login.credentials()).await
                }
                _ => Ok(Driven::CannotBe),
            }
        });
        let ended = tokio::select! {
            biased;
            ended = driven => ended.unwrap_or(Err(Failure::TimedOut)),
            said = frames::wait(&self.connection) => match said {
                Some(frame) if matches!(Request::decode(frame.frame()), Ok((_, Request::Convert))) => {
                    sys::dissolve(&self.socket);
                    Ok(Driven::CannotBe)
                }
                // The program has gone, or its thread; another of its threads may still wait.
                _ => {
                    sys::dissolve(&self.socket);
                    Err(Failure::Socket("the program has gone"))
                }
            },
        };
        // Empty after a hand-off: it has told everybody.
        let waiting = self.agent.attempts.end_handoff(self.facts.cookie);
        match ended {
            Ok(Driven::HandedOff) => {}
            Ok(Driven::CannotBe) if !self.agent.can_hold || self.facts.device => self.refuse(
                &Failure::Socket("a socket bound to a device can only be handed off, while it is blocking"),
            ),
            Ok(Driven::CannotBe) => {
                let held = Reply::Held { blocking: self.facts.blocking, port: self.agent.holds.port() };
                self.hold(destination, room);
                waiting.iter().for_each(|connection| frames::reply(connection, &held));
            }
            Err(failure) => {
                sys::dissolve(&self.socket);
                self.refuse(&failure);
                let refused = Reply::Refuse { errno: failure.errno() };
                waiting.iter().for_each(|connection| frames::reply(connection, &refused));
            }
        }
    }

    async fn try_handoff(
        &self,
        destination: &Destination,
        host: &HopHost,
        port: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Driven, Failure> {
        let hops = upstream::hop_addresses(host, port).await?;
        let Some(hop) = hops.into_iter().find_map(|hop| self.facts.reachable(hop)) else {
            return Ok(Driven::CannotBe);
        };
        let handshake = Handshake::new(destination, credentials);
        hand_off(&self.socket, hop, handshake, || self.let_go(destination)).await?;
        Ok(Driven::HandedOff)
    }

    /// The socket is the program's again, and connected.
    fn let_go(&self, destination: &Destination) {
        self.agent.carried.begin(self.facts.cookie, self.address, None);
        let waiting = self.agent.attempts.end_handoff(self.facts.cookie);
        for connection in waiting.iter().chain([&self.connection]) {
            frames::reply(connection, &Reply::HandedOff);
        }
        tracing::info!(%destination, "handed off");
    }

    /// Holds the socket, answers, and leaves the rest to the relay thread.
    fn hold(self, destination: Destination, room: OwnedSemaphorePermit) {
        let Self { agent, upstream, connection, socket, facts, address, held_at, .. } = self;
        let cookie = facts.cookie;
        let held = match held_at {
            0 => agent.holds.hold(socket, &facts),
            port => Holds::adopt(socket, port),
        };
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                tracing::info!(%destination, %error, "cannot be held");
                let errno = documented(error.raw_os_error().unwrap_or(errno::ENETUNREACH));
                return frames::reply(&connection, &Reply::Refuse { errno });
            }
        };
        frames::reply(&connection, &Reply::Held { blocking: facts.blocking, port: agent.holds.port() });
        let relays = agent.relays.clone();
        let attempt = HeldAttempt { agent: Arc::clone(&agent), held, facts, address };
        let table = Arc::clone(&agent);
        table.attempts.begin(cookie, |number| {
            relays.spawn(async move {
                // Boxed, so that a long-lived connection does not keep the room of its dial.
                let Some((program, far)) = Box::pin(attempt.dial(upstream, destination, number)).await else {
                    return;
                };
                let _usage = (Lifetime::begin(&agent), room);
                if let Err(error) = agent.relays.relay(program, far).await {
                    tracing::debug!(%error, "the relay could not be set up");
                }
            })
        });
    }
}

/// A held socket whose far end is being dialled.
struct HeldAttempt {
    agent: Arc<Agent>,
    held: Held,
    facts: Facts,
    address: SocketAddr,
}

impl HeldAttempt {
    /// Dials, and completes or fails the socket. Both ends of the relay, if there is one.
    async fn dial(
        self,
        upstream: Arc<Upstream>,
        destination: Destination,
        number: u64,
    ) -> Option<(OwnedFd, OwnedFd)> {
        let Self { agent, held, facts, address } = self;
        let cookie = facts.cookie;
        let options = FarOptions::read(held.copy(), &facts);
        let dialled = tokio::time::timeout(DEADLINE, upstream::dial(&upstream, &destination, &options)).await;
        let far = match dialled.unwrap_or(Err(Failure::TimedOut)) {
            Ok(far) => far,
            Err(failure) => {
                tracing::info!(%destination, %failure, "failed");
                agent
                    .attempts
                    .finish(cookie, number, || held.fail(|| agent.carried.failed(cookie, failure.errno())));
                return None;
            }
        };
        let opened = agent.attempts.finish(cookie, number, || {
            if !held.is_waiting() {
                return Err((held, io::Error::other("the program has dissolved it")));
            }
            // Before the program can see its connection and ask.
            agent.carried.begin(cookie, address, facts.showable(far.local, address));
            match held.open(options.has_congestion()) {
                Ok(ours) => Ok((held, ours)),
                Err(error) => Err((held, error)),
            }
        })?;
        let completed = match opened {
            Ok((held, ours)) => held.complete(ours).await,
            Err(failed) => Err(failed),
        };
        match completed {
            Ok(program) => {
                tracing::info!(%destination, "relayed");
                Some((program, far.socket))
            }
            Err((held, error)) => {
                tracing::info!(%destination, %error, "not completed");
                if held.is_waiting() {
                    agent.carried.forget(cookie);
                }
                held.fail(|| agent.carried.failed(cookie, errno::ENETUNREACH));
                None
            }
        }
    }
}
