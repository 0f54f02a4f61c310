//! A program's datagram socket: its peers, and the associations and streams that serve them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};

use super::association::Association;
use super::carrier::Carrier;
use super::facts::Facts;
use super::peer::Peer;
use super::streamed::Streamed;
use super::{Course, Datagrams, carry};
use crate::agent::Agent;
use crate::upstream::hop::Client;

/// Peers of one socket; the one that was not used for longest goes when there are more.
pub(super) const MAX_PEERS: usize = 256;

/// Where the datagrams for a peer go.
pub(super) enum To {
    /// By a chain, or from this machine.
    Course(Course),
    /// To the agent's own name server.
    Names(Arc<crate::plan::Plan>),
}

/// A program's socket.
pub(super) struct Socket {
    pub(super) cookie: u64,
    state: Mutex<State>,
}

struct State {
    facts: Facts,
    peers: HashMap<SocketAddr, Arc<Peer>>,
    associations: Vec<Arc<Association>>,
    /// Those of the peers that have one, by their addresses.
    streams: HashMap<SocketAddr, Arc<Streamed>>,
}

/// A peer, and what its datagrams wait for.
pub(super) struct Found {
    pub(super) peer: Arc<Peer>,
    pub(super) carrier: Option<Carrier>,
}

impl Found {
    /// Whether its datagrams go there.
    pub(super) fn goes(&self, to: &To) -> bool {
        match (to, &self.carrier) {
            (To::Course(course), Some(carrier)) => carrier.goes_by(course),
            (To::Course(course), None) => course.chain.is_none(),
            (To::Names(_), carrier) => carrier.is_none(),
        }
    }
}

impl Socket {
    pub(super) fn new(facts: Facts) -> Self {
        let cookie = facts.cookie;
        let (peers, associations, streams) = Default::default();
        Self { cookie, state: Mutex::new(State { facts, peers, associations, streams }) }
    }

    /// Takes what the socket is now.
    pub(super) fn update(&self, facts: Facts) {
        let mut state = self.state.lock();
        state.peers.values().for_each(|peer| peer.follow(facts.local));
        state.facts = facts;
    }

    /// The peer that stands for `given`, if there is one.
    pub(super) fn peer(&self, given: SocketAddr) -> Option<Found> {
        let state = self.state.lock();
        let peer = Arc::clone(state.peers.get(&given)?);
        let carrier = match state.streams.get(&given) {
            Some(streamed) => Some(Carrier::Stream(Arc::clone(streamed))),
            None => {
                let association = state.associations.iter().find(|one| one.has(&peer));
                association.cloned().map(Carrier::Association)
            }
        };
        Some(Found { peer, carrier })
    }

    /// The peer that stands for `given` and whose datagrams go there, an old one or a new one.
    pub(super) fn towards(
        self: &Arc<Self>,
        agent: &Arc<Agent>,
        client: &Client,
        given: SocketAddr,
        destination: Destination,
        to: To,
    ) -> Result<Found, Failure> {
        match self.peer(given) {
            Some(known) if known.goes(&to) => return Ok(known),
            // The configuration has been read again, and the route is another one.
            Some(other) => self.remove(&agent.datagrams, &other.peer),
            None => {}
        }
        if let To::Course(course) = &to
            && let Some(failure) = agent.datagrams.remembered(course, Some(&destination))
        {
            return Err(failure);
        }
        self.add(agent, client, given, destination, to)
    }

    /// Makes a peer, and starts to carry its datagrams.
    fn add(
        self: &Arc<Self>,
        agent: &Arc<Agent>,
        client: &Client,
        given: SocketAddr,
        destination: Destination,
        to: To,
    ) -> Result<Found, Failure> {
        let mut state = self.state.lock();
        // From this machine there is one more socket, which leads there.
        let from_here = matches!(&to, To::Course(course) if course.chain.is_none());
        let peer = state.new_peer(&agent.datagrams, given, destination, 1 + u32::from(from_here))?;
        let carrier = match to {
            To::Names(plan) => {
                let task = carry::to_names(Arc::clone(agent), plan, client.clone(), Arc::clone(&peer));
                peer.begin(tokio::spawn(task).abort_handle());
                None
            }
            To::Course(course) if course.chain.is_none() => {
                let task = carry::from_here(Arc::clone(agent), Arc::clone(&peer));
                peer.begin(tokio::spawn(task).abort_handle());
                None
            }
            To::Course(course) if course.is_streamed() => {
                let destination = peer.destination.clone();
                let streamed = Arc::new(Streamed::new(course, client.clone(), destination));
                state.streams.insert(given, Arc::clone(&streamed));
                let task = carry::by_stream(
                    Arc::clone(agent),
                    Arc::clone(self),
                    Arc::clone(&streamed),
                    Arc::clone(&peer),
                );
                peer.begin(tokio::spawn(task).abort_handle());
                Some(Carrier::Stream(streamed))
            }
            To::Course(course) => {
                let association = state.association(self, course, client, &peer);
                let task = carry::through(
                    Arc::clone(agent),
                    Arc::clone(self),
                    Arc::clone(&association),
                    Arc::clone(&peer),
                );
                peer.begin(tokio::spawn(task).abort_handle());
                Some(Carrier::Association(association))
            }
        };
        Ok(Found { peer, carrier })
    }

