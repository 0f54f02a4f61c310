//! An attempt whose socket is held: dialled on the relay thread, completed or failed, and relayed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, documented, errno};
use underpass_core::wire::Reply;

use super::{Attempt, along, trip, waiting, way};
use crate::agent::Agent;
use crate::facts::{Facts, FarOptions};
use crate::flow::Trip;
use crate::hold::{Held, Holds};
use crate::lifetime::Lifetime;
use crate::panics::{FAULT, caught};
use crate::plan::{Plan, Way};
use crate::room::Taken;
use crate::upstream::Far;
use crate::upstream::chain::Path;
use crate::upstream::hop::Client;
use crate::upstream::stream::Stream;
use crate::{dns, frames, log, sight};

impl Attempt {
    /// Holds the socket, answers, and leaves the rest to the relay thread; the errno, where it cannot be held.
    pub(super) fn hold(self, destination: Destination, mut room: Taken) -> Result<(), i32> {
        let deadline = self.deadline();
        let Self {
            agent,
            plan,
            client,
            connection,
            socket,
            facts,
            address,
            held_at,
            supervised,
            completing,
            drawn,
            since,
            ..
        } = self;
        let cookie = facts.cookie;
        let is_sealed = completing.is_some();
        let held = match (held_at, completing) {
            (_, Some(completing)) => Holds::hold_with(socket, completing, &facts),
            (0, None) => agent.holds.hold(socket, &facts),
            (port, None) => Holds::adopt(socket, port, || agent.carried.failed(cookie, errno::ENETUNREACH)),
        };
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                sight::not_carried(&agent, &trip(&agent, &plan, &client, destination), &error);
                let errno = documented(error.raw_os_error().unwrap_or(errno::ENETUNREACH));
                frames::reply(&connection, &Reply::Refuse { errno });
                return Err(errno);
            }
        };
        let waits = supervised && facts.blocking;
        if held_at == 0 && !waits {
            // What listens from here on, a successor does not have.
            let port = if agent.has_given.load(Ordering::Relaxed) { 0 } else { agent.holds.port() };
            frames::reply(&connection, &Reply::Held { blocking: facts.blocking, port });
        }
        let relays = agent.splicer.clone();
        let attempt = HeldAttempt {
            agent: Arc::clone(&agent),
            plan,
            client,
            deadline,
            held,
            facts,
            address,
            is_sealed,
            drawn,
            since,
        };
        let table = Arc::clone(&agent);
        let outcome = table.attempts.begin(cookie, |number, teller| {
            relays.spawn(async move {
                // Boxed, so that a long-lived connection does not keep the room of its dial.
                let ended = Box::pin(attempt.dial(destination, number)).await;
                let errno = ended.as_ref().err().copied().unwrap_or(0);
                // Nobody may wait.
                let _ = teller.send(Some(errno));
                drop(teller);
                let Ok((program, far, trip)) = ended else { return };
                room.keep(1 + far.descriptors());
                let _usage = (Lifetime::begin(&agent), room);
                let listed = agent.flows.begin(trip);
                let ended = agent.splicer.relay_socket(program, far, &listed.flow).await;
                log::ended(&listed.flow, &ended);
                if is_sealed {
                    agent.carried.forget(cookie);
                }
            })
        });
        if waits {
            tokio::spawn(waiting::tell(table, cookie, connection, outcome));
        }
        Ok(())
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
    is_sealed: bool,
    drawn: Option<Path>,
    since: Instant,
}

impl HeldAttempt {
    /// Dials, and completes or fails the socket. Both ends of the relay, or the errno.
    async fn dial(mut self, destination: Destination, number: u64) -> Result<(OwnedFd, Stream, Trip), i32> {
        let options = FarOptions::read(self.held.copy(), &self.facts);
        // Whatever becomes of the dial, the socket is not left to wait.
        let drawn = self.drawn.take();
        let far = caught(self.far(drawn, &destination, &options));
        let dialled = tokio::time::timeout(self.deadline, far).await.unwrap_or(Ok(Err(Failure::TimedOut)));
        let Self { agent, plan, client, mut held, facts, address, is_sealed, since, .. } = self;
        let trip = trip(&agent, &plan, &client, destination);
        let cookie = facts.cookie;
        let far = match dialled.unwrap_or(Err(FAULT)) {
            Ok(far) => far,
            Err(failure) => {
                sight::failed(&agent, &trip, &failure);
                agent
                    .attempts
                    .finish(cookie, number, || held.fail(|| agent.carried.failed(cookie, failure.errno())));
                return Err(failure.errno());
            }
        };
        let opened = agent.attempts.finish(cookie, number, || {
            if !held.is_waiting() {
                return Err((held, io::Error::other("the program has dissolved it")));
            }
            // Before the program can see its connection and ask.
            let local = far.exit.filter(|_| !plan.config.exposes.is_empty()).or(far.local);
            let local = facts.showable(local, address);
            agent.carried.begin(cookie, address, local, is_sealed);
            match held.open(options.has_congestion()) {
                Ok(ours) => Ok((held, ours)),
                Err(error) => Err((held, error)),
            }
        });
        // Another attempt with the same socket has begun: what becomes of that is not told here.
        let opened = opened.ok_or(errno::ENETUNREACH)?;
        let completed = match opened {
            Ok((held, ours)) => {
                held.complete(ours).await.map_err(|(held, ours, error)| (held, Some(ours), error))
            }
            Err((held, error)) => Err((held, None, error)),
        };
        match completed {
            Ok(program) => {
                sight::relayed(&trip, since);
                Ok((program, far.stream, trip))
            }
            Err((held, ours, error)) => {
                sight::not_carried(&agent, &trip, &error);
                held.undo(|| {
                    agent.carried.forget(cookie);
                    agent.carried.failed(cookie, errno::ENETUNREACH);
                });
                // Not before: the program would see a reset, and no reason for it.
                drop(ours);
                Err(errno::ENETUNREACH)
            }
        }
    }

    async fn far(
        &self,
        drawn: Option<Path>,
        destination: &Destination,
        options: &FarOptions,
    ) -> Result<Far, Failure> {
        let way = way(&self.plan, &self.client, destination);
        match dns::is_served(destination, &way) && !matches!(way, Way::Refuse(_)) {
            true => dns::far(&self.agent, &self.plan, &self.client, self.address),
            false => along(way, drawn, &self.client, destination, options, self.deadline).await,
        }
    }
}
