//! Chains: which path a connection takes, and which one when that has failed.
//!
//! # Layout
//!
//! - [`by_session`]: paths that end in a relay, or go through one. [`datagrams`]: how a chain carries datagrams, and
//!   streams for them. [`listening`]: listeners at its end. [`distance`]: the round trips of hops; [`tried`]: what a dial has learned of them.
//!   [`apart`]: whom hops keep apart.

pub(crate) mod apart;
mod by_session;
pub(crate) mod datagrams;
mod distance;
pub(crate) mod listening;
mod tried;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use underpass_core::config::route::Asked;
use underpass_core::config::{self, Kind};
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::{Isolation, Upstream};

use super::hop::{Client, Hop};
use super::path::{self, Progress};
use super::relay::sessions::Sessions;

use super::warm::Pool;
use super::{Far, flights};
use crate::facts::FarOptions;
pub(crate) use tried::Tried;

/// A first hop that is nearer than this gains nothing from connections kept warm, and its connections
/// can as well be handed off.
const NEAR: Duration = Duration::from_millis(2);
/// A path that is not the last resort gets at least this long.
const LEAST: Duration = Duration::from_millis(500);
/// How often a chain of many hops is tried anew for one connection.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// A chain.
pub(crate) struct Chain {
    kind: Kind,
    hops: Vec<Arc<Hop>>,
    length: usize,
    turn: AtomicUsize,
    pool: Option<Arc<Pool>>,
    sessions: Arc<Sessions>,
    /// The process that wanted to connect to a first hop last, or 0.
    dialled_by: AtomicI32,
}

/// One attempt at a connection.
#[derive(Clone, Copy)]
pub(super) struct Dial<'a> {
    path: &'a Path,
    hops: &'a [Arc<Hop>],
    destination: &'a Destination,
    options: &'a FarOptions,
    client: &'a Client,
    patience: Duration,
    progress: &'a Progress,
}

/// The hops of a path, by their places in the chain.
pub(crate) type Path = Vec<usize>;

impl Chain {
    pub(crate) fn new(chain: &config::Chain, warm: bool) -> Result<Self, String> {
        let hops: Vec<_> = chain
            .hops
            .iter()
            .map(|upstream| {
                Hop::new(upstream.clone()).map(Arc::new).map_err(|why| format!("{upstream}: {why}"))
            })
            .collect::<Result<_, _>>()?;
        let odd = |(place, hop): (usize, &Arc<Hop>)| match hop.upstream {
            Upstream::Local => hops.len() > 1,
            // One after the other they would be two ssh's over one connection; ssh has ProxyJump for that.
            Upstream::Ssh(_) => {
                let in_a_row = matches!(chain.kind, Kind::Strict | Kind::Dynamic) && place > 0;
                in_a_row && matches!(hops[place - 1].upstream, Upstream::Ssh(_))
            }
            _ => false,
        };
        if hops.is_empty() {
            return Err("a chain needs at least one hop".to_owned());
        }
        if let Some((place, hop)) = hops.iter().enumerate().find(|&found| odd(found)) {
            return Err(format!(
                "hop {}, {}: local: has to be a chain of its own; for ssh after ssh, use ProxyJump in ssh's configuration",
                place + 1,
                hop.upstream
            ));
        }
        let length = chain.length.map_or(1, usize::from).min(hops.len());
        Ok(Self {
            kind: chain.kind,
            hops,
            length,
            turn: AtomicUsize::new(0),
            pool: warm.then(Arc::default),
            sessions: Arc::default(),
            dialled_by: AtomicI32::new(0),
        })
    }

    /// Whether somebody wants to connect to a hop at which a path begins.
    pub(crate) fn begins_at(&self, asked: &Asked<'_>) -> bool {
        config::begins_at(self.kind, self.hops.iter().map(|hop| &hop.upstream), asked)
    }

    /// Notes a process that wants to connect to a first hop.
    pub(crate) fn is_dialled_by(&self, pid: i32) {
        self.dialled_by.store(pid, Ordering::Relaxed);
    }

