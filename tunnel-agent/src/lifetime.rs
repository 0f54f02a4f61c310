//! When an agent leaves: when no process of its sessions lives, no byte is being relayed, and the
//! next launch is not worth waiting for.
//!
//! A program may be an idle daemon that holds no descriptor of ours and has no parent that we know,
//! so the list of processes is read before leaving.

use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::sync::Notify;

use crate::agent::Agent;
use crate::processes::{any_program, below_first, numbered};
use crate::session::Keeper;

/// How long an agent waits for the next launch, as ssh's ControlPersist does.
const LINGER: Duration = Duration::from_secs(600);
/// An agent that nobody ever used has been started for a launch that came to nothing.
const UNUSED: Duration = Duration::from_secs(30);
/// How often an agent that waits for daemons to end looks for them.
const LOOK: Duration = Duration::from_secs(3);

/// Counts what keeps an agent.
#[derive(Default)]
pub(crate) struct Lifetime {
    /// Programs that were launched, and relays.
    in_use: AtomicUsize,
    used: AtomicBool,
    /// The last launch was made outside CI, and what it was made in goes on.
    linger: AtomicBool,
    /// Processes that are seen to end: in a process namespace those whose next launch is waited for.
    waited_for: Mutex<HashSet<i32>>,
    /// One of them has ended.
    outlives: AtomicBool,
    changed: Notify,
    /// Processes that have opened a session, and keep the agent while they live.
    watched: Mutex<HashSet<i32>>,
    /// Processes that have asked: some do not let their memory map be read (prctl(2), PR_SET_DUMPABLE).
    seen: Mutex<HashSet<i32>>,
}

/// Keeps the agent while it lives.
pub(crate) struct Use(Arc<Agent>);

impl Drop for Use {
    fn drop(&mut self) {
        let lifetime = &self.0.lifetime;
        if lifetime.in_use.fetch_sub(1, Ordering::Relaxed) == 1 {
            lifetime.changed.notify_one();
        }
    }
}

impl Lifetime {
    /// The processes that have asked and still live.
    pub(crate) fn seen_and_alive(&self) -> HashSet<i32> {
        let mut seen = self.seen.lock();
        forget_ended(&mut seen);
        seen.clone()
    }

    /// Counts one use of the agent.
    pub(crate) fn begin(agent: &Arc<Agent>) -> Use {
        agent.lifetime.in_use.fetch_add(1, Ordering::Relaxed);
        agent.lifetime.used.store(true, Ordering::Relaxed);
        Use(Arc::clone(agent))
    }

    /// These have asked the predecessor, whose programs are ours.
    pub(crate) fn inherit(&self, seen: HashSet<i32>) {
        self.seen.lock().extend(seen);
        self.used.store(true, Ordering::Relaxed);
        self.linger.store(true, Ordering::Relaxed);
    }

    /// The process `pid` has asked something.
    pub(crate) fn seen(&self, pid: i32) {
        let mut seen = self.seen.lock();
        if seen.len() == seen.capacity() {
            forget_ended(&mut seen);
            // Not to look again at the next one.
            let living = seen.len();
            seen.reserve(living);
        }
        seen.insert(pid);
    }

    /// The process `pid` has opened a session, if there is a `keeper`, and is about to become its program.
    pub(crate) fn watch(agent: &Arc<Agent>, pid: i32, linger: bool, keeper: Option<Keeper>) {
        // Where it cannot be told what the launch was made in, nobody is to wait for us.
        let linger = linger && numbered(pid).is_some();
        agent.lifetime.linger.store(linger, Ordering::Relaxed);
        if linger && let Some(below) = below_first(pid) {
            Self::linger_with(agent, below);
        }
        Self::stay_with(agent, pid, keeper);
    }

    /// Keeps the agent while the process lives.
    pub(crate) fn stay_with(agent: &Arc<Agent>, pid: i32, keeper: Option<Keeper>) {
        let usage = Self::begin(agent);
        // What cannot be watched is found by its session in /proc.
        let Some(pidfd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return;
        };
        agent.lifetime.watched.lock().insert(pid);
        tokio::spawn(async move {
            ended(pidfd).await;
            usage.0.lifetime.watched.lock().remove(&pid);
            drop((usage, keeper));
        });
    }

    /// The processes that keep the agent, for a successor.
    pub(crate) fn watched(&self) -> HashSet<i32> {
        self.watched.lock().clone()
    }

    /// Whether what a launch of ours was made in has ended, and nothing else is there whose launches we wait for.
    pub(crate) fn outlives_sandbox(&self) -> bool {
        self.outlives.load(Ordering::Relaxed) && self.waited_for.lock().is_empty()
    }

    /// Waits for no launch once this process has ended: the first process of a sandbox may wait for all that are in it, as
    /// bwrap's does, and only its child's end tells that nobody starts anything more.
    fn linger_with(agent: &Arc<Agent>, below: i32) {
        if !agent.lifetime.waited_for.lock().insert(below) {
            return;
        }
        let pidfd = Pid::from_raw(below).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let agent = Arc::clone(agent);
        tokio::spawn(async move {
            if let Some(pidfd) = pidfd {
                ended(pidfd).await;
            }
            let lifetime = &agent.lifetime;
            lifetime.waited_for.lock().remove(&below);
            lifetime.outlives.store(true, Ordering::Relaxed);
            lifetime.linger.store(false, Ordering::Relaxed);
            lifetime.changed.notify_one();
        });
    }
}

fn forget_ended(seen: &mut HashSet<i32>) {
    seen.retain(|pid| numbered(*pid).is_some_and(|process| process.exists()));
}

/// Waits for the process to end.
async fn ended(pidfd: OwnedFd) {
    if let Ok(pidfd) = crate::sys::watch(pidfd, Interest::READABLE) {
        let _ = pidfd.readable().await;
    }
}

/// Whether a program of its sessions lives.
async fn is_needed(agent: &Agent) -> bool {
    let socket = agent.sessions.socket.clone();
    let seen = agent.lifetime.seen_and_alive();
    tokio::task::spawn_blocking(move || any_program(&socket, &seen)).await.unwrap_or(true)
}

/// Where the control socket is while nobody is to find it.
pub(crate) fn aside(control: &Path) -> PathBuf {
    control.with_extension("leaving")
}

/// Returns when the agent may leave, with its control socket removed so that no launch finds it.
pub(crate) async fn until_unused(agent: &Agent, control: &Path) {
    let lifetime = &agent.lifetime;
    loop {
        let wait = match (lifetime.used.load(Ordering::Relaxed), lifetime.linger.load(Ordering::Relaxed)) {
            (false, _) => UNUSED,
            (true, true) => LINGER,
            (true, false) => Duration::ZERO,
        };
        if lifetime.in_use.load(Ordering::Relaxed) > 0 {
            lifetime.changed.notified().await;
            continue;
        }
        // Another use in the meantime begins the wait anew.
        if !wait.is_zero() && tokio::time::timeout(wait, lifetime.changed.notified()).await.is_ok() {
            continue;
        }
        if is_needed(agent).await {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let busy = || lifetime.in_use.load(Ordering::Relaxed) > 0;
        if !busy() {
            // A launch that connected just before this line is still served by the accept loop; one
            // after it finds no socket, and starts the next agent.
            let aside = aside(control);
            if fs::rename(control, &aside).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            // A second look: a process that forks and ends while the list is read can be missed with its child,
            // whose number may be a lower one.
            if !is_needed(agent).await && !busy() {
                let _ = fs::remove_file(aside);
                return;
            }
            let _ = fs::rename(aside, control);
        }
    }
}
