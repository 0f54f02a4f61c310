//! Asking the agent for a session or a check, and starting one agent where there is none.

mod check;
mod owner;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags};
use underpass_core::control::{ControlReply, ControlRequest, MAX_LINE, SOCKET};
use underpass_core::session_env::{OUTSIDE, SessionEnv, VARIABLE};

use crate::messages::{Failure, Verbosity, Waiting, reason};

pub(crate) use check::{Checked, check};
use owner::owner;

/// An agent answers at once, or it is not well.
const DEADLINE: Duration = Duration::from_secs(5);
/// Nobody needs to be told before that something is waited for.
const SOON: Duration = Duration::from_secs(1);
/// What is said from then on.
const WAITING: &str = "waiting for the agent";
/// Longer than another launch may take to start the agent.
const LOCK_DEADLINE: Duration = Duration::from_secs(12);

pub(crate) const BINARY: &str = "underpass-agent";
const LOCK: &str = "agent.lock";

/// Where an agent is, or will be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The directory of its sockets.
    pub(crate) directory: &'a Path,
    /// The directory of our executable, where its executable is too.
    pub(crate) binaries: &'a Path,
    /// Whom it must belong to.
    pub(crate) uid: u32,
    /// The directory was made for this launch alone, and goes with its agent.
    pub(crate) private: bool,
    /// How much is said while it is waited for.
    pub(crate) verbosity: Verbosity,
}

/// Opens a session; returns the value of [`VARIABLE`], and what `meanwhile` gives, which runs while
/// the agent works.
pub(crate) fn open_session<T>(
    place: Place<'_>,
    request: &ControlRequest,
    meanwhile: impl FnOnce() -> Result<T, Failure>,
) -> Result<(String, T), Failure> {
    let asked = begin(place, request)?;
    let done = meanwhile()?;
    let answer = match asked {
        Some(stream) => finish(place, &stream)?,
        None => None,
    };
    match answer {
        Some(session) => Ok((session, done)),
        None => Ok((start_and_ask(place, request)?, done)),
    }
}

/// Where nobody answers: one launch starts an agent, the others wait for it.
fn start_and_ask(place: Place<'_>, request: &ControlRequest) -> Result<String, Failure> {
    let _lock = lock(place)?;
    // Another launch may have started it meanwhile.
    if let Some(session) = ask(place, request)? {
        return Ok(session);
    }
    start(place)?;
    ask(place, request)?.ok_or_else(|| failure(place, "has started and does not listen"))
}

/// One request, one reply. `None` where no agent listens, or where it was just leaving.
fn ask(place: Place<'_>, request: &ControlRequest) -> Result<Option<String>, Failure> {
    match begin(place, request)? {
        Some(stream) => finish(place, &stream),
        None => Ok(None),
    }
}

fn failure(place: Place<'_>, why: impl std::fmt::Display) -> Failure {
    Failure::setup(format_args!("the agent in {} {why}", place.directory.display()))
}