    /// The last such process.
    pub(crate) fn dialled_by(&self) -> Option<i32> {
        Some(self.dialled_by.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    /// How a path is made of its hops.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Its hops, for whoever shows or checks them.
    pub(crate) fn hops(&self) -> &[Arc<Hop>] {
        &self.hops
    }

    /// How many connections are kept ready.
    pub(crate) fn warm(&self) -> usize {
        self.pool.as_ref().map_or(0, |pool| pool.count())
    }

    /// How many sessions with relays there are.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// Whether connections leave from this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.hops.iter().all(|hop| hop.upstream == Upstream::Local)
    }

    /// How many hops a path has where it is drawn, or may be chosen.
    pub(super) fn length(&self) -> usize {
        match self.kind {
            Kind::Random | Kind::RoundRobin => self.length,
            _ => 1,
        }
    }

    /// Whether a path goes through every hop that is alive.
    pub(super) fn takes_all_hops(&self) -> bool {
        matches!(self.kind, Kind::Strict | Kind::Dynamic)
    }

    /// A failure in the name of one hop of a path.
    pub(super) fn named(&self, path: &Path, hop: usize, failure: Failure) -> Failure {
        match &self.hops[path[hop]].upstream {
            Upstream::Local => failure,
            upstream => {
                let (of, name) = (path.len(), upstream.to_string());
                Failure::At { hop: hop + 1, of, name, failure: Box::new(failure) }
            }
        }
    }

    /// The path for a connection, or for the next attempt after hops have failed: then `None` if there
    /// is no other.
    pub(super) fn path(&self, failed: &[usize]) -> Option<Path> {
        if self.kind == Kind::Strict {
            return failed.is_empty().then(|| (0..self.hops.len()).collect());
        }
        let left: Vec<usize> = (0..self.hops.len()).filter(|place| !failed.contains(place)).collect();
        let up: Vec<usize> = left.iter().copied().filter(|&place| !self.hops[place].is_down()).collect();
        let wanted = self.length();
        // Where too few are known to be well, those that were not may be again.
        let mut from = if up.len() >= wanted { up } else { left };
        if from.len() < wanted {
            return None;
        }
        match self.kind {
            Kind::Strict | Kind::Dynamic => {}
            Kind::Failover => from.truncate(1),
            Kind::Nearest => {
                from.sort_by_key(|&place| self.hops[place].health().round_trip.unwrap_or(Duration::MAX));
                from.truncate(1);
            }
            Kind::Random => {
                fastrand::shuffle(&mut from);
                from.truncate(self.length);
            }
            Kind::RoundRobin => {
                let turn = self.turn.fetch_add(self.length, Ordering::Relaxed) % self.hops.len();
                let at = from.iter().position(|&place| place >= turn).unwrap_or(0);
                from.rotate_left(at);
                from.truncate(self.length);
            }
        }
        Some(from)
    }

    /// Whether a connection that a hop has failed can be made without it.
    pub(crate) fn has_other_paths(&self) -> bool {
        self.kind != Kind::Strict && self.hops.len() > self.length
    }

    /// How long an attempt may take: all that is left, or half of it where another path could be tried.
    pub(crate) fn patience(&self, failed: usize, left: Duration) -> Duration {
        let is_last = self.kind == Kind::Strict || self.hops.len().saturating_sub(failed) <= self.length();
        if is_last { left } else { (left / 2).max(LEAST).min(left) }
    }

    pub(crate) fn along(&self, path: &Path) -> Vec<Arc<Hop>> {
        path.iter().map(|&place| Arc::clone(&self.hops[place])).collect()
    }

    /// The path for one connection, or for its next attempt. Whoever does not use it hands it on to [`Self::dial`]: a hop
    /// that has its turn is not passed over.
    pub(crate) async fn draw(&self, tried: &Tried) -> Option<Path> {
        self.measure().await;
        self.path(tried.failed())
    }

    /// Whether the program's own socket can be driven along a path: of plain proxies only, and near, where that is asked
    /// for.
    pub(crate) fn can_be_driven(hops: &[Arc<Hop>], near: bool) -> bool {
        let is_near = |hop: &Arc<Hop>| hop.health().round_trip.is_none_or(|round_trip| round_trip < NEAR);
        hops.iter().all(|hop| hop.is_plain()) && (!near || hops.first().is_some_and(is_near))
    }

    /// A connection has been made along the path.
    pub(crate) fn has_served(&self, path: &Path) {
        path.iter().for_each(|&place| self.hops[place].has_served());
        flights::consider(&self.hops[path[0]]);
    }

    /// Charges a failure to a hop: returns it, in the hop's name, where another path may do better.
    ///
    /// # Errors
    ///
    /// The failure, where it is about the destination or this machine.
    pub(crate) fn charge(
        &self,
        failure: Failure,
        path: &Path,
        progress: &Progress,
        tried: &mut Tried,
    ) -> Result<Failure, Failure> {
        let (at, failure) = self.accuse(failure, path, progress);
        let Some(at) = at else { return Err(failure) };
        self.hops[path[at]].has_failed(&failure);
        for cleared in tried.fails(path[at], &path[..=progress.hop()]) {
            self.hops[cleared].has_served();
        }
        tracing::debug!(%failure, "another path is looked for");
        Ok(failure)
    }

    /// Which hop of the path a failure speaks against, from 0, or none if it is about the destination or this machine;
    /// and the failure in its name.
    pub(super) fn accuse(
        &self,
        failure: Failure,
        path: &Path,
        progress: &Progress,
    ) -> (Option<usize>, Failure) {
        if let Failure::Socket(_) = failure {
            return (None, failure);
        }
        let at = progress.hop();
        let of = path.len();
        // A relay has too much to do for now (`relay/refusal.rs`): no fault of its own, nor of what it was asked for.
        if self.hops[path[at]].is_relay() && matches!(failure, Failure::Http { status: 429 | 503, .. }) {
            return (None, self.named(path, at, failure));
        }
        let (accused, failure) = match (is_answer(&failure, progress), at + 1 < of) {
            (false, _) => (Some(at), failure),
            // What a hop says of the next one is not what the destination says.
            (true, true) => (Some(at + 1), Failure::UpstreamUnreachable(failure.to_string())),
            // A proxy that closes instead of answering is at fault itself.
            (true, false) if failure == Failure::UpstreamClosed => (Some(at), failure),
            (true, false) => (None, failure),
        };
        (accused, self.named(path, accused.unwrap_or(of - 1), failure))
    }

    /// Dials `destination` by the path that was drawn for it, if one was, and by others where hops fail, until
    /// `deadline` has passed.
    pub(crate) async fn dial(
        &self,
        mut drawn: Option<Path>,
        destination: &Destination,
        options: &FarOptions,
        client: &Client,
        deadline: Duration,
    ) -> Result<Far, Failure> {
        let start = Instant::now();
        let mut tried = Tried::default();
        if drawn.is_none() {
            drawn = self.draw(&tried).await;
        }
        let mut last = None;
        let client = &*self.bound_for(client, destination);
        for _ in 0..MAX_ATTEMPTS {
            let left = deadline.saturating_sub(start.elapsed());
            let next = drawn.take().or_else(|| self.path(tried.failed()));
            let Some(path) = next.filter(|_| !left.is_zero()) else { break };
            let patience = self.patience(tried.failed().len(), left);
            let hops = self.along(&path);
            let progress = Progress::default();
            let dial = Dial {
                path: &path,
                hops: &hops,
                destination,
                options,
                client,
                patience,
                progress: &progress,
            };
            let attempt = path::answering(|| self.attempt(&dial));
            let failure = match tokio::time::timeout(patience, attempt).await {
                Ok(Ok(far)) => {
                    self.has_served(&path);
                    return Ok(far);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::TimedOut,
            };
            last = Some(self.charge(failure, &path, &progress, &mut tried)?);
        }
        Err(last.unwrap_or(Failure::TimedOut))
    }

    async fn attempt(&self, dial: &Dial<'_>) -> Result<Far, Failure> {
        if let Some(far) = self.by_session(dial).await? {
            return Ok(far);
        }
        let Dial { path, hops, destination, options, client, progress, .. } = *dial;
        let Some(pool) = self.pool.as_ref().filter(|_| is_worth_warming(hops)) else {
            return path::dial(hops, destination, options, client, progress).await;
        };
        if let Some(warm) = pool.take(path) {
            warm.stream.apply(options);
            match path::ask(hops, warm, destination, progress).await {
                // The proxy has closed it while it was idle: as if it had never been.
                Err(Failure::UpstreamClosed) => tracing::debug!("a warm connection was closed"),
                ended => {
                    Pool::refill(pool, path, hops);
                    return ended;
                }
            }
        }
        let far = path::dial(hops, destination, options, client, progress).await;
        if far.is_ok() {
            Pool::refill(pool, path, hops);
        }
        far
    }
}

/// Connections are kept ready where that saves a round trip that is felt, and where they are the same for
/// everybody.
fn is_worth_warming(hops: &[Arc<Hop>]) -> bool {
    let is_far =
        || hops.first().and_then(|hop| hop.health().round_trip).is_some_and(|round_trip| round_trip >= NEAR);
    let ends_in_ssh = matches!(hops.last().map(|hop| &hop.upstream), Some(Upstream::Ssh(_)));
    hops.iter().all(|hop| hop.isolation() == Isolation::No) && !ends_in_ssh && (hops.len() > 1 || is_far())
}

/// Whether a hop was asked for what comes after it, and the failure is about that.
fn is_answer(failure: &Failure, progress: &Progress) -> bool {
    match failure {
        Failure::Socks5(_) | Failure::Socks4(91) | Failure::Socks4Destination => true,
        Failure::Dial(_) | Failure::NameNotFound => true,
        Failure::Http { status, .. } => !matches!(status, 401 | 407),
        Failure::NotListening { .. } => true,
        // What it cannot even be asked for.
        Failure::Request(_) => true,
        Failure::TimedOut | Failure::UpstreamClosed => progress.has_asked(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
