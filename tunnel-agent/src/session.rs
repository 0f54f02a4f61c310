//! Sessions: which plan the programs of a launch follow.
//!
//! They are kept in a file beside the socket, readable by the user alone, so that a restarted agent
//! serves programs that were started before it. The socket's name is in it too.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use underpass_core::config::Config;
use underpass_core::config::inherited::ForeignSockets;
use underpass_core::config::pool::Pool;
use underpass_core::control::Source;
use underpass_core::session_env::SessionEnv;
use underpass_core::wire::Token;

use crate::lifetime::Keeper;
use crate::lines::Lines;
use crate::plan::Plan;

/// When there are as many, those of which nothing lives go, the oldest first, until there are half as many. A launch needs
/// one: without that the file of an agent that runs for years would have no end.
const CROWD: usize = 65_536;

/// The oldest goes when there are as many times more, whatever lives.
const MOST_CROWDS: usize = 4;

/// Plans that are remembered though no session may use them any more.
const MAX_SHARED: usize = 1024;

/// The sessions of one agent.
pub(crate) struct Sessions {
    /// The data socket: programs find it by the session variable, so its name outlives the agent.
    pub(crate) socket: PathBuf,
    /// Locked before the table.
    lines: Mutex<Lines>,
    file: PathBuf,
    table: Mutex<Table>,
    /// [`CROWD`].
    crowd: usize,
}

/// A session.
#[derive(Clone)]
struct Session {
    plan: Arc<Plan>,
    source: Option<Arc<Source>>,
    /// Who has opened it, and became its program or is its shell; if that is known.
    keeper: Option<Keeper>,
    /// Somebody has asked by it since it was looked at.
    used: bool,
}

/// A session as it is kept, behind its variable's value.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    config: Cow<'a, Config>,
    source: Option<Cow<'a, Source>>,
}

/// What has become of reading files again. Sessions that have ended are not counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// Sessions.
    pub(crate) changed: usize,
    pub(crate) unchanged: usize,
    /// Sessions without a file.
    pub(crate) fixed: usize,
    pub(crate) failures: Vec<String>,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<Token, Session>,
    order: VecDeque<Token>,
    /// Launches with the same configuration, as JSON, share one plan: its health and its warm connections.
    shared: HashMap<String, Arc<Plan>>,
    /// Those with the same source share it, too.
    sources: Vec<Arc<Source>>,
    /// How many were left when they were thinned out last.
    left: usize,
}

impl Table {
    fn insert(&mut self, token: Token, plan: Arc<Plan>, source: Option<Source>, keeper: Option<Keeper>) {
        let source = source.map(|source| self.source(source));
        self.sessions.insert(token, Session { plan, source, keeper, used: false });
        self.order.push_back(token);
        if self.order.len() > MOST_CROWDS * CROWD
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }

    fn in_order(&self) -> Vec<(Token, Session)> {
        let known = |token: &Token| Some((*token, self.sessions.get(token)?.clone()));
        self.order.iter().filter_map(known).collect()
    }

    fn source(&mut self, source: Source) -> Arc<Source> {
        if let Some(known) = self.sources.iter().find(|known| ***known == source) {
            return Arc::clone(known);
        }
        if self.sources.len() >= MAX_SHARED {
            self.sources.retain(|source| Arc::strong_count(source) > 1);
        }
        self.sources.push(Arc::new(source));
        Arc::clone(&self.sources[self.sources.len() - 1])
    }

    fn plan(&mut self, json: &str, config: Config) -> Result<Arc<Plan>, String> {
        if let Some(plan) = self.shared.get(json) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::new(config)?);
        if self.shared.len() >= MAX_SHARED {
            self.shared.retain(|_, plan| Arc::strong_count(plan) > 1);
        }
        self.shared.insert(json.to_owned(), Arc::clone(&plan));
        Ok(plan)
    }
}

