//! One connection attempt: destination, mechanism, dial, and the connection's further life.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use underpass_core::config::route::Asked;
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::{Failure, documented, errno};
use underpass_core::wire::{Reply, Request};

use crate::agent::Agent;
use crate::carried::HandedOff;
use crate::facts::{Facts, FarOptions};
use crate::flow::{Flows, Trip};
use crate::hold::{Held, Holds};
use crate::lifetime::Lifetime;
use crate::names::Meaning;
use crate::plan::{Plan, Way};
use crate::upstream::hop::Client;
use crate::upstream::path::{self, Progress};
use crate::upstream::stream::Stream;
use crate::upstream::{Far, local};
use crate::{frames, log, sys};

/// What the program asked for, and with what.
pub(crate) struct Attempt {
    pub(crate) agent: Arc<Agent>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) client: Client,
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
    pub(crate) since: Instant,
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
    let direct = match way(&attempt.plan, &attempt.client, &destination) {
        Way::Chain(_) => false,
        Way::Refuse(errno) => return attempt.refuse(&Failure::Route(errno)),
        // The program's own connect does it, unless the library has answered for it, or the address is a
        // fake one.
        Way::Direct if attempt.held_at == 0 && matches!(destination, Destination::Address(_)) => {
            return frames::reply(&attempt.connection, &Reply::Direct);
        }
        Way::Direct => true,
    };
    if attempt.held_at != 0 {
        if agent.holds.is_ours(attempt.held_at) {
            return attempt.hold(destination, room);
        }
        return attempt.refuse(&Failure::Socket("it is held by another agent"));
    }
    if direct {
        return attempt.hold_or_refuse(destination, room);
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

/// What routes can judge.
fn asked<'a>(client: &'a Client, destination: &'a Destination) -> Asked<'a> {
    let (name, ip) = match destination {
        Destination::Name { host, .. } => (Some(host.as_str()), None),
        Destination::Address(address) => (None, Some(address.ip())),
    };
    let program = client.program.as_deref();
    Asked { name, ip, port: Some(destination.port()), program, user: client.user }
}

/// Where the connection goes.
fn way<'a>(plan: &'a Plan, client: &Client, destination: &Destination) -> Way<'a> {
    plan.way(&asked(client, destination)).1
}

/// The connection as people want to know it.
fn trip(agent: &Agent, plan: &Arc<Plan>, client: &Client, destination: Destination) -> Trip {
    let course = agent.courses.get(agent.courses.number(plan, &asked(client, &destination)));
    let program = client.program.as_deref().filter(|_| log::is_on()).map(Into::into);
    Trip { pid: client.pid, program, destination, course }
}

/// How an attempt to hand off has ended, if not in failure.
enum Driven {
    HandedOff,
    /// Nothing was done: the socket, its family, or the chain is not for it.
    CannotBe,
}

impl Attempt {
    fn refuse(&self, failure: &Failure) {
        if log::is_on() {
            let destination = destination(&self.agent, self.address)
                .unwrap_or_else(|_| Destination::Address(canonical(self.address)));
            log::failed(&trip(&self.agent, &self.plan, &self.client, destination), failure);
        }
        if self.held_at != 0 {
            if sys::tcp_state(&self.socket).is_ok_and(|state| state == sys::SYN_SENT) {
                self.agent.carried.failed(self.facts.cookie, failure.errno());
                sys::dissolve(&self.socket);
            }
            return;
        }
        frames::reply(&self.connection, &Reply::Refuse { errno: failure.errno() });
    }

    /// What is left of the time that the attempt may take.
    fn deadline(&self) -> Duration {
        Duration::from_secs(self.plan.config.deadline.into()).saturating_sub(self.since.elapsed())
    }

