//! What one agent owns, and its life from the first check of its directory to the last file removed.
//!
//! [`place`] is that directory, [`budget`] the descriptors that there may be.

mod budget;
mod place;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::Mode;
use rustix::process::DumpableBehavior;
use tokio::sync::Semaphore;
use underpass_core::session_env::{OUTSIDE, VARIABLE};

use crate::attempts::Attempts;
use crate::carried::Carried;
use crate::course::Courses;
use crate::datagram::Datagrams;
use crate::expose::Exposures;
use crate::flow::Flows;
use crate::front::Front;
use crate::hold::Holds;
use crate::hosts::Hosts;
use crate::lifetime::Lifetime;
use crate::names::Names;
use crate::service::Service;
use crate::service::drain::drain;
use crate::service::notify::Manager;
use crate::service::signals::{Order, Signals};
use crate::session::Sessions;
use crate::sight::endpoints::Endpoints;
use crate::sight::failures::Failures;
use crate::splice::Splicer;
use crate::{client, dns, facts, front, lifetime, processes, reload, sys};
use budget::Budget;
use place::Place;

/// One agent.
pub(crate) struct Agent {
    pub(crate) uid: u32,
    pub(crate) sessions: Sessions,
    pub(crate) names: Names,
    pub(crate) hosts: Hosts,
    pub(crate) resolver: dns::Resolver,
    pub(crate) holds: Holds,
    /// Whether this kernel or sandbox can hold and complete; otherwise every connect blocks.
    pub(crate) can_hold: bool,
    pub(crate) carried: Carried,
    pub(crate) datagrams: Datagrams,
    pub(crate) exposures: Exposures,
    pub(crate) courses: Courses,
    pub(crate) flows: Flows,
    pub(crate) failures: Failures,
    pub(crate) metrics: Endpoints,
    pub(crate) splicer: Splicer,
    pub(crate) lifetime: Lifetime,
    pub(crate) attempts: Attempts,
    pub(crate) room: Arc<Semaphore>,
    /// How much of it there is.
    pub(crate) rooms: usize,
    pub(crate) manager: Manager,
    /// The network namespace that the agent serves.
    pub(crate) network: Option<u64>,
    pub(crate) born: Instant,
}

impl Agent {
    /// In seconds.
    pub(crate) fn age(&self) -> u32 {
        self.born.elapsed().as_secs().try_into().unwrap_or(u32::MAX)
    }

    /// Connections that are being made or relayed, and associations of the front door.
    fn open(&self) -> usize {
        self.rooms.saturating_sub(self.room.available_permits())
    }
}

/// Serves until nobody is left, and the front door for ever; `ready` is called once programs can connect. A
/// private directory is removed at the end.
pub(crate) fn run(
    directory: &Path,
    private: bool,
    front: Option<Front>,
    service: Service,
    ready: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value != OUTSIDE) {
        return Err(io::Error::other(
            "it was started inside a session and would be carried itself; start it outside",
        ));
    }
    rustix::process::umask(Mode::from_bits_retain(0o077));
    // A program of the same user may neither trace us nor take our sockets, and a core file would hold passwords. What we
    // look at in others hangs on them.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let uid = rustix::process::geteuid().as_raw();
    let place = Place::take(directory, uid)?;
    sys::keep_freed_memory();
    let budget = budget::raise_descriptor_limit();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build()?;
    let served = runtime.block_on(serve(place, uid, budget, front, service, ready));
    if private {
        let _ = fs::remove_dir_all(directory);
    }
    served
}

async fn serve(
    mut place: Place,
    uid: u32,
    budget: Budget,
    front: Option<Front>,
    service: Service,
    ready: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let Service { manager, drain: limit, stays } = service;
    let directory = place.directory().to_owned();
    let holds = Holds::new();
    let can_hold = match holds.self_test().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "sockets cannot be held here: connect() blocks, also for non-blocking sockets");
            false
        }
    };
    let sessions = Sessions::open(&directory)?;
    let data = place::bind_data(&sessions.socket, uid)?;
    let agent = Arc::new(Agent {
        uid,
        sessions,
        names: Names::open(&directory)?,
        hosts: Hosts::new("/etc/hosts"),
        resolver: dns::Resolver::default(),
        holds,
        can_hold,
        carried: Carried::default(),
        datagrams: Datagrams::new(budget.datagrams),
        exposures: Exposures::default(),
        courses: Courses::default(),
        flows: Flows::default(),
        failures: Failures::default(),
        metrics: Endpoints::default(),
        splicer: Splicer::start(budget.pipes)?,
        lifetime: Lifetime::default(),
        attempts: Attempts::default(),
        room: Arc::new(Semaphore::new(budget.connections)),
        rooms: budget.connections,
        manager,
        network: facts::network_of(&data),
        born: Instant::now(),
    });
    let _stays = stays.then(|| Lifetime::begin(&agent));
    let control = place.bind_control()?;
    let mut signals = Signals::new()?;
    // Of sessions that were there before this agent.
    for plan in agent.sessions.plans() {
        if let Err(reason) = agent.metrics.open(&agent, plan.config.metrics.as_ref()) {
            tracing::warn!(reason, "metrics are not served");
        }
    }
    ready()?;
    tracing::info!(directory = %directory.display(), "ready");
    agent.manager.ready("serving");

    let control_path = place.control();
    let result = tokio::select! {
        ended = client::accept(&agent, data) => ended.map(|()| None),
        ended = crate::control::accept(&agent, control) => ended.map(|()| None),
        ended = front::serve(&agent, front) => ended.map(|()| None),
        () = lifetime::until_unused(&agent, &control_path) => Ok(None),
        ended = reload::on_hangup(&agent) => ended.map(|()| None),
        () = processes::write_down(&agent) => Ok(None),
        () = agent.manager.watch(async || agent.splicer.works().await) => Ok(None),
        order = signals.next() => Ok(Some(order)),
    };
    agent.manager.stopping();
    // Programs that are still there, after a signal, find the next agent at the same socket; its
    // sessions and names are kept for them.
    place.remove_sockets(&agent.sessions.socket);
    agent.metrics.close();
    if let (Ok(Some(Order::Drain)), Some(limit)) = (&result, limit) {
        // Another may serve here while what is open ends.
        place.let_go();
        drain(&agent.manager, Some(limit), &mut signals, || agent.open()).await;
    }
    place.leave(&agent);
    tracing::info!("ended");
    result.map(drop)
}
