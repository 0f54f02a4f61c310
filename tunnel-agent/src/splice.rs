//! Bytes between the program's completed socket and the upstream, by splice(2): back-pressure is the
//! kernel's, a half-close passes, a reset arrives as a reset and a clean end as a clean end.
//!
//! Held connections live on a thread of their own, dial and relay: neither bulk nor a burst of dials
//! delays the answer to a program that waits in `connect()`.

mod copied;
mod muxed;

use std::future::{poll_fn, ready};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::unix::AsyncFd;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;

use crate::ends::{cut_on_close, drain, end_on_close, is_broken, keep_alive, tell_end};
use crate::flow::{Ended, Flow};
use crate::pipes::{Pipe, Pipes};
use crate::upstream::stream::{Bare, Stream};
use crate::{sys, thread, urgent};

/// A relay lets others run after this many bytes in one go.
const TURN: usize = 4 << 20;
/// How soon a relay that found no pipe looks for one again.
const PIPE_RETRY: Duration = Duration::from_millis(20);

/// The thread that relays.
#[derive(Clone, Debug)]
pub(crate) struct Splicer {
    runtime: tokio::runtime::Handle,
    pipes: Arc<Pipes>,
}

impl Splicer {
    /// Starts the thread; it ends with the process.
    /// `pipes` is how many there may be.
    pub(crate) fn start(pipes: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        thread::is(&handle);
        Ok(Self { runtime: handle, pipes: Arc::new(Pipes::new(pipes)) })
    }

    /// Runs a connection on the relay thread, from its dial to its end.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.runtime.spawn(connection).abort_handle()
    }

    /// Runs one of several tasks there.
    pub(crate) fn spawn_into<T: Send + 'static>(
        &self,
        tasks: &mut JoinSet<T>,
        task: impl Future<Output = T> + Send + 'static,
    ) {
        tasks.spawn_on(task, &self.runtime);
    }

    /// Returns as soon as the thread has done something for us.
    pub(crate) async fn works(&self) {
        let _ = self.runtime.spawn(std::future::ready(())).await;
    }

    /// Splices between the program's connection and the far end until both directions have ended; `flow`
    /// is told what has passed.
    pub(crate) fn relay(&self, program: Bare<OwnedFd>, far: Stream, flow: &Arc<Flow>) -> Relaying {
        // However this ends, if not regularly, the program sees a reset: also when the agent is killed, since the kernel
        // closes for it.
        match cut_on_close(program.get()) {
            Ok(()) => self.between(program, far, flow),
            Err(error) => Box::pin(ready(Ended::Other(error))),
        }
    }

    /// The same with a program's socket that the runtime does not know yet.
    pub(crate) fn relay_socket(&self, program: OwnedFd, far: Stream, flow: &Arc<Flow>) -> Relaying {
        match cut_on_close(&program).and_then(|()| Bare::new(program)) {
            Ok(program) => self.between(program, far, flow),
            Err(error) => Box::pin(ready(Ended::Other(error))),
        }
    }

    fn between(&self, program: Bare<OwnedFd>, far: Stream, flow: &Arc<Flow>) -> Relaying {
        let flow = Arc::clone(flow);
        match far {
            Stream::Bare(far) => {
                let pipes = Arc::clone(&self.pipes);
                Box::pin(relay(program.into_watched(), far.into_watched(), pipes, flow))
            }
            Stream::Muxed(far) => Box::pin(muxed::relay(program.into_watched(), *far, flow)),
            Stream::Wrapped(far) => Box::pin(copied::relay(program, far, flow)),
            Stream::Unopened => Box::pin(ready(Ended::Other(io::ErrorKind::NotConnected.into()))),
        }
    }
}

/// A relay until its end. Each kind takes no more room than it needs, and none of what came before: very many are idle.
pub(crate) type Relaying = Pin<Box<dyn Future<Output = Ended> + Send>>;

async fn relay(
    program: AsyncFd<OwnedFd>,
    far: AsyncFd<OwnedFd>,
    pipes: Arc<Pipes>,
    flow: Arc<Flow>,
) -> Ended {
    // Both ends see a reset.
    if let Err(error) = cut_on_close(&far) {
        return Ended::Other(error);
    }
    let mut up = Direction::default();
    let mut down = Direction::default();
    let up_ended = poll_fn(|cx| {
        up.from_open = !down.ended;
        let up_now = up.poll(&program, &far, &pipes, cx);
        // The error has been taken by this way; read the other way, it would look like an end.
        down.from_broken |= matches!(up_now, Now::ToBroken);
        down.from_open = !up.ended;
        let down_now = down.poll(&far, &program, &pipes, cx);
        flow.passed(up.delivered, down.delivered);
        match (up_now, down_now) {
            (Now::Ended, Now::Ended) => Poll::Ready(None),
            // What the broken end has sent before is still delivered, as far as the other end takes it.
            (_, Now::FromBroken) => Poll::Ready(Some(Way::Down)),
            (Now::FromBroken, _) => Poll::Ready(Some(Way::Up)),
            (Now::ToBroken, now) => settle(now, Way::Down),
            (now, Now::ToBroken) => settle(now, Way::Up),
            // An end that is not read, having sent all or having to wait, is looked at for a reset.
            (Now::Ended | Now::CannotWrite, _) if is_broken(&program, cx) => Poll::Ready(Some(Way::Up)),
            (_, Now::Ended | Now::CannotWrite) if is_broken(&far, cx) => Poll::Ready(Some(Way::Down)),
            (up_now, _) => {
                if matches!(up_now, Now::Ended) && !up.watched {
                    up.watched = true;
                    // A program that has ended leaves a socket that says nothing more.
                    keep_alive(&program);
                }
                Poll::Pending
            }
        }
    })
    .await;
    up.release(&pipes);
    down.release(&pipes);
    match up_ended {
        None => {
            end_on_close(&program);
            end_on_close(&far);
            Ended::Regularly
        }
        Some(Way::Up) => {
            drain(&far).await;
            Ended::ByProgram
        }
        Some(Way::Down) => {
            drain(&program).await;
            Ended::ByFar
        }
    }
}

