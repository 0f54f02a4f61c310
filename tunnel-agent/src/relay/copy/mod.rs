//! Bytes between a client and a destination.
//!
//! Nothing is held for a connection on which nothing moves: what is read goes into one buffer of the thread, and
//! what cannot be written at once is kept by the one connection that it belongs to. A clean end passes as one, in
//! each direction by itself; a cut arrives as a reset.

pub(crate) mod stream;
pub(crate) mod tunnel;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::Shutdown;
use tokio::time::Sleep;

use super::buffers::LENGTH;
use super::policy::limits::Over;
use crate::ends::{cut_on_close, drain, end_on_close};
use crate::sys;
use crate::upstream::stream::Bare;

/// How long a client that does not read may delay the end of its connection.
pub(super) const FLUSH: Duration = Duration::from_secs(1);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; LENGTH].into_boxed_slice());
}

/// Lends the thread's buffer.
pub(super) fn with_scratch<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| f(scratch))
}

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Both ends have sent all that they had.
    Regularly,
    /// The client has cut it, or the relay has lost the client.
    ByClient,
    /// The destination has.
    ByFar,
    /// The client has used up what it may.
    ByLimit,
}

impl Ended {
    /// In one word.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Regularly => "closed",
            Self::ByClient => "cut by the client",
            Self::ByFar => "cut by the destination",
            Self::ByLimit => "the client has used up its bytes",
        }
    }
}

/// A client's bytes in a second, as its limits have it.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Pin<Box<Sleep>>>);

impl Pace {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(wait) = &mut self.0 {
            ready!(wait.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }

    /// What was carried is paid for, and the next bytes wait until it is.
    pub(super) fn spent(&mut self, wait: Result<Duration, Over>) -> Result<(), Ended> {
        let wait = wait.map_err(|_| Ended::ByLimit)?;
        if !wait.is_zero() {
            self.0 = Some(Box::pin(tokio::time::sleep_until((Instant::now() + wait).into())));
        }
        Ok(())
    }
}

/// What was written before a cut arrives before it.
async fn settle(socket: &Bare<OwnedFd>) {
    drain(socket.get()).await;
}

/// Has a destination that takes nothing more read to the end of what it has sent, and not waited for: it may wait for what it
/// does not get. Whether that can be.
fn hears_out(far: &Bare<OwnedFd>) -> bool {
    matches!(rustix::net::shutdown(far.get().get_ref(), Shutdown::Read), Ok(()) | Err(Errno::NOTCONN))
}

/// Whether what reads like an end is none: a connection whose other way is open and which the kernel has closed was
/// reset, and somebody else has taken the error.
fn was_reset(far: &Bare<OwnedFd>) -> bool {
    sys::tcp_state(far.get().get_ref()).is_ok_and(|state| state == sys::CLOSE)
}
