//! The process that takes our place: the same program as it is installed by now, with the same arguments.
//!
//! It is given what listens, prepares itself, and says so; until then we serve on, and if it fails, too. Then we stop
//! accepting, it takes over, and we let what is open end.

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::inherited::ARGUMENT;
use super::link;
use super::notify::Manager;
use crate::sys;

/// How long it may take to prepare itself.
const PREPARING: Duration = Duration::from_secs(30);
/// And to serve, while nobody does.
const BEGINNING: Duration = Duration::from_secs(10);

/// And to end, when it is killed.
const ENDING: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What listens, by its name for the successor.
pub(crate) type Sockets = Vec<(String, OwnedFd)>;

/// A successor that is prepared. Dropped before it serves, it is ended.
pub(crate) struct Successor {
    link: AsyncFd<OwnedFd>,
    /// What we have started, until it has started the process that serves (see [`detach`](super::inherited::detach)).
    child: Option<Child>,
    /// That process, from when it has told us.
    pid: Option<Pid>,
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(pid) = self.pid {
            let process = pidfd_open(pid, PidfdFlags::empty());
            let _ = kill_process(pid, Signal::KILL);
            // What it has taken is free only then.
            if let Ok(process) = process {
                let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&ENDING));
            }
        }
    }
}

impl Successor {
    /// Starts one, and gives it the sockets; why it cannot serve, if it cannot.
    pub(crate) async fn start(sockets: io::Result<Sockets>) -> Result<Self, String> {
        let failed = |error| format!("it cannot be started: {error}");
        let sockets = sockets.map_err(failed)?;
        let mut successor = start().map_err(failed)?;
        let given = async {
            successor.give(&sockets).await?;
            successor.tell("end", &[]).await
        };
        match given.await {
            // It has ended; with which status, is heard below.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            given => given.map_err(untold)?,
        }
        let pid = successor.hear("prepared", PREPARING).await?;
        successor.pid = pid.trim().parse().ok().and_then(Pid::from_raw);
        // It ended before the other could prepare itself.
        if let Some(mut child) = successor.child.take_if(|_| successor.pid.is_some()) {
            let _ = child.wait();
        }
        Ok(successor)
    }

    /// Has it take over, with what listens since it was started, and what else it has to know; why it does not, if it
    /// does not.
    pub(crate) async fn take_over(
        &mut self,
        sockets: Sockets,
        knowledge: impl Iterator<Item = String>,
    ) -> Result<(), String> {
        self.give(&sockets).await.map_err(untold)?;
        for line in knowledge.chain(["yours".to_owned()]) {
            self.tell(&line, &[]).await.map_err(untold)?;
        }
        self.hear("serving", BEGINNING).await.map(drop)
    }

    /// Tells the service manager who the service is from now on; what else is said between us.
    pub(crate) async fn serves(mut self, manager: &Manager) -> Result<OwnedFd, String> {
        let Some(pid) = self.pid else { return Err("it said nonsense".to_owned()) };
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        manager.succeeded_by(pid);
        if let Err(error) = self.tell("told", &[]).await {
            manager.succeeded_by(std::process::id());
            return Err(untold(error));
        }
        self.pid = None;
        tracing::info!(pid, "a successor serves");
        let link = self.link.get_ref().try_clone();
        link.map_err(|error| error.to_string())
    }

    /// Sends sockets, as fast as it takes them: the kernel keeps few that are on their way.
    async fn give(&self, sockets: &Sockets) -> io::Result<()> {
        for (name, socket) in sockets {
            self.tell(&format!("socket {name}"), &[socket.as_fd()]).await?;
        }
        Ok(())
    }

    async fn tell(&self, line: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let sent = async {
            loop {
                let mut ready = self.link.writable().await?;
                match link::send(self.link.get_ref(), line.as_bytes(), sockets) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    sent => return sent,
                }
            }
        };
        let sent = tokio::time::timeout(BEGINNING, sent).await;
        sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// What it says behind the word that is wanted.
    async fn hear(&mut self, wanted: &str, patience: Duration) -> Result<String, String> {
        match tokio::time::timeout(patience, link::next(&self.link)).await {
            Ok(Ok(message)) => match message.text().strip_prefix(wanted) {
                Some(rest) => Ok(rest.to_owned()),
                None => Err(message.text().strip_prefix("failed ").unwrap_or("it said nonsense").to_owned()),
            },
            Ok(Err(_)) => {
                // What has closed the link but not ended is of no use; an end that has begun keeps its status.
                let status = self.child.as_mut().and_then(|child| {
                    let _ = child.kill();
                    child.wait().ok()
                });
                // Of what has started the other there is nothing to be told.
                let status = status.filter(|status| !status.success());
                Err(status.map_or("it has ended".to_owned(), |status| format!("it has ended: {status}")))
            }
            Err(_) => Err(format!("it is not ready after {} s", patience.as_secs())),
        }
    }
}

fn untold(error: io::Error) -> String {
    format!("it cannot be told anything: {error}")
}

fn start() -> io::Result<Successor> {
    let (ours, its) = link::pair()?;
    let child = Command::new(program()?)
        .args(env::args_os().skip(1).filter(|argument| argument != ARGUMENT))
        .arg(ARGUMENT)
        .stdin(Stdio::from(its))
        // What was passed to us it gets from us.
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES")
        .env_remove("WATCHDOG_PID")
        .spawn()?;
    let link = sys::watch(ours, Interest::READABLE | Interest::WRITABLE)?;
    Ok(Successor { link, child: Some(child), pid: None })
}

/// Where we were started from: what is there now may be newer (proc(5), /proc/PID/exe).
pub(crate) fn program() -> io::Result<PathBuf> {
    let path = env::current_exe()?.into_os_string();
    let known = path.as_bytes();
    Ok(PathBuf::from(std::ffi::OsString::from_vec(
        known.strip_suffix(b" (deleted)").unwrap_or(known).to_vec(),
    )))
}
