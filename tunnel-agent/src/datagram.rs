//! Datagrams. The program keeps its own kernel socket, and the library translates addresses: for each pair
//! of a program's socket and a remote address the agent has a socket of its own on loopback, `at`, which
//! is connected to the program's. What the program sends there goes on to the remote address, and what
//! comes from the remote address is sent to the program from there.
//!
//! # Layout
//!
//! - [`ask`]: what the library asks, judged and answered; [`facts`]: what the program's socket is.
//! - [`socket`]: a program's socket and its peers; [`peer`]: one `at`.
//! - [`carrier`]: what carries a peer's datagrams along a chain. [`association`]: the SOCKS5 side of a program's
//!   socket; [`relay`]: one relay, while it lasts. [`streamed`]: a peer's stream, where a relay of ours is the last hop.
//! - [`carry`]: a peer's datagrams on their way out, by association, by a stream, from this machine, or to DNS.
//! - [`own`]: datagrams of others than programs, by a socket of the agent's own that has peers as a program's has.
//! - [`batch`]: the buffers; [`sweep`]: what is forgotten, and when.

mod ask;
mod association;
mod batch;
mod carrier;
mod carry;
mod facts;
mod own;
mod peer;
mod relay;
mod socket;
mod streamed;
mod sweep;

pub(crate) use ask::{Ask, begin};
pub(crate) use batch::Sent;
pub(crate) use carry::pass;
pub(crate) use own::Own;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::Failure;

use crate::plan::Plan;
use crate::upstream::chain::Chain;
use crate::upstream::chain::datagrams::Carriage;
use batch::Batch;
use peer::Peer;
use socket::Socket;

/// How long a chain that has refused an association, or a stream, is not asked again.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How many of them are remembered.
const MAX_FAILED: usize = 1024;
/// Lines about failures that are not written again.
const MAX_TOLD: usize = 1024;

/// Who comes when there is no room is told this.
pub(crate) const NO_ROOM: Failure =
    Failure::Socket("there are as many datagram sockets as the limit on open files allows");

/// The chain that datagrams go by; `None`: from this machine.
#[derive(Clone)]
pub(crate) struct Course {
    plan: Arc<Plan>,
    chain: Option<Arc<str>>,
}

impl Course {
    fn chain(&self) -> Option<&Chain> {
        self.plan.chain(self.chain.as_deref()?)
    }

    /// Whether each peer has a stream of its own there.
    fn is_streamed(&self) -> bool {
        self.chain().is_some_and(|chain| chain.carriage() == Ok(Carriage::Streams))
    }

    fn key(&self) -> Key {
        (self.plan.number, self.chain.clone())
    }
}

type Key = (u32, Option<Arc<str>>);
/// A chain, for all destinations or for one.
type Failed = (Key, Option<Destination>);

/// The datagrams of one agent.
pub(crate) struct Datagrams {
    /// By cookie.
    sockets: Mutex<HashMap<u64, Arc<Socket>>>,
    /// By `at`.
    sources: Mutex<HashMap<SocketAddr, Weak<Peer>>>,
    pub(crate) batch: Mutex<Batch>,
    /// What has failed lately.
    failed: Mutex<HashMap<Failed, (Instant, Failure)>>,
    told: Mutex<HashSet<(u32, String)>>,
    /// In descriptors.
    room: Arc<Semaphore>,
    /// What there was of it at first.
    size: usize,
    sweeping: AtomicBool,
}

impl Datagrams {
    /// With so many descriptors at most.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            sockets: Mutex::default(),
            sources: Mutex::default(),
            batch: Mutex::new(Batch::new()),
            failed: Mutex::default(),
            told: Mutex::default(),
            room: Arc::new(Semaphore::new(room)),
            size: room,
            sweeping: AtomicBool::new(false),
        }
    }

    /// The programs' sockets that there are peers of.
    pub(crate) fn cookies(&self) -> Vec<u64> {
        self.sockets.lock().keys().copied().collect()
    }

    /// For whom an `at` stands, and the local address that the kernel would have chosen towards it.
    pub(crate) fn source(&self, at: SocketAddr) -> Option<(SocketAddr, Option<SocketAddr>)> {
        let peer = self.sources.lock().get(&canonical(at))?.upgrade()?;
        Some((peer.given, facts::local_towards(peer.given)))
    }

    /// Whether less than a sixteenth of the room is left, or than one more socket may need with its association.
    pub(crate) fn is_short(&self) -> bool {
        self.room.available_permits() < (self.size / 16).max(8)
    }

    fn room(&self, descriptors: u32) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.room).try_acquire_many_owned(descriptors).map_err(|_| NO_ROOM)
    }

    /// Why the chain cannot be used at the moment, for this destination or for all.
    fn remembered(&self, course: &Course, of: Option<&Destination>) -> Option<Failure> {
        let mut failed = self.failed.lock();
        failed.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        let find = |of: Option<&Destination>| failed.get(&(course.key(), of.cloned()));
        let found = find(None).or_else(|| find(of));
        found.map(|(_, failure)| failure.clone())
    }

    /// `of`: it is about this destination alone.
    fn remember(&self, course: &Course, of: Option<&Destination>, failure: &Failure) {
        let mut failed = self.failed.lock();
        if failed.len() >= MAX_FAILED {
            failed.clear();
        }
        failed.insert((course.key(), of.cloned()), (Instant::now(), failure.clone()));
    }

    /// Whether a line of this text about this plan has not been written before.
    pub(crate) fn is_news(&self, plan: &Plan, text: String) -> bool {
        let mut told = self.told.lock();
        if told.len() >= MAX_TOLD {
            told.clear();
        }
        told.insert((plan.number, text))
    }
}