/// Sends the request. `None` where no agent listens, or where it was just leaving.
fn begin(place: Place<'_>, request: &ControlRequest) -> Result<Option<UnixStream>, Failure> {
    let failed = |error| cannot_ask(place, &error);
    let Some(stream) = connect(&place.directory.join(SOCKET)).map_err(failed)? else { return Ok(None) };
    let owner = owner(&stream).map_err(failed)?;
    if owner != place.uid {
        return Err(failure(place, format_args!("belongs to user {owner}, so it gets nothing of ours")));
    }
    match send(&stream, request) {
        Ok(()) => Ok(Some(stream)),
        Err(error) if has_left(&error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Takes the reply.
fn finish(place: Place<'_>, stream: &UnixStream) -> Result<Option<String>, Failure> {
    let mut line = String::new();
    let _waiting = waiting(place, stream);
    match BufReader::new(stream.take(MAX_LINE as u64)).read_line(&mut line) {
        Ok(0) => Ok(None),
        Ok(_) => read_reply(place, &line).map(Some),
        Err(error) if has_left(&error) => Ok(None),
        Err(error) => Err(cannot_ask(place, &error)),
    }
}

/// Says on a terminal that it is waited for, if nothing comes soon.
fn waiting(place: Place<'_>, awaited: impl AsFd) -> Option<Waiting> {
    if is_readable(awaited, SOON) { None } else { Waiting::new(place.verbosity, WAITING) }
}

fn has_left(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn cannot_ask(place: Place<'_>, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            failure(place, format_args!("does not answer within {} s", DEADLINE.as_secs()))
        }
        _ => failure(place, format_args!("cannot be asked: {}", reason(error))),
    }
}

/// std's connect has no deadline, and an agent that is stopped fills its queue.
fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(DEADLINE))?;
    // So much later than it is waited for first.
    set_socket_timeout(&socket, Timeout::Recv, Some(DEADLINE - SOON))?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) => Ok(Some(socket.into())),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn send(stream: &UnixStream, request: &ControlRequest) -> io::Result<()> {
    let line = request.to_line();
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        // SIGPIPE is as we inherited it: a write to an agent that has gone would end us.
        let sent = rustix::net::send(stream, rest, SendFlags::NOSIGNAL)?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

fn read_reply(place: Place<'_>, line: &str) -> Result<String, Failure> {
    match ControlReply::from_line(line) {
        Ok(ControlReply::Session { environment }) if SessionEnv::parse(environment.as_bytes()).is_some() => {
            Ok(environment)
        }
        Ok(ControlReply::Session { .. }) => {
            Err(failure(place, format_args!("gave a {VARIABLE} that is none")))
        }
        Ok(other) => Err(unexpected(place, other)),
        Err(_) => Err(unknown_answer(place)),
    }
}

fn unexpected(place: Place<'_>, reply: ControlReply) -> Failure {
    match reply {
        ControlReply::Error { message } => Failure::setup(message),
        _ => unknown_answer(place),
    }
}

fn unknown_answer(place: Place<'_>) -> Failure {
    failure(place, "answered with what this version does not know")
}

/// Held by whoever starts the agent; dropped, or left by a launch that died, it is free again.
fn lock(place: Place<'_>) -> Result<File, Failure> {
    let path = place.directory.join(LOCK);
    let failed = |why: &str| Failure::setup(format_args!("{}: {why}", path.display()));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(|error| failed(&reason(&error)))?;
    let begin = Instant::now();
    let mut waiting = None;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if begin.elapsed() < LOCK_DEADLINE => {
                if waiting.is_none() && begin.elapsed() >= SOON {
                    waiting = Some(Waiting::new(place.verbosity, WAITING));
                }
                sleep(Duration::from_millis(1));
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(failed("another launch starts the agent and does not finish"));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(&reason(&error.into()))),
        }
    }
}

/// Starts the agent. The process started here ends when the agent, which it has forked into the
/// background, is ready, so there is no child left when we become the program.
fn start(place: Place<'_>) -> Result<(), Failure> {
    let binary = place.binaries.join(BINARY);
    let failed = |why: &str| Failure::setup(format_args!("{}: {why}", binary.display()));
    let mut child = Command::new(&binary)
        .arg("run")
        .arg("--directory")
        .arg(place.directory)
        .args(place.private.then_some("--private"))
        // A launcher inside a session must not put its agent into that session.
        .env_remove("LD_PRELOAD")
        .env(VARIABLE, OUTSIDE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&format!("cannot be started: {}", reason(&error))))?;
    if !ends_in_time(place, &child) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(&format!("not ready within {} s", DEADLINE.as_secs())));
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(match said(&mut child) {
            Some(line) => Failure::setup(format_args!("the agent cannot start: {line}")),
            None => failed(&format!("ended before it was ready ({status})")),
        }),
        // Where SIGCHLD is ignored, as we may have inherited it, the kernel keeps no status.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
        Err(error) => Err(failed(&reason(&error))),
    }
}

fn ends_in_time(place: Place<'_>, child: &Child) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Before Linux 5.3, and where the child has been reaped by SIGCHLD's being ignored, wait(2)
    // has to do.
    let Some(Ok(pidfd)) = pid.map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty())) else {
        return true;
    };
    let _waiting = waiting(place, &pidfd);
    is_readable(&pidfd, DEADLINE - SOON)
}

fn is_readable(descriptor: impl AsFd, within: Duration) -> bool {
    let end = Instant::now() + within;
    loop {
        let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
        match poll(&mut descriptors, left.as_ref()) {
            Err(Errno::INTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}

/// The agent's one line. Its pipe may have been inherited by another process, so its end is not
/// waited for.
fn said(child: &mut Child) -> Option<String> {
    let mut stderr = child.stderr.take()?;
    let mut text = [0; 2048];
    let length = if is_readable(&stderr, Duration::ZERO) { stderr.read(&mut text).ok()? } else { 0 };
    let text = String::from_utf8_lossy(text.get(..length)?);
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(line.trim_start_matches("underpass-agent: ").trim_end().to_owned())
}
