//! Sessions: which upstream the programs of a launch go through.
//!
//! They are kept in a file beside the socket, readable by the user alone, so that a restarted agent
//! serves programs that were started before it. The socket's name is in it too.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use underpass_core::session_env::SessionEnv;
use underpass_core::upstream::Upstream;
use underpass_core::wire::Token;

use crate::lines::Lines;

/// The oldest session goes when there are more. A launch needs one; nobody has that many programs.
const MAX_SESSIONS: usize = 65_536;

/// Upstreams that are remembered though no session may use them any more.
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
    upstreams: HashMap<Token, Arc<Upstream>>,
    order: VecDeque<Token>,
    /// Launches with the same upstream share one value.
    shared: HashMap<String, Arc<Upstream>>,
}

impl Table {
    fn insert(&mut self, token: Token, url: &str, upstream: Upstream) {
        let upstream = self.shared.entry(url.to_owned()).or_insert_with(|| Arc::new(upstream)).clone();
        self.upstreams.insert(token, upstream);
        self.order.push_back(token);
        if self.order.len() > MAX_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.upstreams.remove(&oldest);
            if self.shared.len() > MAX_SHARED {
                self.shared.retain(|_, upstream| Arc::strong_count(upstream) > 1);
            }
        }
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
            if let Some((value, url)) = line.split_once(' ')
                && let Some(session) = SessionEnv::parse(value.as_bytes())
                && let Ok(upstream) = url.parse()
            {
                table.insert(session.token, url, upstream);
            }
        }
        Ok(Self { socket, table: Mutex::new(table), lines })
    }

    /// Opens a session and gives the value of the programs' session variable.
    pub(crate) fn open_session(&self, url: &str, upstream: Upstream) -> io::Result<String> {
        use std::os::unix::ffi::OsStrExt;
        let token = Token(random()?);
        let value = SessionEnv { token, socket: self.socket.as_os_str().as_bytes() }.to_value();
        let value = String::from_utf8(value).map_err(io::Error::other)?;
        self.lines.append(&format!("{value} {url}"))?;
        self.table.lock().insert(token, url, upstream);
        Ok(value)
    }

    /// The upstream of a session.
    pub(crate) fn upstream(&self, token: &Token) -> Option<Arc<Upstream>> {
        self.table.lock().upstreams.get(token).cloned()
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
        let url = "socks5h://u:p@h:1";
        let value = first.open_session(url, url.parse().unwrap()).unwrap();
        let token = SessionEnv::parse(value.as_bytes()).unwrap().token;
        let second = Sessions::open(&directory).unwrap();
        assert_eq!(second.socket, first.socket);
        assert_eq!(second.upstream(&token).as_deref(), Some(&url.parse().unwrap()));
        assert_eq!(second.upstream(&Token([0; 16])), None);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
