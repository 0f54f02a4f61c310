//! Bytes between the program's completed socket and the upstream, by splice(2): back-pressure is the
//! kernel's, a half-close passes, a reset arrives as a reset and a clean end as a clean end.
//!
//! Held connections live on a thread of their own, dial and relay: neither bulk nor a burst of dials
//! delays the answer to a program that waits in `connect()`.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::Shutdown;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use crate::pipes::{Pipe, Pipes};
use crate::sys;

/// A relay lets others run after this many bytes in one go.
const TURN: usize = 4 << 20;
/// How long bytes that came before a reset may take to reach the program.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// The relay thread.
#[derive(Clone, Debug)]
pub(crate) struct Relays {
    runtime: tokio::runtime::Handle,
    pipes: Arc<Pipes>,
}

impl Relays {
    /// Starts the thread; it ends with the process.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self { runtime: handle, pipes: Arc::default() })
    }

    /// Runs a connection on the relay thread, from its dial to its end.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.runtime.spawn(connection).abort_handle()
    }

    /// Relays between two non-blocking stream sockets until both directions have ended.
    pub(crate) async fn relay(&self, program: OwnedFd, far: OwnedFd) -> io::Result<()> {
        relay(program, far, &self.pipes).await
    }
}

/// Which end of a relay an error came from.
enum Broken {
    Program,
    Far,
}

async fn relay(program: OwnedFd, far: OwnedFd, pipes: &Pipes) -> io::Result<()> {
    let watch = |socket| crate::sys::watch(socket, Interest::READABLE | Interest::WRITABLE);
    let (program, far) = (watch(program)?, watch(far)?);
    // However this ends, if not regularly, both ends see a reset: also when the agent is killed, since
    // the kernel closes for it. A stream that was cut must not look complete.
    linger(&program, Some(Duration::ZERO));
    linger(&far, Some(Duration::ZERO));
    let mut up = Direction::default();
    let mut down = Direction::default();
    let ended = poll_fn(|cx| {
        let up_ended = match up.poll(&program, &far, pipes, cx) {
            Poll::Ready(Err(Side::From)) => return Poll::Ready(Err(Broken::Program)),
            Poll::Ready(Err(Side::To)) => return Poll::Ready(Err(Broken::Far)),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        let down_ended = match down.poll(&far, &program, pipes, cx) {
            Poll::Ready(Err(Side::From)) => return Poll::Ready(Err(Broken::Far)),
            Poll::Ready(Err(Side::To)) => return Poll::Ready(Err(Broken::Program)),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        match (up_ended, down_ended) {
            (true, true) => Poll::Ready(Ok(())),
            // An end that has sent all it had is read no more, so its reset is looked for.
            (true, false) if is_broken(&program, cx) => Poll::Ready(Err(Broken::Program)),
            (false, true) if is_broken(&far, cx) => Poll::Ready(Err(Broken::Far)),
            _ => Poll::Pending,
        }
    })
    .await;
    up.release(pipes);
    down.release(pipes);
    match ended {
        Ok(()) => {
            linger(&program, None);
            linger(&far, None);
        }
        // What was written before the reset is the other end's to read, as it would be natively.
        Err(Broken::Program) => drain(&far).await,
        Err(Broken::Far) => drain(&program).await,
    }
    Ok(())
}

async fn drain(socket: &AsyncFd<OwnedFd>) {
    let start = Instant::now();
    let mut pause = Duration::from_micros(50);
    while sys::unacknowledged(socket.get_ref()) > 0 && start.elapsed() < LAST_BYTES {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Closing with a linger time of zero sends a reset (socket(7)). A Unix socket has none to send.
fn linger(socket: &AsyncFd<OwnedFd>, time: Option<Duration>) {
    let _ = rustix::net::sockopt::set_socket_linger(socket.get_ref(), time);
}

/// Whether a reset has arrived at an end that is not read any more.
fn is_broken(socket: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> bool {
    while let Poll::Ready(Ok(mut guard)) = socket.poll_write_ready(cx) {
        if matches!(rustix::net::sockopt::socket_error(socket.get_ref()), Ok(Err(_)) | Err(_)) {
            return true;
        }
        // Nothing is lost for the direction that writes here: it tries before it waits.
        guard.clear_ready();
        if guard_is_final(socket) {
            return false;
        }
    }
    false
}

/// After a hang-up tokio reports readiness for ever; there is no further event to wait for.
fn guard_is_final(socket: &AsyncFd<OwnedFd>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket.get_ref(), PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Which socket of a direction failed.
#[derive(Debug)]
enum Side {
    From,
    To,
}

/// One direction of a relay.
#[derive(Debug, Default)]
struct Direction {
    pipe: Option<Pipe>,
    in_flight: usize,
    ended: bool,
}

impl Direction {
    /// Moves what can be moved now; ready when the source has ended and all has been delivered.
    fn poll(
        &mut self,
        from: &AsyncFd<OwnedFd>,
        to: &AsyncFd<OwnedFd>,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Side>> {
        let mut moved = 0;
        while !self.ended {
            ready!(self.poll_write(to, cx))?;
            if moved >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let count = match self.poll_read(from, pipes, cx) {
                Poll::Ready(count) => count?,
                Poll::Pending => {
                    // Idle connections hold no pipe.
                    self.release(pipes);
                    return Poll::Pending;
                }
            };
            moved += count;
            if count == 0 {
                self.release(pipes);
                self.ended = true;
                // The far end may have gone already; its reset, if it is one, comes by itself.
                let _ = rustix::net::shutdown(to.get_ref(), Shutdown::Write);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Source to pipe, which is empty; zero bytes are the end of the stream.
    fn poll_read(
        &mut self,
        from: &AsyncFd<OwnedFd>,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Side>> {
        loop {
            let mut guard = ready!(from.poll_read_ready(cx)).map_err(|_| Side::From)?;
            if self.pipe.is_none() {
                match pipes.take() {
                    Ok(pipe) => self.pipe = Some(pipe),
                    Err(error) => {
                        tracing::warn!(%error, "no pipe for a relay");
                        return Poll::Ready(Err(Side::From));
                    }
                }
            }
            let Some(pipe) = &self.pipe else { return Poll::Ready(Err(Side::From)) };
            match splice(from.get_ref(), None, &pipe.write, None, pipe.capacity, FLAGS) {
                Ok(count) => {
                    self.in_flight = count;
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return Poll::Ready(Err(Side::From)),
            }
        }
    }

    /// Pipe to destination, until the pipe is empty.
    fn poll_write(&mut self, to: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<Result<(), Side>> {
        while self.in_flight > 0 {
            let Some(pipe) = &self.pipe else { return Poll::Ready(Err(Side::To)) };
            match splice(&pipe.read, None, to.get_ref(), None, self.in_flight, FLAGS) {
                Ok(count) => self.in_flight -= count,
                Err(Errno::AGAIN) => ready!(to.poll_write_ready(cx)).map_err(|_| Side::To)?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return Poll::Ready(Err(Side::To)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn release(&mut self, pipes: &Pipes) {
        match self.pipe.take() {
            Some(pipe) if self.in_flight == 0 => pipes.give_back(pipe),
            Some(pipe) => pipes.discard(pipe),
            None => {}
        }
        self.in_flight = 0;
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
