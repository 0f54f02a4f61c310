//! Sessions: which plan the programs of a launch follow. Launches that ask for the same share one, since nobody knows how long
//! its token is kept somewhere: so what an agent remembers grows with what is asked for, not with the launches.
//!
//! They are kept in a file beside the socket, readable by the user alone, so that a restarted agent
//! serves programs that were started before it. The socket's name is in it too.

mod table;

pub(crate) use table::Keeper;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use underpass_core::config::Config;
use underpass_core::config::dns::Mode;
use underpass_core::config::inherited::ForeignSockets;
use underpass_core::config::pool::Pool;
use underpass_core::control::Source;
use underpass_core::session_env::SessionEnv;
use underpass_core::wire::Token;

use crate::lines::Lines;
use crate::plan::Plan;
use table::{Content, Table, Written};

/// When there are as many, those of which nothing lives go, the oldest first, until there are half as many: each launch may
/// ask for something new, and without that the file of an agent that runs for years would have no end.
const CROWD: usize = 65_536;

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

/// What a launch gets.
pub(crate) struct Opened {
    /// Of the programs' session variable.
    pub(crate) value: String,
    pub(crate) keeper: Keeper,
}

/// A session as it is kept, behind its variable's value.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    config: Cow<'a, Config>,
    source: Option<Cow<'a, Source>>,
}

/// What has become of reading files again, in launches. Those that have ended are not counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reloaded {
    pub(crate) changed: usize,
    pub(crate) unchanged: usize,
    /// Without a file.
    pub(crate) fixed: usize,
    pub(crate) failures: Vec<String>,
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
                let source = source.map(|source| table.source(source.into_owned()));
                drop(table.insert(session.token, plan, source, true));
            }
        }
        Ok(Self { socket, file, table: Mutex::new(table), lines: Mutex::new(lines), crowd: CROWD })
    }

    /// Opens a session, or gives the one that is there of the same configuration and source; or says why not.
    pub(crate) fn open_session(&self, config: Config, source: Option<Source>) -> Result<Opened, String> {
        let json = serde_json::to_string(&config).map_err(|error| unkept(&error))?;
        let plan = self.table.lock().plan(&json, config)?;
        self.give(&plan, source).map_err(|error| unkept(&error))
    }

    fn give(&self, plan: &Arc<Plan>, source: Option<Source>) -> io::Result<Opened> {
        let lines = self.lines.lock();
        let mut table = self.table.lock();
        let source = source.map(|source| table.source(source));
        let shared = table.shared(plan, source.as_ref());
        drop(table);
        if let Some((token, keeper)) = shared {
            return Ok(Opened { value: self.value(token, plan)?, keeper });
        }
        let token = Token(random()?);
        let value = self.value(token, plan)?;
        lines.append(&line(&value, plan, source.as_deref())?)?;
        let keeper = self.table.lock().insert(token, Arc::clone(plan), source, false);
        Ok(Opened { value, keeper })
    }

    /// The value of the session variable.
    fn value(&self, token: Token, plan: &Plan) -> io::Result<String> {
        use std::os::unix::ffi::OsStrExt;
        let (loopback, socket) = (plan.config.routes_loopback(), self.socket.as_os_str().as_bytes());
        let asks_resolver = plan.config.dns.mode == Mode::Local;
        let refuses_foreign = plan.config.foreign_sockets == ForeignSockets::Refuse;
        let (auto, supervised, listens) = (false, false, !plan.config.exposes.is_empty());
        let session =
            SessionEnv { token, loopback, asks_resolver, refuses_foreign, listens, auto, supervised, socket };
        String::from_utf8(session.to_value()).map_err(io::Error::other)
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
    /// whether a pool can be one of this agent's. Not for a thread that others wait for, nor twice at a time.
    pub(crate) fn reload(
        &self,
        has_programs: impl Fn(&Token) -> bool,
        admit: impl Fn(&Pool) -> Result<(), String>,
    ) -> Reloaded {
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
        // Only now: a launch waits for these, and files may be far away.
        let mut lines = self.lines.lock();
        let mut table = self.table.lock();
        let mut has_changed = false;
        for (token, session) in &mut table.sessions {
            let known = session.keepers() + usize::from(session.inherited);
            let counted = known.max(usize::from(has_programs(token)));
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
        table.index();
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
        let content = Content::of(json, &config);
        if let Some(known) = self.table.lock().known(&content) {
            return Ok(known);
        }
        // Reads certificates.
        let plan = Plan::new(config).map_err(|why| format!("{name}: {why}"))?;
        Ok(self.table.lock().share(content, plan))
    }

    /// Writes the file of sessions anew.
    fn keep(&self, lines: &mut Lines, sessions: &[Written]) -> io::Result<()> {
        let name = self.socket.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut all = vec![name];
        for (token, plan, source) in sessions {
            all.push(line(&self.value(*token, plan)?, plan, source.as_deref())?);
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
            let lives = session.lives();
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
        table.index();
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

fn unkept(error: &dyn std::fmt::Display) -> String {
    format!("the session cannot be kept: {error}")
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
