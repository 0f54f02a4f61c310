//! The agent's executable as a client of an agent that runs: `status` and `reload`.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use underpass_core::control::{
    ConnectionStatus, ControlReply, ControlRequest, FailureStatus, HopStatus, ListenerStatus, SOCKET,
    UnhookedStatus,
};
use underpass_core::failure::reason;
use underpass_core::processes;
use underpass_core::runtime_dir::{Surroundings, shared_directories};

use crate::diagram::{Diagram, Language};
use crate::patience::Waiting;
use crate::sys;
use crate::table::Table;

/// How long an agent may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said while it says nothing.
pub(crate) const ASKING: &str = "waiting for the agent";

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Nobody listens.
    NoAgent,
    /// The agent says no; or what has become of asking it.
    Failed(String),
    /// Whoever reads our output has gone.
    NotRead,
    /// Our output cannot be written.
    NotWritten(io::Error),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent => f.write_str("no agent is running"),
            Self::Failed(why) => f.write_str(why),
            Self::NotRead => f.write_str("standard output is closed"),
            Self::NotWritten(error) => write!(f, "standard output: {}", reason(error)),
        }
    }
}

/// As what a status is printed.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Table,
    Json,
    Diagram(Language),
}

/// Prints what is carried.
pub(crate) fn status(directory: Option<&Path>, shape: Shape) -> Result<(), Unanswered> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut shown = match shape {
        Shape::Table => Shown::Table(Table::default()),
        Shape::Json => Shown::Json(Json::default()),
        Shape::Diagram(language) => Shown::Diagram(Diagram::default(), language),
    };
    let mut waiting = Some(Waiting::new(ASKING));
    converse(directory, &ControlRequest::Status, |reply| {
        waiting = None;
        shown.take(reply, &mut out)
    })?;
    shown.end(&mut out).and_then(|()| out.flush()).map_err(printing)
}

/// Has the files read again, and prints what has come of it.
pub(crate) fn reload(directory: Option<&Path>) -> Result<(), Unanswered> {
    let mut failed = Vec::new();
    let mut waiting = Some(Waiting::new(ASKING));
    converse(directory, &ControlRequest::Reload, |reply| match reply {
        ControlReply::Reloaded { changed, unchanged, fixed, failures } => {
            let total = changed + unchanged + fixed;
            let plural = if total == 1 { "" } else { "s" };
            failed = failures;
            waiting = None;
            writeln!(
                io::stdout(),
                "{changed} of {total} session{plural} changed, {unchanged} unchanged, {fixed} without a file"
            )?;
            Ok(false)
        }
        _ => Ok(true),
    })?;
    if failed.is_empty() { Ok(()) } else { Err(Unanswered::Failed(failed.join("\nunderpass-agent: "))) }
}

/// All that an agent tells, at once.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) connections: Vec<ConnectionStatus>,
    pub(crate) hops: Vec<HopStatus>,
    /// The latest first.
    pub(crate) failures: Vec<FailureStatus>,
    pub(crate) listeners: Vec<ListenerStatus>,
    pub(crate) unhooked: Vec<UnhookedStatus>,
}

/// Asks once.
pub(crate) fn snapshot(directory: Option<&Path>) -> Result<Snapshot, Unanswered> {
    let mut snapshot = Snapshot::default();
    converse(directory, &ControlRequest::Status, |reply| {
        match reply {
            ControlReply::Connection(it) => snapshot.connections.push(*it),
            ControlReply::Hop(it) => snapshot.hops.push(*it),
            ControlReply::Failed(it) => snapshot.failures.push(*it),
            ControlReply::Listener(it) => snapshot.listeners.push(*it),
            ControlReply::Unhooked(it) => snapshot.unhooked.push(*it),
            ControlReply::Done => return Ok(false),
            _ => {}
        }
        Ok(true)
    })?;
    Ok(snapshot)
}

enum Shown {
    Table(Table),
    Json(Json),
    Diagram(Diagram, Language),
}

impl Shown {
    /// Whether more is to come.
    fn take(&mut self, reply: ControlReply, out: &mut impl Write) -> io::Result<bool> {
        match (&mut *self, reply) {
            (_, ControlReply::Done) => return Ok(false),
            (Self::Table(table), ControlReply::Connection(connection)) => table.connection(&connection),
            (Self::Table(table), ControlReply::Hop(hop)) => table.hop(&hop),
            (Self::Table(table), ControlReply::Failed(failure)) => table.failure(&failure),
            (Self::Table(table), ControlReply::Listener(listener)) => table.listener(&listener),
            (Self::Table(table), ControlReply::Unhooked(program)) => table.unhooked(&program),
            (Self::Json(json), ControlReply::Connection(connection)) => {
                json.item(out, "connections", &serde_json::to_string(&connection)?)?;
            }
            (Self::Json(json), ControlReply::Hop(hop)) => {
                json.item(out, "hops", &serde_json::to_string(&hop)?)?;
            }
            (Self::Json(json), ControlReply::Failed(failure)) => {
                json.item(out, "failures", &serde_json::to_string(&failure)?)?;
            }
            (Self::Json(json), ControlReply::Listener(listener)) => {
                json.item(out, "listeners", &serde_json::to_string(&listener)?)?;
            }
            (Self::Json(json), ControlReply::Unhooked(program)) => {
                json.item(out, "unhooked", &serde_json::to_string(&program)?)?;
            }
            (Self::Diagram(diagram, _), ControlReply::Connection(connection)) => {
                diagram.connection(&connection)
            }
            (Self::Diagram(diagram, _), ControlReply::Hop(hop)) => diagram.hop(*hop),
            _ => {}
        }
        Ok(true)
    }

