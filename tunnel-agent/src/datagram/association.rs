//! The SOCKS5 side of a program's socket: whose answers come through it, and the relay that it has at the
//! moment, if any. It is made with the first datagram, and made anew when it has ended.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Isolation;

use super::Course;
use super::peer::Peer;
use super::relay::{self, Relay};
use super::socket::Socket;
use crate::agent::Agent;
use crate::log;
use crate::upstream::chain::apart::host_of;
use crate::upstream::hop::Client;
use crate::upstream::socks5_udp::Sender;

/// An association of one program's socket.
///
/// An answer names an address, and a name that was asked for may stand for any. So on one association at
/// most one name has a port, and no address that was asked for has the same: whose the answer is, is known.
pub(super) struct Association {
    socket: Weak<Socket>,
    course: Course,
    client: Client,
    /// Where the first datagram goes.
    first: Destination,
    peers: Mutex<Peers>,
    current: Mutex<Option<(Arc<Relay>, AbortHandle)>>,
    /// Held by who makes a relay.
    making: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Peers {
    by_address: HashMap<SocketAddr, Arc<Peer>>,
    /// By port.
    by_name: HashMap<u16, Named>,
}

struct Named {
    peer: Arc<Peer>,
    /// The address that its first answer came from.
    learned: Option<SocketAddr>,
}

impl Association {
    pub(super) fn new(socket: Weak<Socket>, course: Course, client: Client, first: Destination) -> Self {
        let (peers, current, making) = Default::default();
        Self { socket, course, client, first, peers, current, making }
    }

    /// Whether a peer for this destination can be told apart from all others here.
    pub(super) fn fits(&self, course: &Course, destination: &Destination) -> bool {
        let is_apart = course.chain().is_some_and(|chain| chain.isolates(Isolation::Destination));
        if !self.goes_by(course) || (is_apart && host_of(destination) != host_of(&self.first)) {
            return false;
        }
        let peers = self.peers.lock();
        let port = destination.port();
        !peers.by_name.contains_key(&port)
            && match destination {
                Destination::Address(_) => true,
                Destination::Name { .. } => !peers.by_address.keys().any(|known| known.port() == port),
            }
    }

    pub(super) fn goes_by(&self, course: &Course) -> bool {
        self.course.key() == course.key()
    }

    pub(super) fn add(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers.lock();
        let peer = Arc::clone(peer);
        match peer.destination {
            Destination::Address(address) => drop(peers.by_address.insert(address, peer)),
            Destination::Name { port, .. } => {
                drop(peers.by_name.insert(port, Named { peer, learned: None }));
            }
        }
    }

    pub(super) fn remove(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers.lock();
        peers.by_address.retain(|_, known| !Arc::ptr_eq(known, peer));
        peers.by_name.retain(|_, named| !Arc::ptr_eq(&named.peer, peer));
    }

    pub(super) fn has(&self, peer: &Arc<Peer>) -> bool {
        let peers = self.peers.lock();
        let is_here = |known: &Arc<Peer>| Arc::ptr_eq(known, peer);
        match &peer.destination {
            Destination::Address(address) => peers.by_address.get(address).is_some_and(is_here),
            Destination::Name { port, .. } => {
                peers.by_name.get(port).is_some_and(|named| is_here(&named.peer))
            }
        }
    }

    pub(super) fn is_used(&self) -> bool {
        let peers = self.peers.lock();
        !peers.by_address.is_empty() || !peers.by_name.is_empty()
    }

    /// For which peer an answer is; one that nobody asked for is from a new one.
    pub(super) fn peer_of(self: &Arc<Self>, agent: &Arc<Agent>, sender: Sender<'_>) -> Option<Arc<Peer>> {
        let mut peers = self.peers.lock();
        let from = match sender {
            Sender::Address(from) => from,
            Sender::Name(name, port) => {
                let named = peers.by_name.get(&port)?;
                let Destination::Name { host, .. } = &named.peer.destination else { return None };
                return host.as_bytes().eq_ignore_ascii_case(name).then(|| Arc::clone(&named.peer));
            }
        };
        if let Some(peer) = peers.by_address.get(&from) {
            return Some(Arc::clone(peer));
        }
        if let Some(named) = peers.by_name.get_mut(&from.port())
            && named.learned.is_none_or(|learned| learned == from)
        {
            let peer = Arc::clone(&named.peer);
            named.learned = Some(from);
            peer.learn(from);
            peers.by_address.insert(from, Arc::clone(&peer));
            return Some(peer);
        }
        drop(peers);
        self.socket.upgrade()?.add_unasked(agent, self, from)
    }

    /// The relay, if there is one.
    pub(super) fn relay(&self) -> Option<Arc<Relay>> {
        self.current.lock().as_ref().map(|(relay, _)| Arc::clone(relay))
    }

    /// The relay that there is, or a new one.
    pub(super) async fn ready(self: &Arc<Self>, agent: &Arc<Agent>) -> Result<Arc<Relay>, Failure> {
        if let Some(relay) = self.relay() {
            return Ok(relay);
        }
        let _one = self.making.lock().await;
        if let Some(relay) = self.relay() {
            return Ok(relay);
        }
        if let Some(failure) = agent.datagrams.remembered(&self.course, None) {
            return Err(failure);
        }
        match self.make(agent).await {
            Ok(relay) => Ok(relay),
            Err(failure) => {
                // What this machine has no room for is no fault of the chain's.
                if !matches!(failure, Failure::Socket(_)) {
                    agent.datagrams.remember(&self.course, None, &failure);
                }
                let (plan, chain) = (&self.course.plan, self.course.chain.as_deref());
                log::no_datagrams(&agent.datagrams, plan, chain, &self.client, &failure);
                Err(failure)
            }
        }
    }

    async fn make(self: &Arc<Self>, agent: &Arc<Agent>) -> Result<Arc<Relay>, Failure> {
        let chain = self.course.chain().ok_or(Failure::Socket("the chain is no longer there"))?;
        let room = agent.datagrams.room(1 + chain.hops().len() as u32)?;
        let deadline = Duration::from_secs(self.course.plan.config.deadline.into());
        let associated = chain.associate(&self.client, &self.first, deadline).await?;
        let (relay, controls) = Relay::new(associated, room)?;
        let relay = Arc::new(relay);
        let serving = relay::serve(Arc::clone(agent), Arc::clone(self), Arc::clone(&relay), controls);
        let task = tokio::spawn(serving).abort_handle();
        *self.current.lock() = Some((Arc::clone(&relay), task));
        Ok(relay)
    }

    /// The relay has ended; the next datagram makes another.
    pub(super) fn ended(&self, relay: &Arc<Relay>) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, relay)) {
            *current = None;
        }
    }

    /// Closes the relay: nobody needs it any more.
    pub(super) fn end(&self) {
        if let Some((_, task)) = self.current.lock().take() {
            task.abort();
        }
    }
}
