//! What one agent owns, and its life from the first check of its directory to the last file removed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use underpass_core::control;
use underpass_core::session_env::{OUTSIDE, VARIABLE};

use crate::attempts::Attempts;
use crate::carried::Carried;
use crate::course::Courses;
use crate::datagram::Datagrams;
use crate::expose::Exposures;
use crate::flow::Flows;
use crate::front::Front;
use crate::hold::Holds;
use crate::hosts::Hosts;
use crate::lifetime::Lifetime;
use crate::names::Names;
use crate::session::Sessions;
use crate::sight::failures::Failures;
use crate::splice::Splicer;
use crate::{client, dns, facts, front, lifetime, processes, reload, sys};

/// Connections at once, being made or relayed, whatever the limit on descriptors is.
const MAX_CONNECTIONS: u64 = 100_000;
/// Descriptors for datagrams, whatever that limit is.
const MAX_DATAGRAMS: u64 = 65_536;
/// Descriptors for everything that is not a connection: listeners, files, frames that are being read.
const RESERVE: u64 = 36;

/// How the limit on descriptors is divided, so that what is open never waits for what comes new.
struct Budget {
    /// Each needs a copy of the program's socket, the agent's end of it, and the upstream's.
    connections: usize,
    /// Each has two ends.
    pipes: usize,
    /// Each remote address of a program's datagram socket is one, and each association has a few.
    datagrams: usize,
}

/// Descriptors that there is room for from the start: 64 KiB.
const TABLE: u64 = 8192;

/// Held by the agent for life.
const SERVING: &str = "serving.lock";

/// How long an agent that has removed its sockets may take to end.
const LEAVING: Duration = Duration::from_secs(2);

/// One agent.
pub(crate) struct Agent {
    pub(crate) uid: u32,
    pub(crate) sessions: Sessions,
    pub(crate) names: Names,
    pub(crate) hosts: Hosts,
    pub(crate) resolver: dns::Resolver,
    pub(crate) holds: Holds,
    /// Whether this kernel or sandbox can hold and complete; otherwise every connect blocks.
    pub(crate) can_hold: bool,
    pub(crate) carried: Carried,
    pub(crate) datagrams: Datagrams,
    pub(crate) exposures: Exposures,
    pub(crate) courses: Courses,
    pub(crate) flows: Flows,
    pub(crate) failures: Failures,
    pub(crate) splicer: Splicer,
    pub(crate) lifetime: Lifetime,
    pub(crate) attempts: Attempts,
    pub(crate) room: Arc<Semaphore>,
    /// The network namespace that the agent serves.
    pub(crate) network: Option<u64>,
    pub(crate) born: Instant,
}

impl Agent {
    /// In seconds.
    pub(crate) fn age(&self) -> u32 {
        self.born.elapsed().as_secs().try_into().unwrap_or(u32::MAX)
    }
}

/// Serves until nobody is left, and the front door for ever; `ready` is called once programs can connect. A
/// private directory is removed at the end.
pub(crate) fn run(
    directory: &Path,
    private: bool,
    front: Option<Front>,
    ready: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value != OUTSIDE) {
        return Err(io::Error::other(
            "it was started inside a session and would be carried itself; start it outside",
        ));
    }
    rustix::process::umask(Mode::from_bits_retain(0o077));
    // A program of the same user may neither trace us nor take our sockets, and a core file would hold passwords. What we
    // look at in others hangs on them.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let uid = rustix::process::geteuid().as_raw();
    check_directory(directory, uid)?;
    let _lock = sole(directory)?;
    sys::keep_freed_memory();
    let budget = raise_descriptor_limit();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build()?;
    let served = runtime.block_on(serve(directory, uid, budget, front, ready));
    if private {
        let _ = fs::remove_dir_all(directory);
    }
    served
}