    /// A peer that was never asked for: an answer has come from it.
    pub(super) fn add_unasked(
        self: &Arc<Self>,
        agent: &Arc<Agent>,
        association: &Arc<Association>,
        from: SocketAddr,
    ) -> Option<Arc<Peer>> {
        let mut state = self.state.lock();
        // A connected socket takes nothing from others; and where there is a peer by another association,
        // whose the answer is cannot be told.
        if state.peers.contains_key(&from) || state.peers.values().any(|peer| peer.is_connected()) {
            return None;
        }
        let peer = state.new_peer(&agent.datagrams, from, Destination::Address(from), 1).ok()?;
        association.add(&peer);
        let task =
            carry::through(Arc::clone(agent), Arc::clone(self), Arc::clone(association), Arc::clone(&peer));
        peer.begin(tokio::spawn(task).abort_handle());
        Some(peer)
    }

    /// The program's socket is connected to this peer alone, or to none.
    pub(super) fn set_connected(&self, to: Option<&Arc<Peer>>) {
        for peer in self.state.lock().peers.values() {
            peer.set_connected(to.is_some_and(|to| Arc::ptr_eq(to, peer)));
        }
    }

    /// Ends a peer.
    pub(super) fn remove(&self, datagrams: &Datagrams, peer: &Arc<Peer>) {
        self.state.lock().remove(datagrams, peer);
    }

    /// Ends the peers that were last used before `limit` and are not connected.
    pub(super) fn remove_idle(&self, datagrams: &Datagrams, limit: u64) {
        let mut state = self.state.lock();
        let is_idle = |peer: &&Arc<Peer>| peer.used() < limit && !peer.is_connected();
        let idle: Vec<_> = state.peers.values().filter(is_idle).cloned().collect();
        idle.iter().for_each(|peer| state.remove(datagrams, peer));
    }

    /// Ends everything: the program has closed it.
    pub(super) fn end(&self, datagrams: &Datagrams) {
        let mut state = self.state.lock();
        let all: Vec<_> = state.peers.values().cloned().collect();
        all.iter().for_each(|peer| state.remove(datagrams, peer));
    }

    /// Ends everything: the socket was the agent's own, and with it nobody is left who could send to a peer.
    pub(super) fn close(&self, datagrams: &Datagrams) {
        let mut state = self.state.lock();
        let all: Vec<_> = state.peers.values().cloned().collect();
        for peer in all {
            state.forget(datagrams, &peer);
            peer.end_at_once();
        }
    }
}

impl State {
    fn new_peer(
        &mut self,
        datagrams: &Datagrams,
        given: SocketAddr,
        destination: Destination,
        descriptors: u32,
    ) -> Result<Arc<Peer>, Failure> {
        if self.peers.len() >= MAX_PEERS {
            self.evict(datagrams);
        }
        let ip = self.facts.loopback_for(given)?;
        let room = datagrams.room(descriptors)?;
        let peer = Peer::new(given, destination, ip, self.facts.local, room)
            .map_err(|error| Failure::Dial(error.raw_os_error().unwrap_or(errno::ENETUNREACH)))?;
        let peer = Arc::new(peer);
        datagrams.sources.lock().insert(peer.at, Arc::downgrade(&peer));
        self.peers.insert(given, Arc::clone(&peer));
        Ok(peer)
    }

    /// The association that can tell this peer's answers from all others', an old one or a new one.
    fn association(
        &mut self,
        socket: &Arc<Socket>,
        course: Course,
        client: &Client,
        peer: &Arc<Peer>,
    ) -> Arc<Association> {
        let fits = self.associations.iter().find(|one| one.fits(&course, &peer.destination));
        let association = match fits {
            Some(association) => Arc::clone(association),
            None => {
                let weak = Arc::downgrade(socket);
                let new = Arc::new(Association::new(weak, course, client.clone(), peer.destination.clone()));
                self.associations.push(Arc::clone(&new));
                new
            }
        };
        association.add(peer);
        association
    }

    fn remove(&mut self, datagrams: &Datagrams, peer: &Arc<Peer>) {
        self.forget(datagrams, peer);
        peer.end();
    }

    fn forget(&mut self, datagrams: &Datagrams, peer: &Arc<Peer>) {
        if self.peers.get(&peer.given).is_some_and(|known| Arc::ptr_eq(known, peer)) {
            self.peers.remove(&peer.given);
            self.streams.remove(&peer.given);
        }
        datagrams.sources.lock().remove(&peer.at);
        self.associations.retain(|association| {
            association.remove(peer);
            let is_used = association.is_used();
            if !is_used {
                association.end();
            }
            is_used
        });
    }

    /// Ends the peer that was not used for longest.
    fn evict(&mut self, datagrams: &Datagrams) {
        let oldest = self.peers.values().filter(|peer| !peer.is_connected()).min_by_key(|peer| peer.used());
        if let Some(oldest) = oldest.cloned() {
            self.remove(datagrams, &oldest);
        }
    }
}

#[cfg(test)]
mod tests;
