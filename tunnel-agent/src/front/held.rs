//! Connections that the kernel is to redirect to a door, and that wait before it has accepted them: their SYN is in a queue
//! ([`Queue`]) until the far end is dialled. So the program's `connect()` is accepted when the far end has accepted, and is refused
//! when it was refused.
//!
//! 1. A SYN comes: [`begin`] dials, by the routes and chains of the session.
//! 2. The far end has accepted: what was dialled is kept, and the SYN goes on, is redirected, and the door takes what was kept
//!    ([`Held::take`]).
//! 3. The dial has failed: the SYN goes on with a mark, by which rules (docs/redirect-hold.nft) answer it with a reset or an
//!    ICMP message. Where the dial got no answer there is none here, either.
//!
//! A SYN that comes again is dropped, for as long as it can have been behind the first one: netfilter would take it for
//! another connection, with a port of its own, and that one's reset would end the first. Without the agent the kernel drops all of
//! them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::sync::oneshot;
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::{Failure, errno};
use underpass_core::wire::Token;

use super::queue::{Queue, Syn, Verdict, Waiting};
use super::visit::dial;
use crate::agent::Agent;
use crate::attempt::trip;
use crate::flow::Trip;
use crate::lifetime::{Lifetime, Use};
use crate::plan::Plan;
use crate::room::Taken;
use crate::upstream::hop::Client;
use crate::upstream::stream::Stream;
use crate::{sight, sys};

/// How long a SYN may have been on its way from the kernel to us.
const LATE: Duration = Duration::from_secs(2);
/// How long what was dialled waits for a program whose SYN goes on: it has left meanwhile, as a rule.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the rules answer to a SYN with these marks: a reset, and ICMP's *no route*, *host unreachable* and *prohibited*.
const RESET: u32 = 0x7501;
const NO_ROUTE: u32 = 0x7502;
const HOST: u32 = 0x7503;
const PROHIBITED: u32 = 0x7504;

/// From where to where.
type Ends = (SocketAddr, SocketAddr);

/// What keeps the agent, and counts in its room.
pub(super) type Usage = (Use, Taken);

/// A connection whose SYN has come.
struct Known {
    sequence: u32,
    state: State,
}

impl Known {
    fn take(&mut self) -> Option<Dialled> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Dialled(dialled) => Some(dialled),
            other => {
                self.state = other;
                None
            }
        }
    }
}

enum State {
    Dialling,
    Dialled(Dialled),
    /// The door has it.
    Taken,
}

/// A far end that waits for its program.
pub(super) struct Dialled {
    pub(super) far: Stream,
    pub(super) trip: Trip,
    /// Dropped when it is taken.
    waits: oneshot::Sender<()>,
    pub(super) usage: Usage,
}

/// What is held for one door.
pub(super) struct Held {
    queue: Queue,
    table: Mutex<HashMap<Ends, Known>>,
}

impl Held {
    /// Takes the queue.
    pub(super) fn open(number: u16) -> io::Result<Self> {
        let queue = Queue::bind(number).map_err(|error| {
            let hint = match error {
                Errno::PERM => {
                    "it needs CAP_NET_ADMIN, and a queue that nobody else has (/proc/net/netfilter/nfnetlink_queue)"
                }
                _ => "the kernel module nfnetlink_queue is needed",
            };
            io::Error::other(format!("queue {number}: {}\nhint: {hint}", io::Error::from(error)))
        })?;
        Ok(Self { queue, table: Mutex::default() })
    }

    /// Serves the queue for as long as there is the session.
    pub(super) async fn serve(self: Arc<Self>, agent: Arc<Agent>, session: Token) -> io::Result<()> {
        let watched = sys::watch(self.queue.socket(), Interest::READABLE)?;
        loop {
            let mut ready = watched.readable().await?;
            // A reload gives the session another plan.
            let Some(plan) = agent.sessions.plan(&session) else { return Ok(()) };
            match self.queue.waiting(|waiting| self.comes(&agent, &plan, waiting)) {
                Ok(()) => {}
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => tracing::warn!(%error, "the kernel's queue cannot be read"),
            }
        }
    }

    fn comes(self: &Arc<Self>, agent: &Arc<Agent>, plan: &Arc<Plan>, waiting: Waiting) {
        let held = Arc::clone(self);
        let mut packet = Packet { held, id: waiting.id, verdict: Verdict::Drop, dialled_for: None };
        let Some(Syn { from, to, sequence }) = waiting.syn else {
            return tracing::warn!(
                "a packet of the queue is no SYN, and was dropped: the rules let others into it"
            );
        };
        let ends = (plain(from), plain(to));
        let mut table = self.table.lock();
        let known = table.get(&ends);
        // A new connection between the same ends waits until the one before has been taken.
        if known.is_some_and(|known| known.sequence == sequence || !matches!(known.state, State::Taken)) {
            return;
        }
        // Without room it is dropped, and comes again.
        let Some(room) = agent.take_room() else { return };
        table.insert(ends, Known { sequence, state: State::Dialling });
        drop(table);
        packet.dialled_for = Some(ends);
        let usage = (Lifetime::begin(agent), room);
        let (agent, plan) = (Arc::clone(agent), Arc::clone(plan));
        agent
            .splicer
            .clone()
            .spawn(async move { Box::pin(begin(agent, plan, packet, (ends, sequence), usage)).await });
    }