    async fn run(self, destination: Destination, room: OwnedSemaphorePermit) {
        let driven = tokio::time::timeout(self.deadline(), self.try_handoff(&destination));
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
            Ok(Driven::CannotBe) => {
                let held = Reply::Held { blocking: self.facts.blocking, port: self.agent.holds.port() };
                self.hold_or_refuse(destination, room);
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

    fn hold_or_refuse(self, destination: Destination, room: OwnedSemaphorePermit) {
        if self.facts.device {
            self.refuse(&Failure::Socket(
                "a socket bound to a device can only be handed off, while it is blocking",
            ));
        } else if !self.agent.can_hold {
            self.refuse(&Failure::Socket(
                "this system lets no socket be held, and the chain cannot be handed off",
            ));
        } else {
            self.hold(destination, room);
        }
    }

    /// Drives the program's own socket along the chain, by one path after another.
    async fn try_handoff(&self, destination: &Destination) -> Result<Driven, Failure> {
        // A socket that cannot be held blocks in connect(), as the only other way.
        let may = self.facts.allows_handoff(&self.socket, self.watched) || !self.agent.can_hold;
        let Way::Chain(chain) = way(&self.plan, &self.client, destination) else {
            return Ok(Driven::CannotBe);
        };
        let wanted = self.plan.hands_off();
        if !may || (wanted == Some(false) && self.agent.can_hold) {
            return Ok(Driven::CannotBe);
        }
        let near = wanted.is_none() && self.agent.can_hold;
        loop {
            let Some((path, hops)) = chain.plain_path(near) else { return Ok(Driven::CannotBe) };
            let progress = Progress::default();
            let driven = async {
                match path::first_address(&hops, &self.facts).await? {
                    None => Ok(Driven::CannotBe),
                    Some(first) => {
                        let let_go = || self.let_go(destination);
                        path::drive(&hops, &self.socket, first, destination, &self.client, &progress, let_go)
                            .await
                            .map(|()| Driven::HandedOff)
                    }
                }
            };
            let patience = chain.handoff_patience(self.deadline());
            match tokio::time::timeout(patience, driven).await.unwrap_or(Err(Failure::TimedOut)) {
                Ok(Driven::CannotBe) => return Ok(Driven::CannotBe),
                Ok(Driven::HandedOff) => {
                    let _ = chain.settle(&path, Ok(()), &progress);
                    return Ok(Driven::HandedOff);
                }
                Err(failure) => {
                    sys::dissolve(&self.socket);
                    if failure == Failure::Challenged {
                        // The answer to the challenge is known now, and is given on a connection of the agent's.
                        return Ok(Driven::CannotBe);
                    }
                    match chain.settle(&path, Err(failure), &progress) {
                        Err((failure, false)) => return Err(failure),
                        // Other paths are looked for while the socket is held.
                        Err((failure, true)) => {
                            tracing::debug!(%failure, "another path is looked for");
                            if self.agent.can_hold {
                                return Ok(Driven::CannotBe);
                            }
                        }
                        Ok(()) => {}
                    }
                }
            }
        }
    }

    /// The socket is the program's again, and connected.
    fn let_go(&self, destination: &Destination) {
        let (acknowledged, arrived) = sys::tcp_bytes(&self.socket).unwrap_or_default();
        let to = HandedOff {
            pid: self.client.pid,
            at: self.agent.age(),
            course: self.agent.courses.number(&self.plan, &asked(&self.client, destination)),
            sent: (acknowledged + sys::unacknowledged(&self.socket) as u64) as u32,
            received: arrived.saturating_sub(sys::unread(&self.socket) as u64) as u32,
        };
        self.agent.carried.hand_off(self.facts.cookie, self.address, to);
        let waiting = self.agent.attempts.end_handoff(self.facts.cookie);
        for connection in waiting.iter().chain([&self.connection]) {
            frames::reply(connection, &Reply::HandedOff);
        }
        if log::is_on() {
            log::handed_off(&trip(&self.agent, &self.plan, &self.client, destination.clone()));
        }
    }

    /// Holds the socket, answers, and leaves the rest to the relay thread.
    fn hold(self, destination: Destination, room: OwnedSemaphorePermit) {
        let deadline = self.deadline();
        let Self { agent, plan, client, connection, socket, facts, address, held_at, .. } = self;
        let cookie = facts.cookie;
        let held = match held_at {
            0 => agent.holds.hold(socket, &facts),
            port => Holds::adopt(socket, port),
        };
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                log::not_carried(&trip(&agent, &plan, &client, destination), &error);
                let errno = documented(error.raw_os_error().unwrap_or(errno::ENETUNREACH));
                return frames::reply(&connection, &Reply::Refuse { errno });
            }
        };
        if held_at == 0 {
            frames::reply(&connection, &Reply::Held { blocking: facts.blocking, port: agent.holds.port() });
        }
        let relays = agent.relays.clone();
        let attempt = HeldAttempt { agent: Arc::clone(&agent), plan, client, deadline, held, facts, address };
        let table = Arc::clone(&agent);
        table.attempts.begin(cookie, |number| {
            relays.spawn(async move {
                // Boxed, so that a long-lived connection does not keep the room of its dial.
                let Some((program, far, trip)) = Box::pin(attempt.dial(destination, number)).await else {
                    return;
                };
                let _usage = (Lifetime::begin(&agent), room);
                let listed = Flows::begin(&agent, trip);
                let ended = agent.relays.relay(program, far, &listed.flow).await;
                log::ended(&listed.flow, &ended);
            })
        });
    }
}

/// A held socket whose far end is being dialled.
struct HeldAttempt {
    agent: Arc<Agent>,
    plan: Arc<Plan>,
    client: Client,
    deadline: Duration,
    held: Held,
    facts: Facts,
    address: SocketAddr,
}

impl HeldAttempt {
    /// Dials, and completes or fails the socket. Both ends of the relay, if there is one.
    async fn dial(self, destination: Destination, number: u64) -> Option<(OwnedFd, Stream, Trip)> {
        let options = FarOptions::read(self.held.copy(), &self.facts);
        let dialled = tokio::time::timeout(self.deadline, self.far(&destination, &options)).await;
        let Self { agent, plan, client, held, facts, address, .. } = self;
        let trip = trip(&agent, &plan, &client, destination);
        let cookie = facts.cookie;
        let far = match dialled.unwrap_or(Err(Failure::TimedOut)) {
            Ok(far) => far,
            Err(failure) => {
                log::failed(&trip, &failure);
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
                log::relayed(&trip);
                Some((program, far.stream, trip))
            }
            Err((held, error)) => {
                log::not_carried(&trip, &error);
                if held.is_waiting() {
                    agent.carried.forget(cookie);
                }
                held.fail(|| agent.carried.failed(cookie, errno::ENETUNREACH));
                None
            }
        }
    }

    async fn far(&self, destination: &Destination, options: &FarOptions) -> Result<Far, Failure> {
        match way(&self.plan, &self.client, destination) {
            Way::Chain(chain) => chain.dial(destination, options, &self.client, self.deadline).await,
            Way::Direct => local::dial(destination, options).await,
            Way::Refuse(errno) => Err(Failure::Route(errno)),
        }
    }
}
