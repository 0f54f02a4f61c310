//! What one agent owns, and its life from the first check of its directory to the last file removed.
//!
//! [`place`] is that directory, [`budget`] the descriptors that there may be, [`life`] what happens once it serves.

mod budget;
mod life;
mod place;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustix::fs::Mode;
use rustix::process::DumpableBehavior;
use underpass_core::session_env::{OUTSIDE, VARIABLE};

use crate::attempts::Attempts;
use crate::carried::Carried;
use crate::course::Courses;
use crate::datagram::Datagrams;
use crate::expose::Exposures;
use crate::flow::Flows;
use crate::front::Front;
use crate::front::configuration::Fixed;
use crate::hold::Holds;
use crate::hosts::Hosts;
use crate::lifetime::Lifetime;
use crate::names::Names;
use crate::room::{Room, Taken};
use crate::service::Service;
use crate::service::elder::Elder;
use crate::service::inherited::{Inherited, Knowledge};
use crate::service::notify::Manager;
use crate::service::signals::Signals;
use crate::session::Sessions;
use crate::shortage::Spares;
use crate::sight::endpoints::Endpoints;
use crate::sight::failures::Failures;
use crate::socket::network_of;
use crate::splice::Splicer;
use crate::{dns, sys};
use budget::Budget;
use life::Life;
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
    pub(crate) room: Room,
    /// Held for each connection that has not said yet what it wants.
    pub(crate) unheard: Arc<()>,
    pub(crate) spares: Spares,
    pub(crate) manager: Manager,
    /// What of a front door's file a reload does not change.
    pub(crate) fixed: OnceLock<Fixed>,
    /// Whose place we have taken.
    pub(crate) elder: OnceLock<Elder>,
    /// A successor opens the sessions now.
    pub(crate) has_given: AtomicBool,
    /// Held while the file of sessions is written anew.
    pub(crate) writing: Arc<tokio::sync::Mutex<()>>,
    /// The network namespace that the agent serves.
    pub(crate) network: Option<u64>,
    pub(crate) born: Instant,
}

impl Agent {
    /// In seconds.
    pub(crate) fn age(&self) -> u32 {
        self.born.elapsed().as_secs().try_into().unwrap_or(u32::MAX)
    }

    /// Serves the metrics of the sessions that there are.
    fn measure(self: &Arc<Self>) {
        for plan in self.sessions.plans() {
            if let Err(reason) = self.metrics.open(self, plan.config.metrics.as_ref()) {
                tracing::warn!(reason, "metrics are not served");
            }
        }
    }

    /// Room for one connection that is to be made. None is begun while descriptors are short.
    pub(crate) fn take_room(&self) -> Option<Taken> {
        self.room.take().filter(|_| self.spares.are_whole())
    }

    /// Connections that are being made or relayed, associations of the front door, and who has yet to say what it wants.
    fn open(&self) -> usize {
        self.room.connections() + Arc::strong_count(&self.unheard) - 1
    }
}

/// Serves until nobody is left, and the front door for ever; `ready` is called once programs can connect. A
/// private directory is removed at the end.
pub(crate) fn run(
    directory: &Path,
    private: bool,
    front: Option<Front>,
    mut service: Service,
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
    let own = service.inherited.as_mut().map(|inherited| &mut inherited.own);
    let budget = budget::divide_descriptors()?;
    let place = Place::take(directory, uid, own)?;
    sys::keep_freed_memory();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build()?;
    // Until we serve the directory is a predecessor's, and from some time on a successor's.
    let mut is_ours = service.inherited.is_none();
    let ended = runtime.block_on(serve(place, uid, budget, front, service, ready, &mut is_ours));
    if private && is_ours {
        let _ = fs::remove_dir_all(directory);
    }
    ended
}

async fn serve(
    place: Place,
    uid: u32,
    budget: Budget,
    mut front: Option<Front>,
    service: Service,
    ready: impl FnOnce() -> io::Result<()>,
    is_ours: &mut bool,
) -> io::Result<()> {
    let Service { manager, drain: limit, stays, mut inherited } = service;
    let directory = place.directory().to_owned();
    let holds = match &mut inherited {
        Some(inherited) => Holds::inherited(&mut inherited.own)?,
        None => Holds::default(),
    };
    let can_hold = match holds.self_test().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "sockets cannot be held here: connect() blocks, also for non-blocking sockets");
            false
        }
    };
    // From here on nobody else writes in the directory.
    let mut knowledge = inherited.as_ref().map(Inherited::prepared).transpose()?;
    if let Some(knowledge) = &mut knowledge {
        holds.inherit(&mut knowledge.own)?;
    }
    let mut own = inherited.as_mut().map(|inherited| &mut inherited.own);
    let sessions = Sessions::open(&directory)?;
    let data = place.data(&sessions.socket, uid, own.as_deref_mut())?;
    let agent = Arc::new(Agent {
        uid,
        sessions,
        names: Names::open(&directory)?,
        hosts: Hosts::new("/etc/hosts", "/etc/nsswitch.conf"),
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
        room: Room::new(budget.connections),
        unheard: Arc::default(),
        spares: Spares::new()?,
        manager,
        fixed: OnceLock::new(),
        elder: OnceLock::new(),
        has_given: AtomicBool::new(false),
        writing: Arc::default(),
        network: network_of(&data),
        born: Instant::now(),
    });
    let _stays = stays.then(|| Lifetime::begin(&agent));
    let control = place.listen_for_launchers(own)?;
    let signals = Signals::new()?;
    agent.measure();
    if let Some(front) = &mut front {
        front.begin(&agent)?;
    }
    ready()?;
    if let (Some(inherited), Some(knowledge)) = (inherited, knowledge) {
        let Knowledge { sockets, processes, watched, peers, .. } = knowledge;
        agent.lifetime.inherit(processes);
        watched.into_iter().for_each(|pid| Lifetime::stay_with(&agent, pid, None));
        peers.into_iter().for_each(|(cookie, peer)| agent.carried.inherit(cookie, peer));
        let _ = agent.elder.set(Elder::new(inherited.serving()?, sockets));
        *is_ours = true;
        front.iter().for_each(Front::keep);
    }
    tracing::info!(directory = %directory.display(), "ready");
    agent.manager.ready("serving");
    Life { agent, place, front, data, control, signals, limit }.live(is_ours).await
}
