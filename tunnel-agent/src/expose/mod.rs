//! What listens at the exit of a chain: for programs, which are reached there and nowhere else, since their sockets are bound
//! to loopback, and ([`reverse`]) for one place that is reached from here without a program of ours.
//!
//! The way of a program's listener:
//!
//! 1. `bind()` of an address that is not loopback: a rule says at which chain, or that the program listens here as
//!    without us. The library binds the socket to loopback ([`Exposures::binds`]).
//! 2. `listen()`, or the question for the address that others are to be told: the chain is asked for a listener at its
//!    exit ([`open`]), and the program hears of it, or why there is none.
//! 3. Whoever connects there is connected to the program ([`serve`], [`carry`]) from an address of ours, by which the
//!    program's library knows to ask who it is ([`Exposures::accepted`]).
//! 4. The listener lives as long as one of the sockets that listen ([`sweep`]): they may be many, in many processes. The
//!    agent has no copy of them, which would keep them open.
//!
//! [`arrivals`]: who comes to a listener of a relay. [`known`], [`status`]: what is told of listeners; [`awaited`]: of those
//! that clients of the front door wait for.

pub(crate) mod arrivals;
pub(crate) mod awaited;
mod carry;
mod known;
mod open;
pub(crate) mod reverse;
mod serve;
mod status;
mod sweep;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use underpass_core::destination::{Destination, canonical, is_local};

use crate::plan::Plan;
use crate::relay::policy::exposing::Wish;
use crate::upstream::hop::Client;
use known::Known;
pub(crate) use open::begin;

/// Sockets that were bound and do not listen yet.
const MOST_BOUND: usize = 4096;
/// Processes whose last destination is remembered.
const MOST_VISITED: usize = 1024;
/// Listeners at once.
const MOST: usize = 1024;
/// How long all of them may take to be closed at the end.
const ENDING: Duration = Duration::from_secs(2);
/// Connections whose peers are remembered.
const MOST_PEERS: usize = 65_536;
/// How long a connection that has ended may wait for the program's accept(), which asks who it was.
const LATE: Duration = Duration::from_secs(60);

/// The listeners of one agent.
#[derive(Default)]
pub(crate) struct Exposures {
    tables: Mutex<Tables>,
    sweeping: AtomicBool,
    /// Those without a program.
    reverses: Mutex<Vec<Weak<reverse::Served>>>,
    /// Those of the front door's clients.
    awaited: Mutex<awaited::Awaited>,
    /// Set when the agent ends; whoever has a listener at a relay hears of it until that is closed.
    ending: watch::Sender<bool>,
}

#[derive(Default)]
struct Tables {
    /// By the cookies of their sockets.
    bound: HashMap<u64, Bound>,
    bound_in_order: VecDeque<u64>,
    /// By where their programs listen.
    exposed: HashMap<SocketAddr, Arc<Exposure>>,
    /// The same; held while a listener is asked for at the exit: one socket of many that share a port does.
    opening: HashMap<SocketAddr, Weak<tokio::sync::Mutex<()>>>,
    /// By both ends of a connection from us to a program: who is behind it, and where they have connected.
    peers: HashMap<Ends, Coming>,
    peers_in_order: VecDeque<(u64, Ends)>,
    /// Those that have ended, and when.
    peers_that_ended: VecDeque<(Instant, (u64, Ends))>,
    /// Of the last of them.
    number: u64,
    /// Where processes have connected last.
    visited: HashMap<i32, Destination>,
}

/// Both ends of a connection from us to a program, in canonical form.
type Ends = (SocketAddr, SocketAddr);

/// Who is behind it.
struct Coming {
    /// Another connection may have the same ends later.
    number: u64,
    peer: SocketAddr,
    exit: SocketAddr,
}

/// A socket that is bound where a listener may be exposed.
#[derive(Clone)]
struct Bound {
    plan: Arc<Plan>,
    client: Client,
    chain: String,
    wish: Wish,
    /// Who will connect: a program that has connected somewhere and lets the system choose a port has told its peer to, as
    /// FTP does.
    expected: Option<Destination>,
}