    fn end(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Table(table) => table.print(out),
            Self::Json(json) => json.end(out),
            Self::Diagram(diagram, language) => diagram.print(language, out),
        }
    }
}

/// `{"connections": […], "hops": […], "failures": […], "listeners": […], "unhooked": […]}`, written as it comes.
#[derive(Default)]
struct Json {
    /// The lists that have been begun.
    begun: Vec<&'static str>,
    any: bool,
}

const LISTS: [&str; 5] = ["connections", "hops", "failures", "listeners", "unhooked"];

impl Json {
    fn item(&mut self, out: &mut impl Write, list: &'static str, item: &str) -> io::Result<()> {
        self.begin(out, list)?;
        let comma = if std::mem::replace(&mut self.any, true) { "," } else { "" };
        write!(out, "{comma}\n{item}")
    }

    /// Begins the lists up to this one.
    fn begin(&mut self, out: &mut impl Write, list: &'static str) -> io::Result<()> {
        while self.begun.last() != Some(&list) {
            let Some(next) = LISTS.get(self.begun.len()) else { return Ok(()) };
            let before = if self.begun.is_empty() { "{" } else { "],\n" };
            write!(out, "{before}\"{next}\": [")?;
            self.begun.push(next);
            self.any = false;
        }
        Ok(())
    }

    fn end(mut self, out: &mut impl Write) -> io::Result<()> {
        self.begin(out, LISTS[LISTS.len() - 1])?;
        writeln!(out, "]}}")
    }
}

/// Sends the request, and gives each line of the answer to `take` as long as that wants more.
fn converse(
    directory: Option<&Path>,
    request: &ControlRequest,
    mut take: impl FnMut(ControlReply) -> io::Result<bool>,
) -> Result<(), Unanswered> {
    let places = match directory {
        Some(directory) => vec![directory.to_owned()],
        None => shared_directories(&surroundings()),
    };
    let stream = places.iter().find_map(|place| connect(place).transpose());
    let stream = stream.ok_or(Unanswered::NoAgent)??;
    let failed = |error: io::Error| {
        Unanswered::Failed(match error.kind() {
            io::ErrorKind::WouldBlock => format!("the agent does not answer within {} s", PATIENCE.as_secs()),
            _ => format!("the agent cannot be asked: {error}"),
        })
    };
    (&stream).write_all(request.to_line().as_bytes()).map_err(failed)?;
    for line in BufReader::new(&stream).lines() {
        match ControlReply::from_line(&line.map_err(failed)?) {
            Ok(ControlReply::Error { message }) => return Err(Unanswered::Failed(message)),
            Ok(reply) => {
                if !take(reply).map_err(printing)? {
                    return Ok(());
                }
            }
            Err(_) => {
                let why = "the agent answered with what this version does not know";
                return Err(Unanswered::Failed(why.to_owned()));
            }
        }
    }
    Err(Unanswered::Failed("the agent has gone while it answered".to_owned()))
}

fn printing(error: io::Error) -> Unanswered {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Unanswered::NotRead,
        _ => Unanswered::NotWritten(error),
    }
}

/// The agent of a directory, if there is one; one of another user is asked nothing.
fn connect(directory: &Path) -> Result<Option<UnixStream>, Unanswered> {
    let failed = |why: &dyn fmt::Display| Unanswered::Failed(format!("{}: {why}", directory.display()));
    let stream = match UnixStream::connect(directory.join(SOCKET)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(&error)),
    };
    let owner = sys::asker(&stream).map_err(|error| failed(&error))?.uid;
    if owner != rustix::process::geteuid().as_raw() {
        return Err(failed(&format_args!("its agent belongs to user {owner}")));
    }
    let patience = Some(PATIENCE);
    stream
        .set_read_timeout(patience)
        .and_then(|()| stream.set_write_timeout(patience))
        .map_err(|error| failed(&error))?;
    Ok(Some(stream))
}

/// As the launcher has them.
pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        uid: rustix::process::geteuid().as_raw(),
        network: fs::metadata("/proc/self/ns/net").ok().map(|namespace| namespace.ino()),
        processes: processes::namespace(),
        system: PathBuf::from("/run"),
        runtime: env::var_os("XDG_RUNTIME_DIR"),
        home: env::var_os("HOME"),
        temporary: env::var_os("TMPDIR"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_whole_however_much_there_is() {
        for (items, text) in [
            (&[][..], r#"{"connections":[],"failures":[],"hops":[],"listeners":[],"unhooked":[]}"#),
            (
                &[("connections", "1"), ("connections", "2")],
                r#"{"connections":[1,2],"failures":[],"hops":[],"listeners":[],"unhooked":[]}"#,
            ),
            (
                &[("hops", "1"), ("hops", "2")],
                r#"{"connections":[],"failures":[],"hops":[1,2],"listeners":[],"unhooked":[]}"#,
            ),
            (
                &[("connections", "1"), ("hops", "2")],
                r#"{"connections":[1],"failures":[],"hops":[2],"listeners":[],"unhooked":[]}"#,
            ),
            (
                &[("connections", "1"), ("unhooked", "2")],
                r#"{"connections":[1],"failures":[],"hops":[],"listeners":[],"unhooked":[2]}"#,
            ),
        ] {
            let (mut json, mut out) = (Json::default(), Vec::new());
            for (list, item) in items {
                json.item(&mut out, list, item).unwrap();
            }
            json.end(&mut out).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value.to_string(), text);
        }
    }
}