    /// What was dialled for a connection that has come to the door.
    ///
    /// It may come from another port than its SYN, where netfilter still knows a connection from that port to the door (ended, and
    /// once to another destination). Then it has what waits between the two hosts for this destination: those are alike.
    pub(super) fn take(&self, from: SocketAddr, to: SocketAddr) -> Option<Dialled> {
        let ends = (plain(from), plain(to));
        let mut table = self.table.lock();
        if let Some(dialled) = table.get_mut(&ends).and_then(Known::take) {
            return Some(dialled);
        }
        let alike = |other: &Ends| (other.0.ip(), other.1) == (ends.0.ip(), ends.1);
        table.iter_mut().filter(|(other, _)| alike(other)).find_map(|(_, known)| known.take())
    }

    /// The far end has accepted.
    fn keep(&self, ends: Ends, dialled: Dialled) {
        if let Some(known) = self.table.lock().get_mut(&ends) {
            known.state = State::Dialled(dialled);
        }
    }

    /// What is between these ends is forgotten if it has come as far as `is_over` says.
    fn forget(&self, ends: Ends, is_over: impl Fn(&Known) -> bool) {
        if let Entry::Occupied(known) = self.table.lock().entry(ends)
            && is_over(known.get())
        {
            known.remove();
        }
    }
}

/// Dials for a SYN, and waits until the door has taken what was dialled.
async fn begin(
    agent: Arc<Agent>,
    plan: Arc<Plan>,
    mut packet: Packet,
    (ends, sequence): (Ends, u32),
    usage: Usage,
) {
    let (client, destination) = (Client::default(), Destination::Address(ends.1));
    let since = Instant::now();
    let dialled = dial(&agent, &plan, &client, &destination, true).await;
    let trip = trip(&agent, &plan, &client, destination);
    match dialled {
        Ok(far) => {
            sight::relayed(&trip, since);
            let held = Arc::clone(&packet.held);
            let (waits, taken) = oneshot::channel();
            held.keep(ends, Dialled { far: far.stream, trip, waits, usage });
            packet.verdict = Verdict::Accept;
            drop(packet);
            // The end of the sender is that it was taken.
            if tokio::time::timeout(PATIENCE, taken).await.is_ok() {
                tokio::time::sleep(LATE).await;
            }
            // Another connection may have the place.
            held.forget(ends, |known| match &known.state {
                State::Dialling => false,
                State::Dialled(dialled) => dialled.waits.is_closed(),
                State::Taken => known.sequence == sequence,
            });
        }
        Err(failure) => {
            sight::failed(&agent, &trip, &failure);
            packet.verdict = refusal(&failure);
        }
    }
}

/// What the program is told: the errno of its `connect()`, where a packet can tell it.
fn refusal(failure: &Failure) -> Verdict {
    Verdict::Marked(match failure.errno() {
        errno::ECONNREFUSED => RESET,
        errno::EHOSTUNREACH => HOST,
        errno::EACCES => PROHIBITED,
        // As where the far end says nothing: it is asked for again.
        errno::ETIMEDOUT => return Verdict::Drop,
        _ => NO_ROUTE,
    })
}

/// Without scope and flow, which a packet has not.
fn plain(address: SocketAddr) -> SocketAddr {
    let address = canonical(address);
    SocketAddr::new(address.ip(), address.port())
}

/// A packet that is judged when this is dropped, however that comes.
struct Packet {
    held: Arc<Held>,
    id: u32,
    verdict: Verdict,
    /// What is between these ends ends with it while it is dialled for.
    dialled_for: Option<Ends>,
}

impl Drop for Packet {
    fn drop(&mut self) {
        if let Some(ends) = self.dialled_for {
            self.held.forget(ends, |known| matches!(known.state, State::Dialling));
        }
        self.held.queue.judge(self.id, self.verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_what_a_packet_can_say() {
        for (failure, verdict) in [
            (Failure::Dial(errno::ECONNREFUSED), Verdict::Marked(RESET)),
            (Failure::Socks5(5), Verdict::Marked(RESET)),
            (Failure::NameNotFound, Verdict::Marked(HOST)),
            (Failure::Unauthorized, Verdict::Marked(PROHIBITED)),
            (Failure::TimedOut, Verdict::Drop),
            // The destination has said nothing.
            (Failure::UpstreamClosed, Verdict::Marked(NO_ROUTE)),
            (Failure::UpstreamUnreachable("down".to_owned()), Verdict::Marked(NO_ROUTE)),
        ] {
            assert_eq!(refusal(&failure), verdict, "{failure:?}");
        }
    }

    #[test]
    fn the_rules_know_the_marks() {
        let rules = include_str!("../../../docs/redirect-hold.nft");
        for (mark, answer) in [
            (RESET, "tcp reset"),
            (NO_ROUTE, "icmpx no-route"),
            (HOST, "icmpx host-unreachable"),
            (PROHIBITED, "icmpx admin-prohibited"),
        ] {
            assert!(rules.contains(&format!("meta mark {mark:#x} reject with {answer}")), "{answer}");
        }
    }
}