/// A listener that is exposed.
struct Exposure {
    bound: Bound,
    /// Where the program listens.
    local: SocketAddr,
    /// Where others connect.
    exit: SocketAddr,
    state: Mutex<State>,
    known: Known,
    /// No socket listens any more.
    closed: Notify,
    /// Whether it is over at the exit, too.
    over: watch::Sender<bool>,
}

struct State {
    /// The sockets.
    cookies: HashSet<u64>,
    /// One of them listens, as far as is known.
    listens: bool,
    since: Instant,
}

impl Exposures {
    /// Where to bind a socket that a program binds to `address`; `None`: there.
    pub(crate) fn binds(
        &self,
        plan: &Arc<Plan>,
        client: Client,
        cookie: u64,
        address: SocketAddr,
        v6_only: bool,
    ) -> Option<SocketAddr> {
        let ip = address.ip().to_canonical();
        if is_local(ip) && !ip.is_unspecified() {
            return None;
        }
        let expose = plan.config.exposed(address.port(), client.program.as_deref())?;
        let family = match (address, v6_only) {
            (SocketAddr::V4(_), _) => Some(Ipv4Addr::UNSPECIFIED.into()),
            (SocketAddr::V6(_), true) => Some(Ipv6Addr::UNSPECIFIED.into()),
            // It speaks both.
            (SocketAddr::V6(_), false) if ip.is_unspecified() => None,
            (SocketAddr::V6(_), false) => Some(unspecified(ip)),
        };
        let wish = Wish { ip: expose.address.or(family), port: expose.exit_port.unwrap_or(address.port()) };
        let mut tables = self.tables.lock();
        let expected = tables.visited.get(&client.pid).filter(|_| address.port() == 0).cloned();
        let bound = Bound { plan: Arc::clone(plan), client, chain: expose.at.clone(), wish, expected };
        if tables.bound.insert(cookie, bound).is_none() {
            tables.bound_in_order.push_back(cookie);
        }
        while tables.bound_in_order.len() > MOST_BOUND {
            let oldest = tables.bound_in_order.pop_front();
            oldest.and_then(|oldest| tables.bound.remove(&oldest));
        }
        let loopback: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) if v6_only || ip.is_ipv6() && !ip.is_unspecified() => {
                Ipv6Addr::LOCALHOST.into()
            }
            SocketAddr::V6(_) => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
        };
        Some(SocketAddr::new(loopback, address.port()))
    }

    /// The sockets that are bound or listen here.
    pub(crate) fn cookies(&self) -> Vec<u64> {
        let tables = self.tables.lock();
        let exposed = tables.exposed.values().flat_map(|exposure| exposure.state.lock().cookies.clone());
        tables.bound.keys().copied().chain(exposed).collect()
    }

    /// The process connects there.
    pub(crate) fn visits(&self, pid: i32, destination: &Destination) {
        let mut tables = self.tables.lock();
        if tables.visited.len() >= MOST_VISITED && !tables.visited.contains_key(&pid) {
            tables.visited.clear();
        }
        tables.visited.insert(pid, destination.clone());
    }

    /// The socket connects, and does not listen: whether it was bound here.
    pub(crate) fn connects(&self, cookie: u64) -> bool {
        let mut tables = self.tables.lock();
        let unused = |exposure: &Arc<Exposure>| exposure.state.lock().cookies.contains(&cookie);
        if let Some(exposure) = tables.exposed.values().find(|exposure| unused(exposure)) {
            exposure.closed.notify_one();
        }
        tables.bound.remove(&cookie).is_some()
    }

    /// Who is behind a connection that has come from us, and where they have connected.
    pub(crate) fn accepted(&self, from: SocketAddr, at: SocketAddr) -> Option<(SocketAddr, SocketAddr)> {
        let mut tables = self.tables.lock();
        tables.forget();
        tables.peers.get(&(canonical(from), canonical(at))).map(|coming| (coming.peer, coming.exit))
    }

    /// Notes who is behind a connection before it is made; what [`Self::goes`] is told.
    fn comes(&self, from: SocketAddr, at: SocketAddr, peer: SocketAddr, exit: SocketAddr) -> (u64, Ends) {
        let ends = (canonical(from), canonical(at));
        let mut tables = self.tables.lock();
        tables.forget();
        tables.number += 1;
        let number = tables.number;
        tables.peers.insert(ends, Coming { number, peer, exit });
        tables.peers_in_order.push_back((number, ends));
        while tables.peers_in_order.len() > MOST_PEERS {
            let Some(oldest) = tables.peers_in_order.pop_front() else { break };
            tables.goes(oldest);
        }
        (number, ends)
    }

    /// It has ended. The program may accept it late, and ask who it was.
    fn ends(&self, connection: (u64, Ends)) {
        self.tables.lock().peers_that_ended.push_back((Instant::now(), connection));
    }

    /// It is over: whoever has the same ends from now on is somebody else.
    fn goes(&self, connection: (u64, Ends)) {
        self.tables.lock().goes(connection);
    }

    /// Says when the agent ends, and that there is something to close until it is dropped.
    pub(crate) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// Closes every listener, so that none is kept at a relay for somebody who does not come back.
    pub(crate) async fn end(&self) {
        self.ending.send_replace(true);
        if tokio::time::timeout(ENDING, self.ending.closed()).await.is_err() {
            tracing::debug!("a relay does not answer that it has closed a listener");
        }
    }

    /// A listener is over.
    fn forget(&self, exposure: &Arc<Exposure>) {
        let mut tables = self.tables.lock();
        if tables.exposed.get(&exposure.local).is_some_and(|one| Arc::ptr_eq(one, exposure)) {
            tables.exposed.remove(&exposure.local);
        }
        drop(tables);
        exposure.over.send_replace(true);
    }

    /// What is held while a listener is asked for that a program has there.
    fn opening(&self, local: SocketAddr) -> Arc<tokio::sync::Mutex<()>> {
        let mut tables = self.tables.lock();
        tables.opening.retain(|_, one| one.strong_count() > 0);
        if let Some(one) = tables.opening.get(&local).and_then(Weak::upgrade) {
            return one;
        }
        let one = Arc::default();
        tables.opening.insert(local, Arc::downgrade(&one));
        one
    }

    fn all(&self) -> Vec<Arc<Exposure>> {
        self.tables.lock().exposed.values().cloned().collect()
    }

    fn is_sweeping(&self) -> bool {
        self.sweeping.swap(true, Ordering::Relaxed)
    }
}