impl Sessions {
    /// The sessions kept in `directory`, or none.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let file = directory.join("sessions");
        let (lines, found) = Lines::open(&file)?;
        let mut found = found.into_iter();
        let mut table = Table::default();
        let socket = match found.next() {
            Some(name) if is_socket_name(&name) => directory.join(name),
            Some(_) => return Err(io::Error::other("the file of sessions is damaged; remove it")),
            None => {
                // A name that another user, who may enter root's directory, cannot guess.
                let name = format!("{}.sock", hexadecimal(&random()?));
                lines.append(&name)?;
                directory.join(name)
            }
        };
        for line in found {
            if let Some((value, json)) = line.split_once(' ')
                && let Some(session) = SessionEnv::parse(value.as_bytes())
                && let Ok(Kept { config, source }) = serde_json::from_str(json)
                && let Ok(json) = serde_json::to_string(&config)
                && let Ok(plan) = table.plan(&json, config.into_owned())
            {
                table.insert(session.token, plan, source.map(Cow::into_owned), None);
            }
        }
        Ok(Self { socket, file, table: Mutex::new(table), lines: Mutex::new(lines), crowd: CROWD })
    }

    /// Opens a session and gives the value of the programs' session variable, or says why not.
    pub(crate) fn open_session(
        &self,
        config: Config,
        source: Option<Source>,
        keeper: Option<Keeper>,
    ) -> Result<String, String> {
        let kept = |error: &dyn std::fmt::Display| format!("the session cannot be kept: {error}");
        let json = serde_json::to_string(&config).map_err(|error| kept(&error))?;
        let plan = self.table.lock().plan(&json, config)?;
        let token = Token(random().map_err(|error| kept(&error))?);
        let value = self.value(token, &plan).map_err(|error| kept(&error))?;
        let line = line(&value, &plan, source.as_ref()).map_err(|error| kept(&error))?;
        let lines = self.lines.lock();
        lines.append(&line).map_err(|error| kept(&error))?;
        self.table.lock().insert(token, plan, source, keeper);
        Ok(value)
    }

    /// The value of the session variable.
    fn value(&self, token: Token, plan: &Plan) -> io::Result<String> {
        use std::os::unix::ffi::OsStrExt;
        let (loopback, socket) = (plan.config.routes_loopback(), self.socket.as_os_str().as_bytes());
        let refuses_foreign = plan.config.foreign_sockets == ForeignSockets::Refuse;
        let (auto, supervised, listens) = (false, false, !plan.config.exposes.is_empty());
        let value =
            SessionEnv { token, loopback, refuses_foreign, listens, auto, supervised, socket }.to_value();
        String::from_utf8(value).map_err(io::Error::other)
    }

    /// How many sessions are remembered.
    pub(crate) fn count(&self) -> usize {
        self.table.lock().sessions.len()
    }

    /// The plans that there are, once each.
    pub(crate) fn plans(&self) -> Vec<Arc<Plan>> {
        let table = self.table.lock();
        let plans = table.sessions.values().map(|session| (session.plan.number, &session.plan));
        plans.collect::<BTreeMap<_, _>>().into_values().cloned().collect()
    }

    /// Reads the files again that sessions have their configurations from. A session whose file cannot be used keeps
    /// what it has. `has_programs` says whether a session has any, besides the one that has opened it; `admit`,
    /// whether a pool can be one of this agent's. Not for a thread that others wait for.
    pub(crate) fn reload(
        &self,
        has_programs: impl Fn(&Token) -> bool,
        admit: impl Fn(&Pool) -> Result<(), String>,
    ) -> Reloaded {
        let mut lines = self.lines.lock();
        let mut reloaded = Reloaded::default();
        let mut plans = Vec::new();
        let sources = self.table.lock().sources.clone();
        for source in sources.into_iter().filter(|source| Arc::strong_count(source) > 2) {
            let read = self.read(&source).and_then(|plan| {
                let admitted = admit(&plan.config.pool);
                admitted.map(|()| plan).map_err(|why| format!("{}: {why}", source.path.display()))
            });
            match read {
                Ok(plan) => plans.push((source, plan)),
                Err(why) => reloaded.failures.push(why),
            }
        }
        let mut table = self.table.lock();
        let mut has_changed = false;
        for (token, session) in &mut table.sessions {
            let lives = session.keeper.as_ref().is_none_or(Keeper::lives) || has_programs(token);
            let counted = usize::from(lives);
            let Some(source) = &session.source else {
                reloaded.fixed += counted;
                continue;
            };
            let new = plans.iter().find(|(known, _)| Arc::ptr_eq(known, source));
            match new.filter(|(_, plan)| plan.number != session.plan.number) {
                Some((_, plan)) => {
                    session.plan = Arc::clone(plan);
                    has_changed = true;
                    reloaded.changed += counted;
                }
                None => reloaded.unchanged += counted,
            }
        }
        if !has_changed {
            return reloaded;
        }
        let sessions = table.in_order();
        // Programs go on while the file is written; launches wait.
        drop(table);
        if let Err(error) = self.keep(&mut lines, &sessions) {
            reloaded.failures.push(format!("{}: cannot be kept: {error}", self.file.display()));
        }
        reloaded
    }

    fn read(&self, source: &Source) -> Result<Arc<Plan>, String> {
        let config = source.read()?;
        let name = source.path.display();
        let json = serde_json::to_string(&config).map_err(|error| format!("{name}: {error}"))?;
        if let Some(known) = self.table.lock().shared.get(&json) {
            return Ok(Arc::clone(known));
        }
        // Reads certificates.
        let plan = Arc::new(Plan::new(config).map_err(|why| format!("{name}: {why}"))?);
        self.table.lock().shared.insert(json, Arc::clone(&plan));
        Ok(plan)
    }

    /// Writes the file of sessions anew.
    fn keep(&self, lines: &mut Lines, sessions: &[(Token, Session)]) -> io::Result<()> {
        let name = self.socket.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut all = vec![name];
        for (token, session) in sessions {
            all.push(line(&self.value(*token, &session.plan)?, &session.plan, session.source.as_deref())?);
        }
        lines.replace(&self.file, all.into_iter())
    }

    /// The plan of a session, by which somebody asks.
    pub(crate) fn plan(&self, token: &Token) -> Option<Arc<Plan>> {
        let mut table = self.table.lock();
        let session = table.sessions.get_mut(token)?;
        session.used = true;
        Some(Arc::clone(&session.plan))
    }

    /// Whether it is time to [thin them out](Self::thin_out).
    pub(crate) fn are_crowded(&self) -> bool {
        let table = self.table.lock();
        table.order.len() >= self.crowd.max(2 * table.left)
    }

    /// Forgets old sessions, also in the file, of which nothing lives: neither who has opened it nor, as `has_programs` says, any
    /// other process, and nobody has asked by it since the last time. Not for a thread that others wait for.
    pub(crate) fn thin_out(&self, has_programs: impl Fn(&Token) -> bool) -> io::Result<()> {
        let mut lines = self.lines.lock();
        let mut table = self.table.lock();
        let Table { sessions, order, left, .. } = &mut *table;
        let mut too_many = order.len().saturating_sub(self.crowd / 2);
        order.retain(|token| {
            let Some(session) = sessions.get_mut(token) else { return false };
            let lives = session.keeper.as_ref().is_some_and(Keeper::lives) || session.used;
            session.used = false;
            if too_many == 0 || lives || has_programs(token) {
                return true;
            }
            too_many -= 1;
            sessions.remove(token);
            false
        });
        *left = order.len();
        order.shrink_to(2 * *left);
        sessions.shrink_to(2 * *left);
        let kept = table.in_order();
        drop(table);
        self.keep(&mut lines, &kept)
    }
}

/// A session as a line of the file.
fn line(value: &str, plan: &Plan, source: Option<&Source>) -> io::Result<String> {
    let kept = Kept { config: Cow::Borrowed(&plan.config), source: source.map(Cow::Borrowed) };
    Ok(format!("{value} {}", serde_json::to_string(&kept)?))
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_socket_name(name: &str) -> bool {
    name.strip_suffix(".sock")
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
