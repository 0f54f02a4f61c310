//! An attempt on the program's own socket: driven along the chain while the program waits inside
//! `connect()`, and held where that cannot be.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::Failure;
use underpass_core::wire::{Reply, Request};

use super::{Attempt, asked, trip, way};
use crate::carried::HandedOff;
use crate::panics::{FAULT, caught};
use crate::plan::Way;
use crate::room::Taken;
use crate::upstream::chain::{Chain, MAX_ATTEMPTS, Path, Tried};
use crate::upstream::happy_eyeballs;
use crate::upstream::hop::Hop;
use crate::upstream::path::{self, Progress};
use crate::upstream::stream::{Bare, Spoken};
use crate::upstream::trouble::NO_PORT;
use crate::{frames, log, sight, sys};

/// How an attempt to hand off has ended, if not in failure.
enum Driven {
    HandedOff,
    /// Nothing was done: the socket, its family, or the chain is not for it.
    CannotBe,
}

impl Attempt {
    pub(super) async fn run(mut self, destination: Destination, room: Taken) {
        let mut converted = false;
        let mut drawn = None;
        let ended = {
            let driven = caught(self.try_handoff(&destination, &mut drawn));
            tokio::select! {
                biased;
                ended = driven => ended.unwrap_or(Err(FAULT)),
                said = frames::wait(&self.connection) => match said {
                    Some(frame) if matches!(Request::decode(frame.frame()), Ok((_, Request::Convert))) => {
                        sys::dissolve(&self.socket);
                        converted = true;
                        Ok(Driven::CannotBe)
                    }
                    // The program has gone, or its thread; another of its threads may still wait.
                    _ => {
                        sys::dissolve(&self.socket);
                        Err(Failure::Socket("the program has gone"))
                    }
                },
            }
        };
        // Empty after a hand-off: it has told everybody.
        let waiting = self.agent.attempts.end_handoff(self.facts.cookie);
        let said = match ended {
            Ok(Driven::HandedOff) => return,
            Ok(Driven::CannotBe) => {
                // The outcome is not waited for any more.
                self.supervised &= !converted;
                self.drawn = drawn;
                let held = Reply::Held { blocking: self.facts.blocking, port: self.agent.holds.port() };
                self.hold_or_refuse(destination, room).map_or_else(|errno| Reply::Refuse { errno }, |()| held)
            }
            Err(failure) => {
                sys::dissolve(&self.socket);
                self.refuse(&failure);
                Reply::Refuse { errno: failure.errno() }
            }
        };
        waiting.iter().for_each(|connection| frames::reply(connection, &said));
    }

