//! Answers what is carried, what is not, and how the hops fare: told piece by piece, so that very many connections
//! neither need memory nor make others wait.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use underpass_core::config::Kind;
use underpass_core::control::{ConnectionStatus, ControlReply, HopStatus, Mechanism, UnhookedStatus};
use underpass_core::destination::{Destination, canonical};

use crate::agent::Agent;
use crate::course::Course;
use crate::flow::Flow;
use crate::names::Meaning;
use crate::plan::Plan;
use crate::processes::{numbered, started, unhooked};
use crate::sock_diag::{self, Info};
use crate::upstream::hop::Hop;
use crate::{client, sys};

/// A chain that no connection goes through now is in use for this long after the last one.
const LATELY: Duration = Duration::from_secs(600);
/// Relayed connections that are looked at in one go.
const PIECE: usize = 256;
/// Process times are in ticks of this many a second on Linux (proc_pid_stat(5), `_SC_CLK_TCK`).
const TICKS: u64 = 100;

/// Chains that connections go through, by configuration and name.
type InUse = HashSet<(u32, Box<str>)>;

/// Who asks does not listen any more.
struct Gone;

/// Tells all, for a thread that may wait. What goes wrong on the way ends it with an error for a person.
pub(crate) fn tell(agent: &Agent, tell: &mpsc::Sender<ControlReply>) -> Result<(), String> {
    let status = Status { agent, tell, in_use: InUse::new(), plans: BTreeMap::new() };
    status.tell()
}

struct Status<'a> {
    agent: &'a Agent,
    tell: &'a mpsc::Sender<ControlReply>,
    in_use: InUse,
    plans: BTreeMap<u32, Arc<Plan>>,
}

