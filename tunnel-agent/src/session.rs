//! Sessions: which plan the programs of a launch follow.
//!
//! They are kept in a file beside the socket, readable by the user alone, so that a restarted agent
//! serves programs that were started before it. The socket's name is in it too.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use underpass_core::config::Config;
use underpass_core::session_env::SessionEnv;
use underpass_core::wire::Token;

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
    table: Mutex<Table>,
    lines: Lines,
}

#[derive(Default)]
struct Table {
    plans: HashMap<Token, Arc<Plan>>,
    order: VecDeque<Token>,
    /// Launches with the same configuration, as JSON, share one plan: its health and its warm connections.
    shared: HashMap<String, Arc<Plan>>,
}

impl Table {
    fn insert(&mut self, token: Token, plan: Arc<Plan>) {
        self.plans.insert(token, plan);
        self.order.push_back(token);
        if self.order.len() > MAX_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.plans.remove(&oldest);
        }
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
        let (lines, found) = Lines::open(&directory.join("sessions"))?;
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
                && let Ok(config) = serde_json::from_str(json)
                && let Ok(plan) = table.plan(json, config)
            {
                table.insert(session.token, plan);
            }
        }
        Ok(Self { socket, table: Mutex::new(table), lines })
    }

    /// Opens a session and gives the value of the programs' session variable, or says why not.
    pub(crate) fn open_session(&self, config: Config) -> Result<String, String> {
        use std::os::unix::ffi::OsStrExt;
        let kept = |error: &dyn std::fmt::Display| format!("the session cannot be kept: {error}");
        let json = serde_json::to_string(&config).map_err(|error| kept(&error))?;
        let plan = self.table.lock().plan(&json, config)?;
        let token = Token(random().map_err(|error| kept(&error))?);
        let value = SessionEnv { token, socket: self.socket.as_os_str().as_bytes() }.to_value();
        let value = String::from_utf8(value).map_err(|error| kept(&error))?;
        self.lines.append(&format!("{value} {json}")).map_err(|error| kept(&error))?;
        self.table.lock().insert(token, plan);
        Ok(value)
    }

    /// The plan of a session.
    pub(crate) fn plan(&self, token: &Token) -> Option<Arc<Plan>> {
        self.table.lock().plans.get(token).cloned()
    }
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
        let value = first.open_session(config.clone()).unwrap();
        let token = SessionEnv::parse(value.as_bytes()).unwrap().token;
        let second = Sessions::open(&directory).unwrap();
        assert_eq!(second.socket, first.socket);
        assert_eq!(second.plan(&token).map(|plan| plan.config.clone()), Some(config));
        assert!(second.plan(&Token([0; 16])).is_none());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