    /// Drives the program's own socket along the chain, by one path after another. `drawn` is the path that it uses, or
    /// that whoever holds the socket is to use.
    async fn try_handoff(
        &self,
        destination: &Destination,
        drawn: &mut Option<Path>,
    ) -> Result<Driven, Failure> {
        // A socket that cannot be held blocks in connect(), as the only other way.
        let may = self.facts.allows_handoff(&self.socket, self.watched)
            || !self.agent.can_hold && !self.facts.confined;
        let Way::Chain(chain) = way(&self.plan, &self.client, destination) else {
            return Ok(Driven::CannotBe);
        };
        let wanted = self.plan.hands_off();
        if !may || (wanted == Some(false) && self.agent.can_hold) {
            return Ok(Driven::CannotBe);
        }
        let near = wanted.is_none() && self.agent.can_hold;
        let client = chain.bound_for(&self.client, destination);
        let (mut tried, mut last) = (Tried::default(), None);
        for _ in 0..MAX_ATTEMPTS {
            *drawn = chain.draw(&tried).await;
            let Some(path) = drawn.as_ref() else { break };
            let hops = chain.along(path);
            if !Chain::can_be_driven(&hops, near) {
                return Ok(Driven::CannotBe);
            }
            let progress = Progress::default();
            let driven = async {
                let Some(hop) = hops.first() else { return Ok(Driven::CannotBe) };
                let addresses = path::first_addresses(hop, &self.facts).await?;
                if self.facts.confined && !self.may_enter(&hops, &addresses) {
                    return Ok(Driven::CannotBe);
                }
                let Some(bare) = self.reach(hop, &addresses).await? else { return Ok(Driven::CannotBe) };
                let let_go = |spoken| self.let_go(destination, spoken);
                path::drive(&hops, bare, destination, &client, &progress, let_go).await?;
                chain.has_served(path);
                Ok(Driven::HandedOff)
            };
            // A held socket ends by itself when the kernel gives it up; so does this one.
            let left =
                self.deadline().min(sys::syn_patience(&self.socket).saturating_sub(self.since.elapsed()));
            let patience = chain.patience(tried.failed().len(), left);
            let failure = match tokio::time::timeout(patience, driven).await.unwrap_or(Err(Failure::TimedOut))
            {
                Err(failure) => failure,
                driven => return driven,
            };
            sys::dissolve(&self.socket);
            // The answer to the challenge is known now, and is given on a connection of the agent's, which also leaves from a
            // port of its own.
            let can_be_held = self.agent.can_hold && !self.facts.device;
            if failure == Failure::Challenged || (failure == NO_PORT && can_be_held) {
                return Ok(Driven::CannotBe);
            }
            let failure = chain.charge(failure, path, &progress, &mut tried)?;
            if !chain.has_other_paths() || self.deadline().is_zero() {
                return Err(failure);
            }
            // Other paths are looked for while the socket is held.
            if self.agent.can_hold {
                *drawn = None;
                return Ok(Driven::CannotBe);
            }
            last = Some(failure);
        }
        last.map_or(Ok(Driven::CannotBe), Err)
    }

    /// Reaches the first hop. One socket cannot try several addresses at once: where the first of them does not answer,
    /// the agent's own are to try them (`None`), or, where the program's cannot be held, this one tries them in turn.
    async fn reach<'a>(
        &'a self,
        hop: &Hop,
        addresses: &[SocketAddr],
    ) -> Result<Option<Bare<BorrowedFd<'a>>>, Failure> {
        let Some((last, others)) = addresses.split_last() else { return Ok(None) };
        let is_alone = self.agent.attempts.is_alone();
        for address in others {
            let reached = path::reach_first(hop, &self.socket, *address, is_alone);
            match tokio::time::timeout(happy_eyeballs::DELAY, reached).await {
                Ok(Ok(bare)) => return Ok(Some(bare)),
                _ => sys::dissolve(&self.socket),
            }
            if self.agent.can_hold && !self.facts.device {
                return Ok(None);
            }
        }
        path::reach_first(hop, &self.socket, *last, is_alone).await.map(Some)
    }

    /// Whether a program whose socket cannot leave this machine may have it while it is driven: what it can do with it
    /// then, as a child that has it too, it can do with one of its own.
    fn may_enter(&self, hops: &[Arc<Hop>], addresses: &[SocketAddr]) -> bool {
        addresses.iter().all(|address| canonical(*address).ip().is_loopback())
            && !self.plan.config.routes_loopback()
            && hops.iter().all(|hop| hop.knows_nobody())
    }

    /// The socket is the program's again, and connected.
    fn let_go(&self, destination: &Destination, spoken: Spoken) {
        let to = HandedOff {
            pid: self.client.pid,
            at: self.agent.age(),
            course: self.agent.courses.number(&self.plan, &asked(&self.client, destination)),
            // The kernel counts the acknowledgement of our SYN as a byte.
            sent: spoken.sent.saturating_add(1),
            received: spoken.received,
        };
        self.agent.carried.hand_off(self.facts.cookie, self.address, to);
        sight::handed_off(&self.agent, to.course, self.since);
        let waiting = self.agent.attempts.end_handoff(self.facts.cookie);
        for connection in waiting.iter().chain([&self.connection]) {
            frames::reply(connection, &Reply::HandedOff);
        }
        if log::is_on() {
            log::handed_off(&trip(&self.agent, &self.plan, &self.client, destination.clone()));
        }
    }
}
