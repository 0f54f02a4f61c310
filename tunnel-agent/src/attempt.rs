//! One connection attempt: destination, way and mechanism.
//!
//! # Layout
//!
//! - [`handoff`]: on the program's own socket; [`held`]: with the socket held, and a relay; [`waiting`]: for that.

mod handoff;
mod held;
mod waiting;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underpass_core::config::route::Asked;
use underpass_core::destination::{Destination, canonical, is_local};
use underpass_core::failure::{Failure, errno};
use underpass_core::wire::Reply;

use crate::agent::Agent;
use crate::facts::{Facts, FarOptions};
use crate::flow::Trip;
use crate::names::Meaning;
use crate::plan::{Plan, Way};
use crate::room::{NO_ROOM, Taken};
use crate::upstream::again::Again;
use crate::upstream::chain::{Chain, Path};
use crate::upstream::hop::Client;
use crate::upstream::{Far, local};
use crate::{dns, frames, log, sight, sys};

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
    /// A supervisor asks, and waits for the outcome where the program does.
    pub(crate) supervised: bool,
    /// Of a program in a network of its own: a socket of that, bound to where the program's is to be held.
    pub(crate) completing: Option<OwnedFd>,
    /// The path that was drawn for it before it was known that it cannot be handed off.
    pub(crate) drawn: Option<Path>,
    pub(crate) since: Instant,
}

/// Judges the attempt and starts it. A second attempt with the same socket ends the first.
pub(crate) fn begin(mut attempt: Attempt) {
    let agent = Arc::clone(&attempt.agent);
    let cookie = attempt.facts.cookie;
    // What was bound as a listener would be cannot leave by itself.
    attempt.facts.confined |= agent.exposures.connects(cookie);
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
                // A wait that a signal has ended goes on.
                if attempt.supervised
                    && attempt.facts.blocking
                    && let Some(outcome) = agent.attempts.outcome(cookie)
                {
                    tokio::spawn(waiting::tell(agent, cookie, attempt.connection, outcome));
                    return;
                }
                return frames::reply(&attempt.connection, &Reply::Refuse { errno: errno::EALREADY });
            }
            _ => return frames::reply(&attempt.connection, &Reply::Refuse { errno: errno::EISCONN }),
        }
        if let Some(answer) = attempt.facts.mismatch(attempt.address) {
            return frames::reply(&attempt.connection, &answer);
        }
    } else {
        agent.attempts.end(cookie);
    }
    let destination = match destination(&agent, attempt.address) {
        Ok(destination) => destination,
        Err(failure) => return attempt.refuse(&failure),
    };
    if !attempt.plan.config.exposes.is_empty() {
        agent.exposures.visits(attempt.client.pid, &destination);
    }
    let Some(room) = agent.take_room() else {
        return attempt.refuse(&NO_ROOM);
    };
    if agent.carried.wants_sweep() {
        let agent = Arc::clone(&agent);
        tokio::task::spawn_blocking(move || agent.carried.sweep());
    }
    let (route, way) = attempt.plan.way(&asked(&attempt.client, &destination));
    // Also a name that a route sends direct is dialled by the agent, which alone knows what it stands for.
    let is_dns = dns::is_served(&destination, &way);
    // Nor does a socket that cannot leave this machine reach anything beyond it by itself.
    // In a network of its own the program has a loopback of its own, and reaches this one where a route says so.
    let is_loopback = is_local(canonical(attempt.address).ip());
    let confined = match &attempt.completing {
        Some(_) => !is_loopback || route.is_some(),
        None => attempt.facts.confined && !is_loopback,
    };
    let by_agent = matches!(way, Way::Direct) || is_dns;
    match way {
        Way::Chain(chain) => {
            attempt.plan.notice(chain, &asked(&attempt.client, &destination), attempt.client.pid);
        }
        Way::Refuse(errno) => return attempt.refuse(&Failure::Route(errno)),
        // The program's own connect does it, unless the library has answered for it, or the address is a
        // fake one.
        Way::Direct
            if attempt.held_at == 0
                && matches!(destination, Destination::Address(_))
                && !is_dns
                && !confined =>
        {
            return frames::reply(&attempt.connection, &Reply::Direct);
        }
        Way::Direct => {}
    }
    if attempt.held_at != 0 {
        if agent.holds.is_ours(attempt.held_at) {
            // It has been answered, in either case.
            let _ = attempt.hold(destination, room);
            return;
        }
        return attempt.refuse(&Failure::Socket("it is held by another agent"));
    }
    if by_agent {
        let _ = attempt.hold_or_refuse(destination, room);
        return;
    }
    agent.attempts.begin_handoff(cookie);
    tokio::spawn(attempt.run(destination, room));
}