impl Status<'_> {
    fn tell(mut self) -> Result<(), String> {
        let mut last = 0;
        loop {
            let piece = self.agent.flows.after(last, PIECE);
            let Some((number, _)) = piece.last() else { break };
            last = *number;
            for (number, flow) in piece {
                if self.relayed(number, &flow).is_err() {
                    return Ok(());
                }
            }
        }
        sock_diag::tcp_infos(|infos| {
            let mut told = infos.iter().map(|info| self.handed_off(info));
            told.all(|told| told.is_ok())
        })
        .map_err(|error| format!("the kernel's list of sockets cannot be read: {error}"))?;
        for plan in self.agent.sessions.plans() {
            self.plans.insert(plan.number, plan);
        }
        let plans = std::mem::take(&mut self.plans);
        let _ = plans
            .values()
            .try_for_each(|plan| self.hops(plan))
            .and_then(|()| self.failures())
            .and_then(|()| self.listeners())
            .and_then(|()| self.unhooked());
        self.agent.carried.sweep();
        Ok(())
    }

    fn relayed(&mut self, id: u64, flow: &Flow) -> Result<(), Gone> {
        let trip = &flow.trip;
        let at = flow.start.saturating_duration_since(self.agent.born).as_secs();
        let program = trip.program.as_deref().map(str::to_owned).or_else(|| program(trip.pid, at));
        let status = ConnectionStatus {
            id,
            program,
            pid: trip.pid,
            destination: trip.destination.to_string(),
            route: None,
            chain: None,
            configuration: 0,
            mechanism: Mechanism::Relayed,
            age_seconds: flow.start.elapsed().as_secs(),
            bytes_up: flow.up(),
            bytes_down: flow.down(),
        };
        self.connection(status, trip.course.as_deref())
    }

    fn handed_off(&mut self, info: &Info) -> Result<(), Gone> {
        // A socket that no process has any more is on its way out.
        let Some((peer, to)) = self.agent.carried.handed_off(info.cookie).filter(|_| info.owned) else {
            return Ok(());
        };
        let destination = match self.agent.names.meaning(peer.ip()) {
            Meaning::Name(host) => Destination::Name { host, port: peer.port() },
            Meaning::Unknown | Meaning::Real => Destination::Address(canonical(peer)),
        };
        let since = |count: u64, before: u32, end: bool| {
            count.saturating_sub(u64::from(before)).saturating_sub(u64::from(end))
        };
        let status = ConnectionStatus {
            id: info.cookie,
            program: program(to.pid, to.at.into()),
            pid: to.pid,
            destination: destination.to_string(),
            route: None,
            chain: None,
            configuration: 0,
            mechanism: Mechanism::HandedOff,
            age_seconds: self.agent.age().saturating_sub(to.at).into(),
            bytes_up: since(info.acknowledged, to.sent, info.state == sys::FIN_WAIT2),
            bytes_down: since(info.received, to.received, info.state == sys::CLOSE_WAIT),
        };
        self.connection(status, self.agent.courses.get(to.course).as_deref())
    }

    fn connection(&mut self, mut status: ConnectionStatus, course: Option<&Course>) -> Result<(), Gone> {
        if let Some(course) = course {
            status.configuration = course.configuration;
            status.route = course.route;
            status.chain = course.chain.as_deref().map(str::to_owned);
            if let Some(chain) = &course.chain
                && self.in_use.insert((course.configuration, chain.clone()))
                && let Some(plan) = course.plan.upgrade()
            {
                self.plans.insert(plan.number, plan);
            }
        }
        self.send(ControlReply::Connection(Box::new(status)))
    }

    fn hops(&self, plan: &Plan) -> Result<(), Gone> {
        for (name, chain) in plan.chains() {
            let hops = chain.hops();
            let tried = |hop: &Arc<Hop>| hop.health().tried.is_some_and(|at| at.elapsed() < LATELY);
            if !hops.iter().any(tried) && !self.in_use.contains(&(plan.number, name.into())) {
                continue;
            }
            for (at, hop) in hops.iter().enumerate() {
                let health = hop.health();
                let left = |until: Instant| until.checked_duration_since(Instant::now());
                let micros = |time: Duration| time.as_micros().try_into().unwrap_or(u64::MAX);
                self.send(ControlReply::Hop(Box::new(HopStatus {
                    chain: name.to_owned(),
                    kind: chain.kind(),
                    configuration: plan.number,
                    hop: at + 1,
                    of: hops.len(),
                    url: hop.upstream.to_string(),
                    passed_over_seconds: health
                        .passed_over_until
                        .filter(|_| chain.kind() != Kind::Strict)
                        .and_then(left)
                        .map(|left| left.as_millis().div_ceil(1000) as u64),
                    tried_seconds_ago: health.tried.map(|at| at.elapsed().as_secs()),
                    round_trip_microseconds: health.round_trip.map(micros),
                    failures: health.failures,
                    last_failure: hop.fault().map(|failure| failure.to_string()),
                    dialled_by: chain.dialled_by().filter(|_| at == 0),
                })))?;
            }
        }
        Ok(())
    }

    fn failures(&self) -> Result<(), Gone> {
        let mut recent = self.agent.failures.recent().into_iter();
        recent.try_for_each(|failure| self.send(ControlReply::Failed(Box::new(failure))))
    }

    fn listeners(&self) -> Result<(), Gone> {
        let mut told = self.agent.exposures.status().into_iter();
        told.try_for_each(|it| self.send(ControlReply::Listener(Box::new(it))))
    }

    fn unhooked(&self) -> Result<(), Gone> {
        unhooked(&self.agent.sessions.socket).into_iter().try_for_each(|it| {
            self.send(ControlReply::Unhooked(Box::new(UnhookedStatus { program: it.program, pid: it.pid })))
        })
    }

    fn send(&self, reply: ControlReply) -> Result<(), Gone> {
        self.tell.blocking_send(reply).map_err(|_| Gone)
    }
}

/// The file that a process runs which made a connection in second `at` of the agent's life. A process that
/// is younger has the number of one that has ended.
fn program(pid: i32, at: u64) -> Option<String> {
    let own = started(Path::new("/proc/self"));
    // The second has begun at most so much before.
    let is_it = started(&numbered(pid)?) <= own + (at + 2) * TICKS;
    client::program_of(pid).filter(|_| is_it)
}
