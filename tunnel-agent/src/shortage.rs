//! When descriptors are used up, though there was [room](crate::room): the limit has been lowered (prlimit(1)), or the
//! whole machine has none left. Who asks then is refused, and not left to wait: a few are kept for that.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use underpass_core::failure::errno;
use underpass_core::wire::{Reply, Request};

use crate::agent::Agent;
use crate::client;
use crate::facts::Facts;
use crate::frames::{self, FRAME_DEADLINE, NoFrame, Received};
use crate::sys;

/// A connection, and the two descriptors that a frame may bring, several times: while they are lent, another thread may be
/// faster.
const SPARES: usize = 16;
/// How soon is tried again what not even the spares have helped with: somebody else was faster.
const PAUSE: Duration = Duration::from_millis(5);
/// How often it is logged.
const LOGGED: Duration = Duration::from_secs(1);

/// Descriptors that keep places for others.
pub(crate) struct Spares {
    null: File,
    kept: Mutex<Vec<OwnedFd>>,
    logged: Mutex<Option<Instant>>,
}

impl Spares {
    pub(crate) fn new() -> io::Result<Self> {
        let spares =
            Self { null: File::open("/dev/null")?, kept: Mutex::default(), logged: Mutex::default() };
        spares.lend(|| ());
        Ok(spares)
    }

    /// Runs `work` with their places free. What it leaves open has the place of a spare until that comes back.
    fn lend<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut kept = self.kept.lock();
        kept.clear();
        let done = work();
        self.fill(&mut kept);
        done
    }

    /// Whether all are there: while they are not, nothing new is begun, which would take their places for good.
    pub(crate) fn are_whole(&self) -> bool {
        self.fill(&mut self.kept.lock())
    }

    fn fill(&self, kept: &mut Vec<OwnedFd>) -> bool {
        while kept.len() < SPARES {
            match rustix::io::fcntl_dupfd_cloexec(&self.null, 3) {
                Ok(spare) => kept.push(spare),
                Err(_) => return false,
            }
        }
        true
    }

    fn log(&self) {
        let mut logged = self.logged.lock();
        if logged.is_none_or(|logged| logged.elapsed() >= LOGGED) {
            *logged = Some(Instant::now());
            tracing::warn!(
                hint = "raise its limit on open files (ulimit -n)",
                "the agent refuses programs: no descriptor is left"
            );
        }
    }
}

/// Refuses the next program, for whose connection there was no descriptor, or no memory; whether there was one.
pub(crate) async fn refuse_next(agent: &Arc<Agent>, listener: BorrowedFd<'_>, error: Errno) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match agent.spares.lend(|| rustix::net::accept_with(listener, flags)) {
        Ok(connection) => refuse(Arc::clone(agent), connection).await,
        Err(Errno::AGAIN) => return false,
        Err(_) => {
            tracing::warn!(%error, "programs wait");
            tokio::time::sleep(PAUSE).await;
        }
    }
    true
}

/// Refuses a program: whoever waits for an answer has one, and a socket that is held already fails.
pub(crate) async fn refuse(agent: Arc<Agent>, connection: OwnedFd) {
    agent.spares.log();
    let since = Instant::now();
    while since.elapsed() < FRAME_DEADLINE {
        // What the frame brings is closed before its place is wanted back.
        let taken =
            agent.spares.lend(|| frames::try_receive(&connection).map(|frame| refused(&agent, frame)));
        match taken {
            Ok(Refused::Answered(reply)) => return frames::reply(&connection, &reply),
            Ok(Refused::Closed) => return,
            Ok(Refused::No(received)) => return client::answer_received(&agent, connection, *received),
            Err(NoFrame::Never) => return,
            // A frame is sent at once.
            Err(NoFrame::NotYet | NoFrame::NoPlace) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What becomes of a question.
enum Refused {
    Answered(Box<Reply<'static>>),
    /// A connection that is closed is an answer, too.
    Closed,
    /// It needs no descriptor.
    No(Box<Received>),
}

fn refused(agent: &Agent, received: Received) -> Refused {
    let errno = errno::ENETUNREACH;
    match Request::decode(received.frame()) {
        Ok((token, Request::Connect { held_at: 1.., .. })) => {
            if let Some(socket) = &received.socket {
                if agent.sessions.plan(&token).is_some()
                    && let Ok(facts) = Facts::read(socket, agent.network)
                {
                    agent.carried.failed(facts.cookie, errno);
                }
                sys::dissolve(socket);
            }
            Refused::Closed
        }
        Ok((
            _,
            Request::Connect { .. }
            | Request::Supervised { .. }
            | Request::Sealed { .. }
            | Request::SupervisedDatagram { .. }
            | Request::Datagram { .. },
        )) => Refused::Answered(Box::new(Reply::Refuse { errno })),
        Ok((_, Request::Resolve { .. })) => Refused::Answered(Box::new(Reply::TryAgain)),
        Ok((_, Request::Query { .. } | Request::Listen { .. })) | Err(_) => Refused::Closed,
        Ok(_) => Refused::No(Box::new(received)),
    }
}
