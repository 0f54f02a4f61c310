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

/// The oldest session goes when there are more. A launch needs one; nobody has that many programs.
const MAX_SESSIONS: usize = 65_536;

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
}

/// A session.
#[derive(Clone)]
struct Session {
    plan: Arc<Plan>,
    source: Option<Arc<Source>>,
    /// Who has opened it, and became its program or is its shell; if that is known.
    keeper: Option<Keeper>,
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
}

impl Table {
    fn insert(&mut self, token: Token, plan: Arc<Plan>, source: Option<Source>, keeper: Option<Keeper>) {
        let source = source.map(|source| self.source(source));
        self.sessions.insert(token, Session { plan, source, keeper });
        self.order.push_back(token);
        if self.order.len() > MAX_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
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
        Ok(Self { socket, file, table: Mutex::new(table), lines: Mutex::new(lines) })
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
        let sessions: Vec<_> = table
            .order
            .iter()
            .filter_map(|token| Some((*token, table.sessions.get(token)?.clone())))
            .collect();
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

    /// The plan of a session.
    pub(crate) fn plan(&self, token: &Token) -> Option<Arc<Plan>> {
        self.table.lock().sessions.get(token).map(|session| Arc::clone(&session.plan))
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
mod tests {
    use super::*;

    #[test]
    fn sessions_and_the_socket_outlive_the_agent() {
        let directory = std::env::temp_dir().join(format!("underpass-sessions-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let first = Sessions::open(&directory).unwrap();
        let config = Config::strict(vec!["socks5h://u:p@h:1".parse().unwrap()]);
        let value = first.open_session(config.clone(), None, None).unwrap();
        let token = SessionEnv::parse(value.as_bytes()).unwrap().token;
        let second = Sessions::open(&directory).unwrap();
        assert_eq!(second.socket, first.socket);
        assert_eq!(second.plan(&token).map(|plan| plan.config.clone()), Some(config));
        assert!(second.plan(&Token([0; 16])).is_none());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_reload_changes_the_sessions_of_a_file_and_keeps_them() {
        use underpass_core::config::format::Format;

        let directory = std::env::temp_dir().join(format!("underpass-reload-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("c.toml");
        let source = Source::file(&path, Format::Underpass);
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("proxy = 'socks5h://a:1'\n");
        let sessions = Sessions::open(&directory).unwrap();
        let token = |value: &str| SessionEnv::parse(value.as_bytes()).unwrap().token;
        let kept = |source: Option<&Source>, keeper| {
            let config = Config::strict(vec!["socks5h://a:1".parse().unwrap()]);
            token(&sessions.open_session(config, source.cloned(), keeper).unwrap())
        };
        let open = |source| kept(source, None);
        let tokens = [open(Some(&source)), open(Some(&source)), open(None)];
        let hops = |sessions: &Sessions| {
            tokens.map(|token| sessions.plan(&token).unwrap().config.chains["main"].hops[0].to_string())
        };
        let [same, bad] = [(0, 2), (0, 2)].map(|(changed, unchanged)| (changed, unchanged, 1));
        let counts = |it: &Reloaded| (it.changed, it.unchanged, it.fixed);
        assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), same);
        write("proxy = 'socks5h://b:2'\n");
        assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
        let new = ["socks5h://b:2", "socks5h://b:2", "socks5h://a:1"];
        assert_eq!(hops(&sessions), new);
        write("proxy = 'socks5h://c:3'\nproxi = 1\n");
        let failed = sessions.reload(|_| false, |_| Ok(()));
        assert_eq!((counts(&failed), failed.failures.len()), (bad, 1));
        assert!(failed.failures[0].contains("c.toml:2:1: "), "{failed:?}");
        assert_eq!(hops(&sessions), new);
        // One whose program has ended follows, uncounted; one that has another program counts.
        let (keeper, life) = Keeper::new();
        let ended = kept(Some(&source), Some(keeper));
        drop(life);
        write("proxy = 'socks5h://e:5'\n");
        assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
        assert_eq!(sessions.plan(&ended).unwrap().config.chains["main"].hops[0].to_string(), "socks5h://e:5");
        assert_eq!(counts(&sessions.reload(|token| *token == ended, |_| Ok(()))), (0, 3, 1));
        write("proxy = 'socks5h://b:2'\n");
        assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
        let later = open(Some(&source));
        let again = Sessions::open(&directory).unwrap();
        assert_eq!(hops(&again), new);
        assert!(again.plan(&later).is_some());
        write("proxy = 'socks5h://d:4'\n");
        assert_eq!(
            counts(&again.reload(|_| false, |_| Ok(()))),
            (4, 0, 1),
            "it is not known who has opened them"
        );
        std::fs::remove_dir_all(directory).unwrap();
    }
}
