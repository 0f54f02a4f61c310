//! Which processes live that are of our sessions, as /proc has it.

mod unhooked;

pub(crate) use unhooked::{unhooked, write_down};

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use underpass_core::processes as numbers;
use underpass_core::session_env::{SessionEnv, VARIABLE};
use underpass_core::wire::Token;

/// No line of ancestors is longer.
const ANCESTORS: usize = 64;

/// What a process has to do with the agent whose data socket it is.
enum Tie {
    None,
    /// It may ask, and does not show which session it is of.
    Unknown,
    Session(Token),
}

/// Whether a process lives that may still ask at `socket`. `seen` are those that have asked.
pub(crate) fn any_program(socket: &Path, seen: &HashSet<i32>) -> bool {
    ties(socket, seen).is_none_or(|mut ties| ties.any(|tie| !matches!(tie, Tie::None)))
}

/// The sessions of which processes live; `None` where that cannot be known.
pub(crate) fn sessions(socket: &Path, seen: &HashSet<i32>) -> Option<HashSet<Token>> {
    let mut sessions = HashSet::new();
    for tie in ties(socket, seen)? {
        match tie {
            Tie::None => {}
            Tie::Unknown => return None,
            Tie::Session(token) => drop(sessions.insert(token)),
        }
    }
    Some(sessions)
}

/// Whether we are the last process of this user in our network namespace. The processes of others have no
/// business in our directory; nor has the first one of a sandbox that has `ended` and waits for us as for all in it.
pub(crate) fn is_last_here(ended: bool) -> bool {
    let network = |process: &Path| fs::read_link(process.join("ns/net")).ok();
    let Some((others, here)) = others().zip(network(Path::new("/proc/self"))) else { return false };
    others.filter(|(pid, _)| !(ended && *pid == 1)).all(|(_, process)| match network(&process) {
        Some(network) => network != here,
        None => !is_ours(&process),
    })
}

fn ties<'a>(socket: &'a Path, seen: &'a HashSet<i32>) -> Option<impl Iterator<Item = Tie> + 'a> {
    let here = fs::read_link("/proc/self/ns/net").ok();
    Some(others()?.map(move |(pid, process)| tie(&process, seen.contains(&pid), socket, here.as_deref())))
}

/// Every process that we can see but our own.
fn others() -> Option<impl Iterator<Item = (i32, PathBuf)>> {
    let own = numbers::own_number()?;
    let of = |entry: fs::DirEntry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()));
    let all = fs::read_dir("/proc").ok()?.flatten().filter_map(of);
    Some(all.filter(move |(pid, _)| u32::try_from(*pid) != Ok(own)))
}

/// A process that carries our library belongs to the session that its environment names; where that
/// cannot be read any more (programs overwrite it), it counts if it lives in our network namespace.
fn tie(process: &Path, known: bool, socket: &Path, here: Option<&Path>) -> Tie {
    // A process of another user cannot be ours unless we are root, and then this can be read.
    let Ok(maps) = fs::read(process.join("maps")) else {
        return if known || is_younger(process) { Tie::Unknown } else { Tie::None };
    };
    if !contains(&maps, b"libunderpass") {
        return Tie::None;
    }
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    match session_of(&environment) {
        Some(value) if !value.ends_with(socket.as_os_str().as_bytes()) => Tie::None,
        Some(value) => SessionEnv::parse(value).map_or(Tie::Unknown, |session| Tie::Session(session.token)),
        None if here.is_none() || fs::read_link(process.join("ns/net")).ok().as_deref() == here => {
            Tie::Unknown
        }
        None => Tie::None,
    }
}

/// The value of the session's variable in an environment as /proc/PID/environ has it.
fn session_of(environment: &[u8]) -> Option<&[u8]> {
    let mut entries = environment.split(|&b| b == 0);
    entries.find_map(|entry| entry.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="))
}

/// Whether a process that does not let itself be read is of our own user and was not started before us: it
/// may be a daemon of a session that has not asked anything yet.
fn is_younger(process: &Path) -> bool {
    is_ours(process) && started(process) >= started(Path::new("/proc/self"))
}

fn is_ours(process: &Path) -> bool {
    // The folder's owner is root while the process is not dumpable (proc(5)), so its status is asked.
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let uid = rustix::process::geteuid().as_raw().to_string();
    let owner = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    owner.is_some_and(|line| line.split_whitespace().next() == Some(&uid))
}

/// When a process was started, in clock ticks since boot; 0 if there is none.
pub(crate) fn started(process: &Path) -> u64 {
    parent_and_start(process).map_or(0, |(_, start)| start)
}

/// The process below the first of our process namespace that `pid` comes from, as far as that is one which was made around
/// something: in the machine's own there is none.
pub(crate) fn below_first(pid: i32) -> Option<i32> {
    numbers::namespace()?;
    let parent = |pid: &i32| parent_and_start(&numbered(*pid)?).map(|(parent, _)| parent);
    let mut line = std::iter::successors(Some(pid), parent).take(ANCESTORS);
    line.find(|pid| parent(pid) == Some(1))
}

/// A process in /proc by the number that we know it by; `None` if they are others' there.
pub(crate) fn numbered(pid: i32) -> Option<PathBuf> {
    static NUMBERED_AS_HERE: OnceLock<bool> = OnceLock::new();
    let listed = NUMBERED_AS_HERE.get_or_init(numbers::are_numbered_as_here);
    listed.then(|| Path::new("/proc").join(pid.to_string()))
}

/// A process's parent, and when it was started, in clock ticks since boot (proc(5), /proc/PID/stat, fields 4 and 22).
fn parent_and_start(process: &Path) -> Option<(i32, u64)> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The second field, the name, is in parentheses and may hold anything.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    Some((rest.nth(1)?.parse().ok()?, rest.nth(17)?.parse().ok()?))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