/// What the program really wants. A fake address is never dialled.
pub(crate) fn destination(agent: &Agent, address: SocketAddr) -> Result<Destination, Failure> {
    match agent.names.meaning(address.ip()) {
        Meaning::Name(host) => Ok(Destination::Name { host, port: address.port() }),
        Meaning::Unknown => Err(Failure::UnknownFakeAddress),
        Meaning::Real => Ok(Destination::Address(canonical(address))),
    }
}

/// What routes can judge.
pub(crate) fn asked<'a>(client: &'a Client, destination: &'a Destination) -> Asked<'a> {
    let (name, ip) = match destination {
        Destination::Name { host, .. } => (Some(host.as_str()), None),
        Destination::Address(address) => (None, Some(address.ip())),
    };
    let program = client.program.as_deref();
    Asked { name, ip, port: Some(destination.port()), program, user: client.user }
}

/// Goes that way, with so much time for a chain; by the path of it that was drawn, if one was.
pub(crate) async fn along(
    way: Way<'_>,
    drawn: Option<Path>,
    client: &Client,
    destination: &Destination,
    options: &FarOptions,
    deadline: Duration,
) -> Result<Far, Failure> {
    match way {
        Way::Refuse(errno) => Err(Failure::Route(errno)),
        Way::Chain(chain) => patiently(chain, drawn, client, destination, options, deadline).await,
        Way::Direct => local::dial(destination, options).await,
    }
}

/// Dials, and again where a relay says that more comes in a second than it lets one client open.
async fn patiently(
    chain: &Chain,
    mut drawn: Option<Path>,
    client: &Client,
    destination: &Destination,
    options: &FarOptions,
    deadline: Duration,
) -> Result<Far, Failure> {
    let mut again = Again::within(deadline);
    loop {
        match chain.dial(drawn.take(), destination, options, client, again.left()).await {
            Err(failure) => again.after(failure).await?,
            Ok(far) => return Ok(far),
        }
    }
}

/// Where the connection goes.
pub(crate) fn way<'a>(plan: &'a Plan, client: &Client, destination: &Destination) -> Way<'a> {
    plan.way(&asked(client, destination)).1
}

/// The connection as people want to know it.
pub(crate) fn trip(agent: &Agent, plan: &Arc<Plan>, client: &Client, destination: Destination) -> Trip {
    let course = agent.courses.get(agent.courses.number(plan, &asked(client, &destination)));
    let program = client.program.as_deref().filter(|_| log::is_on()).map(Into::into);
    let tally = agent.courses.tally(course.as_deref());
    Trip { pid: client.pid, program, destination, course, tally }
}

impl Attempt {
    fn refuse(&self, failure: &Failure) {
        let destination = destination(&self.agent, self.address)
            .unwrap_or_else(|_| Destination::Address(canonical(self.address)));
        sight::failed(&self.agent, &trip(&self.agent, &self.plan, &self.client, destination), failure);
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

    /// Holds the socket, or answers that it cannot be, with the errno.
    fn hold_or_refuse(self, destination: Destination, room: Taken) -> Result<(), i32> {
        let why = if self.facts.device {
            "a socket bound to a device can only be handed off, while it is blocking"
        } else if !self.agent.can_hold {
            "this system lets no socket be held, and the chain cannot be handed off"
        } else {
            return self.hold(destination, room);
        };
        let failure = Failure::Socket(why);
        self.refuse(&failure);
        Err(failure.errno())
    }
}
