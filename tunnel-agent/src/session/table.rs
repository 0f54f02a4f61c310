//! The table of sessions, and what they share.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use underpass_core::config::Config;
use underpass_core::control::Source;
use underpass_core::wire::Token;

use super::CROWD;
use crate::plan::Plan;
use crate::upstream::hop::Hop;

/// When there are as many times more, the oldest goes of which nothing is known to live.
const MOST_CROWDS: usize = 4;

/// Plans that are remembered though no session may use them any more.
const MAX_SHARED: usize = 1024;

/// A session.
pub(super) struct Session {
    pub(super) plan: Arc<Plan>,
    pub(super) source: Option<Arc<Source>>,
    /// Shared with a [`Keeper`] for each launch that is known to live.
    kept: Arc<()>,
    /// An agent before this one has opened it, and knew for whom.
    pub(super) inherited: bool,
    /// Somebody has asked for it or by it since it was looked at.
    pub(super) used: bool,
}

impl Session {
    /// How many launches are known to live.
    pub(super) fn keepers(&self) -> usize {
        Arc::strong_count(&self.kept) - 1
    }

    pub(super) fn keeper(&self) -> Keeper {
        Keeper { _kept: Arc::clone(&self.kept) }
    }

    pub(super) fn lives(&self) -> bool {
        self.keepers() > 0 || self.used
    }
}

/// Held as long as who has opened a session lives: what became its program, a shell, or a door.
pub(crate) struct Keeper {
    _kept: Arc<()>,
}

/// All that a plan is made of.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Content {
    /// The configuration, as JSON.
    json: String,
    /// The files that it names: keys and certificates, which may be renewed.
    files: Vec<Option<Edition>>,
}

/// What changes with the content of a file: device, inode, size, and when it was changed, in seconds and nanoseconds.
type Edition = (u64, u64, u64, i64, i64);

impl Content {
    pub(super) fn of(json: String, config: &Config) -> Self {
        let edition = |path: PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
        };
        let hops = config.chains.values().flat_map(|chain| &chain.hops);
        Self { json, files: hops.flat_map(Hop::files).map(edition).collect() }
    }
}

#[derive(Default)]
pub(super) struct Table {
    pub(super) sessions: HashMap<Token, Session>,
    pub(super) order: VecDeque<Token>,
    /// The newest session of what can be asked for.
    asked: HashMap<Asked, Token>,
    /// Launches with the same configuration share one plan: its health and its warm connections.
    shared: HashMap<Content, Arc<Plan>>,
    /// Those with the same source share it, too.
    pub(super) sources: Vec<Arc<Source>>,
    /// How many were left when they were thinned out last.
    pub(super) left: usize,
}

/// A plan by its number, and a source by its place in memory, which is nothing else's while a session has it.
type Asked = (u32, Option<usize>);

fn asked(plan: &Plan, source: Option<&Arc<Source>>) -> Asked {
    (plan.number, source.map(|source| Arc::as_ptr(source).addr()))
}

/// What is written down of a session.
pub(super) type Written = (Token, Arc<Plan>, Option<Arc<Source>>);

impl Table {
    /// With its first keeper, who is not known where an agent before this one has opened it.
    pub(super) fn insert(
        &mut self,
        token: Token,
        plan: Arc<Plan>,
        source: Option<Arc<Source>>,
        inherited: bool,
    ) -> Keeper {
        self.asked.insert(asked(&plan, source.as_ref()), token);
        let session = Session { plan, source, kept: Arc::default(), inherited, used: false };
        let keeper = session.keeper();
        self.sessions.insert(token, session);
        self.order.push_back(token);
        if self.order.len() > MOST_CROWDS * CROWD {
            let lives = |token| self.sessions.get(token).is_some_and(Session::lives);
            let ended = self.order.iter().position(|token| !lives(token)).unwrap_or(0);
            if let Some(oldest) = self.order.remove(ended) {
                self.sessions.remove(&oldest);
                self.asked.retain(|_, token| *token != oldest);
            }
        }
        keeper
    }

    /// The session that a launch shares which asks for this.
    pub(super) fn shared(&mut self, plan: &Plan, source: Option<&Arc<Source>>) -> Option<(Token, Keeper)> {
        let token = *self.asked.get(&asked(plan, source))?;
        let session = self.sessions.get_mut(&token)?;
        session.used = true;
        Some((token, session.keeper()))
    }

    /// After sessions have gone, or have got other plans.
    pub(super) fn index(&mut self) {
        let asked = |token: &Token| {
            let session = self.sessions.get(token)?;
            Some((asked(&session.plan, session.source.as_ref()), *token))
        };
        self.asked = self.order.iter().filter_map(asked).collect();
    }

    pub(super) fn in_order(&self) -> Vec<Written> {
        let written = |token: &Token| {
            let Session { plan, source, .. } = self.sessions.get(token)?;
            Some((*token, Arc::clone(plan), source.clone()))
        };
        self.order.iter().filter_map(written).collect()
    }

    pub(super) fn source(&mut self, source: Source) -> Arc<Source> {
        if let Some(known) = self.sources.iter().find(|known| ***known == source) {
            return Arc::clone(known);
        }
        if self.sources.len() >= MAX_SHARED {
            self.sources.retain(|source| Arc::strong_count(source) > 1);
        }
        self.sources.push(Arc::new(source));
        Arc::clone(&self.sources[self.sources.len() - 1])
    }

    pub(super) fn plan(&mut self, json: &str, config: Config) -> Result<Arc<Plan>, String> {
        let content = Content::of(json.to_owned(), &config);
        match self.known(&content) {
            Some(plan) => Ok(plan),
            None => Ok(self.share(content, Plan::new(config)?)),
        }
    }

    /// The plan for this, if there is one.
    pub(super) fn known(&self, content: &Content) -> Option<Arc<Plan>> {
        self.shared.get(content).map(Arc::clone)
    }

    /// From now on it is the plan for this.
    pub(super) fn share(&mut self, content: Content, plan: Plan) -> Arc<Plan> {
        if self.shared.len() >= MAX_SHARED {
            self.shared.retain(|_, plan| Arc::strong_count(plan) > 1);
        }
        let plan = Arc::new(plan);
        self.shared.insert(content, Arc::clone(&plan));
        plan
    }
}