impl Tables {
    /// Those that ended long ago, and those beyond as many as are known.
    fn forget(&mut self) {
        while let Some(&(since, connection)) = self.peers_that_ended.front() {
            if since.elapsed() < LATE && self.peers_that_ended.len() <= MOST_PEERS {
                return;
            }
            self.peers_that_ended.pop_front();
            self.goes(connection);
        }
    }

    fn goes(&mut self, (number, ends): (u64, Ends)) {
        if self.peers.get(&ends).is_some_and(|coming| coming.number == number) {
            self.peers.remove(&ends);
        }
    }
}

fn unspecified(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_come_is_forgotten_when_it_is_over_and_nobody_else() {
        let exposures = Exposures::default();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (from, program, exit) = (at("[::1]:40000"), at("[::1]:8000"), at("[2001:db8::1]:8000"));
        let (one, other) = (at("[2001:db8::2]:1"), at("[2001:db8::3]:2"));
        let first = exposures.comes(from, program, one, exit);
        assert_eq!(exposures.accepted(from, program), Some((one, exit)));
        // The port is another connection's before the first one is forgotten.
        let second = exposures.comes(from, program, other, exit);
        exposures.goes(first);
        assert_eq!(exposures.accepted(from, program), Some((other, exit)));
        exposures.ends(second);
        assert_eq!(exposures.accepted(from, program), Some((other, exit)), "it may be accepted late");
        let long_ago = Instant::now().checked_sub(LATE).unwrap();
        exposures.tables.lock().peers_that_ended[0].0 = long_ago;
        assert_eq!(exposures.accepted(from, program), None);
    }
}