/// Only the user's own directory is served: anybody who can write to it could be the agent.
fn check_directory(directory: &Path, uid: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    let loose = found.mode() & if uid == 0 { 0o066 } else { 0o077 };
    if !found.is_dir() || found.uid() != uid || loose != 0 {
        let why = format!("{}: not a directory of this user alone", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// One agent a directory: the lock is held until the process ends, however it ends.
fn sole(directory: &Path) -> io::Result<File> {
    let lock = File::options().create(true).truncate(false).write(true).open(directory.join(SERVING))?;
    let begin = Instant::now();
    // An agent that is leaving takes its files with it, and then lets go.
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if begin.elapsed() > LEAVING {
            let why = format!("{}: another agent serves here: {error}", directory.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(lock)
}

/// Raises the limit as far as it goes, and divides it.
fn raise_descriptor_limit() -> Budget {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    widen_descriptor_table(limit);
    let pipes = (limit / 32).clamp(2, 4096);
    let datagrams = (limit / 8).clamp(8, MAX_DATAGRAMS);
    let rest = limit.saturating_sub(RESERVE + 2 * pipes + datagrams);
    let connections = (rest / 3).clamp(1, MAX_CONNECTIONS) as usize;
    Budget { connections, pipes: pipes as usize, datagrams: datagrams as usize }
}

/// Makes room in the kernel's table of this process for [`TABLE`] descriptors while there is one thread: with
/// two, each time that the table grows costs a grace period of RCU (`expand_fdtable()` in the kernel's
/// fs/file.c), and a burst of connections to a new agent stands still for 30 ms in all.
fn widen_descriptor_table(limit: u64) {
    let last = limit.min(TABLE).saturating_sub(1).try_into().unwrap_or(0);
    // What is made is closed at once; the table stays as large as it was made.
    if let Err(error) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), last) {
        tracing::debug!(%error, "the descriptor table grows with its use");
    }
}

async fn serve(
    directory: &Path,
    uid: u32,
    budget: Budget,
    front: Option<Front>,
    ready: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let holds = Holds::new();
    let can_hold = match holds.self_test().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "sockets cannot be held here: connect() blocks, also for non-blocking sockets");
            false
        }
    };
    let sessions = Sessions::open(directory)?;
    let data = bind_data(&sessions.socket, uid)?;
    let agent = Arc::new(Agent {
        uid,
        sessions,
        names: Names::open(directory)?,
        hosts: Hosts::new("/etc/hosts"),
        resolver: dns::Resolver::default(),
        holds,
        can_hold,
        carried: Carried::default(),
        datagrams: Datagrams::new(budget.datagrams),
        exposures: Exposures::default(),
        courses: Courses::default(),
        flows: Flows::default(),
        failures: Failures::default(),
        splicer: Splicer::start(budget.pipes)?,
        lifetime: Lifetime::default(),
        attempts: Attempts::default(),
        room: Arc::new(Semaphore::new(budget.connections)),
        network: facts::network_of(&data),
        born: Instant::now(),
    });
    let control_path = directory.join(control::SOCKET);
    remove_stale(&control_path)?;
    let control = UnixListener::bind(&control_path)?;
    ready()?;
    tracing::info!(directory = %directory.display(), "ready");

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let result = tokio::select! {
        ended = client::accept(&agent, data) => ended,
        ended = crate::control::accept(&agent, control) => ended,
        ended = front::serve(&agent, front) => ended,
        () = lifetime::until_unused(&agent, &control_path) => Ok(()),
        ended = reload::on_hangup(&agent) => ended,
        () = processes::write_down(&agent) => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    // Programs that are still there, after a signal, find the next agent at the same socket; its
    // sessions and names are kept for them.
    let _ = fs::remove_file(&control_path);
    // A signal may have come while it was leaving by itself.
    let _ = fs::remove_file(lifetime::aside(&control_path));
    let _ = fs::remove_file(&agent.sessions.socket);
    if !processes::any_program(&agent.sessions.socket, &agent.lifetime.seen_and_alive()) {
        let _ = fs::remove_file(directory.join("sessions"));
        agent.names.remove_if_crowded();
        // The network namespace goes with us, and nobody will look for an agent of it again. A log stays, and
        // the directory with it.
        if processes::is_last_here() {
            for name in ["names", "agent.lock", SERVING] {
                let _ = fs::remove_file(directory.join(name));
            }
            // Where programs have found the library, if not at its own path, and the launcher beside it.
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.file_name().as_encoded_bytes().starts_with(b"libunderpass-") {
                    let _ = fs::remove_file(entry.path());
                }
            }
            let _ = fs::remove_dir(directory);
        }
    }
    tracing::info!("ended");
    result
}

/// The socket that programs connect to. An agent of root's also serves programs that have changed
/// their user; they must know the socket's name and show a token.
fn bind_data(path: &Path, uid: u32) -> io::Result<OwnedFd> {
    remove_stale(path)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    if uid == 0 {
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
    }
    rustix::net::listen(&socket, 4096)?;
    Ok(socket)
}

/// Removes what an agent left that did not end well; the caller holds the directory's lock.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