/// One way is broken at its destination, which may have sent something before: the other way goes on
/// until that has been read, or cannot be written.
fn settle(now: Now, way: Way) -> Poll<Option<Way>> {
    match now {
        // A busy relay that only yielded will be polled again.
        Now::Yielded => Poll::Pending,
        _ => Poll::Ready(Some(way)),
    }
}

/// The way whose last bytes are to arrive before the reset.
enum Way {
    Up,
    Down,
}

/// Where a direction stands; a waker is registered wherever it waits.
#[derive(Debug)]
enum Now {
    /// The source has ended, and all has been delivered.
    Ended,
    /// Nothing to read.
    CannotRead,
    /// Something to deliver that the destination does not take.
    CannotWrite,
    /// Bytes are still there, and others come first.
    Yielded,
    /// The source has failed, and all that came before has been delivered.
    FromBroken,
    /// The destination has failed.
    ToBroken,
}

/// One direction of a relay.
#[derive(Debug, Default)]
struct Direction {
    pipe: Option<Pipe>,
    in_flight: usize,
    /// Goes before what is in flight.
    urgent: Option<u8>,
    /// Bytes, since the start.
    delivered: u64,
    ended: bool,
    broken: bool,
    from_broken: bool,
    /// The source has not been told that nothing more comes.
    from_open: bool,
    watched: bool,
    retry: Option<Pin<Box<Sleep>>>,
}

impl Direction {
    /// Moves what can be moved now.
    fn poll(
        &mut self,
        from: &AsyncFd<OwnedFd>,
        to: &AsyncFd<OwnedFd>,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> Now {
        let mut moved = 0;
        while !self.ended {
            if self.broken {
                return Now::ToBroken;
            }
            match self.poll_write(to, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.release(pipes);
                    self.broken = true;
                    return Now::ToBroken;
                }
                Poll::Pending => return Now::CannotWrite,
            }
            if moved >= TURN {
                cx.waker().wake_by_ref();
                return Now::Yielded;
            }
            match self.poll_read(from, pipes, cx) {
                Poll::Ready(Ok(0)) if self.from_broken || self.was_reset(from) => return Now::FromBroken,
                Poll::Ready(Ok(0)) => {
                    self.release(pipes);
                    if tell_end(to.get_ref()).is_err() {
                        self.broken = true;
                        return Now::ToBroken;
                    }
                    self.ended = true;
                }
                Poll::Ready(Ok(count)) => moved += count,
                Poll::Ready(Err(_)) => return Now::FromBroken,
                Poll::Pending => {
                    // Idle connections hold no pipe.
                    self.release(pipes);
                    return Now::CannotRead;
                }
            }
        }
        Now::Ended
    }

    /// Whether what reads like an end is none: a connection whose other way is still open and which the
    /// kernel has closed was reset, and somebody else has taken the error.
    fn was_reset(&self, from: &AsyncFd<OwnedFd>) -> bool {
        self.from_open && sys::tcp_state(from.get_ref()).is_ok_and(|state| state == sys::CLOSE)
    }

    /// Source to pipe, which is empty; zero bytes are the end of the stream.
    fn poll_read(
        &mut self,
        from: &AsyncFd<OwnedFd>,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(from.poll_read_ready(cx))?;
            let pipe = match &self.pipe {
                Some(pipe) => pipe,
                None => {
                    if let Some(retry) = &mut self.retry {
                        ready!(retry.as_mut().poll(cx));
                        self.retry = None;
                    }
                    match pipes.take() {
                        Ok(pipe) => self.pipe.insert(pipe),
                        Err(error) => {
                            // Out of descriptors; others will end.
                            tracing::debug!(%error, "a relay waits for a pipe");
                            self.retry = Some(Box::pin(tokio::time::sleep(PIPE_RETRY)));
                            continue;
                        }
                    }
                }
            };
            let spliced = splice(from.get_ref(), None, &pipe.write, None, pipe.capacity, FLAGS);
            if urgent::is_next(from, spliced)
                && let Some((byte, behind)) = urgent::pass(from.get_ref(), pipe)?
            {
                (self.urgent, self.in_flight) = (byte, behind);
                return Poll::Ready(Ok(1 + behind));
            }
            match spliced {
                Ok(count) => {
                    self.in_flight = count;
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Pipe to destination, until the pipe is empty.
    fn poll_write(&mut self, to: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(byte) = self.urgent {
            match urgent::send(to.get_ref(), byte) {
                Ok(count) => {
                    self.urgent = None;
                    self.delivered += count as u64;
                }
                Err(Errno::AGAIN) => ready!(to.poll_write_ready(cx))?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        while self.in_flight > 0 {
            let Some(pipe) = &self.pipe else { return Poll::Ready(Err(io::ErrorKind::InvalidData.into())) };
            match splice(&pipe.read, None, to.get_ref(), None, self.in_flight, FLAGS) {
                Ok(count) => {
                    self.in_flight -= count;
                    self.delivered += count as u64;
                }
                Err(Errno::AGAIN) => ready!(to.poll_write_ready(cx))?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
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
