//! A peer whose datagrams are a stream of a session with a relay: connect-udp (RFC 9298), as capsules. The stream is
//! made with the first datagram, and made anew when it has ended.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, timeout};
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

use super::batch::{Batch, send};
use super::peer::Peer;
use super::relay::IDLE;
use super::{Course, Datagrams};
use crate::agent::Agent;
use crate::log;
use crate::relay::capsule::{Decoder, HEADER, MAX_DATAGRAM, header};
use crate::sys::MANY;
use crate::upstream::again::is_too_fast;
use crate::upstream::hop::Client;
use crate::upstream::relay::muxed::Muxed;

/// So many batches, and others come first.
const TURN: u32 = 16;
/// How long the relay may take to agree to an end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The stream of one peer.
pub(super) struct Streamed {
    course: Course,
    client: Client,
    destination: Destination,
    /// Held by who makes a stream, which is here until it is used.
    made: tokio::sync::Mutex<Option<Muxed>>,
    open: AtomicBool,
    /// Somebody has made one.
    news: Notify,
}

impl Streamed {
    pub(super) fn new(course: Course, client: Client, destination: Destination) -> Self {
        let (made, open, news) = Default::default();
        Self { course, client, destination, made, open, news }
    }

    pub(super) fn goes_by(&self, course: &Course) -> bool {
        self.course.key() == course.key()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Waits until somebody has made a stream who has nothing to send yet.
    pub(super) async fn wanted(&self) {
        self.news.notified().await;
    }

    /// Makes a stream, unless there is one.
    pub(super) async fn ready(&self, agent: &Arc<Agent>) -> Result<(), Failure> {
        // A socket may be connected to port 0. What is sent there is lost, and nobody is asked for it.
        if self.destination.port() == 0 {
            return Ok(());
        }
        let mut made = self.made.lock().await;
        if self.is_open() {
            return Ok(());
        }
        if let Some(failure) = agent.datagrams.remembered(&self.course, Some(&self.destination)) {
            return Err(failure);
        }
        let plan = &self.course.plan;
        let chain = self.course.chain().ok_or(Failure::Socket("the chain is no longer there"))?;
        let deadline = Duration::from_secs(plan.config.deadline.into());
        match chain.datagrams(&self.destination, &self.client, deadline).await {
            Ok(stream) => {
                *made = Some(stream);
                self.open.store(true, Ordering::Relaxed);
                self.news.notify_one();
                Ok(())
            }
            Err(not_opened) => {
                let of = not_opened.of_destination.then_some(&self.destination);
                let failure = not_opened.failure;
                if !is_too_fast(&failure) && !matches!(failure, Failure::Socket(_)) {
                    agent.datagrams.remember(&self.course, of, &failure);
                }
                let chain = self.course.chain.as_deref();
                log::no_datagrams(&agent.datagrams, plan, chain, &self.client, &failure);
                Err(failure)
            }
        }
    }

    /// Carries datagrams by the stream that is ready, as long as it lasts. Whether any has passed.
    pub(super) async fn carry(&self, agent: &Arc<Agent>, peer: &Peer) -> bool {
        let Some(stream) = self.made.lock().await.take() else { return false };
        let mut carried = Carried::new(stream);
        let ended = poll_fn(|cx| carried.poll(&agent.datagrams, peer, cx)).await;
        tracing::debug!(?ended, destination = %self.destination, "a stream of datagrams has ended");
        self.open.store(false, Ordering::Relaxed);
        carried.has_moved
    }
}

/// A stream while it lasts.
struct Carried {
    stream: Option<Muxed>,
    decoder: Decoder,
    /// Capsules that the stream has not taken yet: those of one batch at most. What comes meanwhile waits at the
    /// peer's socket, and is lost when that is full.
    rest: Bytes,
    has_moved: bool,
    /// Whether anything has since `idle` was looked at.
    moved: bool,
    idle: Pin<Box<Sleep>>,
}

impl Carried {
    fn new(stream: Muxed) -> Self {
        let (decoder, rest) = Default::default();
        let idle = Box::pin(sleep(IDLE));
        Self { stream: Some(stream), decoder, rest, has_moved: false, moved: false, idle }
    }

    /// Until the stream has ended, or nothing moves any more.
    fn poll(&mut self, datagrams: &Datagrams, peer: &Peer, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(mut stream) = self.stream.take() else { return Poll::Ready(Ok(())) };
        for _ in 0..TURN {
            let down = self.poll_down(&mut stream, peer, cx)?;
            if down == Poll::Ready(false) {
                self.stream = Some(stream);
                return Poll::Ready(Ok(()));
            }
            let up = self.poll_up(&mut stream, datagrams, peer, cx)?;
            if down.is_pending() && up.is_pending() {
                self.stream = Some(stream);
                return self.poll_idle(cx).map(Ok);
            }
            (self.moved, self.has_moved) = (true, true);
            peer.touch();
        }
        self.stream = Some(stream);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.idle.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(());
            }
            self.idle.as_mut().reset(Instant::now() + IDLE);
        }
        Poll::Pending
    }

    /// To the program; whether the stream goes on.
    fn poll_down(&mut self, stream: &mut Muxed, peer: &Peer, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(bytes) = ready!(stream.poll_receive(cx)).transpose()? else { return Poll::Ready(Ok(false)) };
        stream.taken(bytes.len());
        let taken = self.decoder.take(&bytes, |payload| {
            // A program that has closed its socket takes nothing; the sweep finds out.
            send(peer.socket().get_ref(), &[IoSlice::new(payload)]);
        });
        Poll::Ready(taken.map(|()| true).map_err(|_| io::ErrorKind::InvalidData.into()))
    }

    /// To the relay. Nothing is taken from the program's socket before there is room for it.
    fn poll_up(
        &mut self,
        stream: &mut Muxed,
        datagrams: &Datagrams,
        peer: &Peer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            let Poll::Ready(guard) = peer.socket().poll_read_ready(cx) else {
                stream.no_room();
                return Poll::Pending;
            };
            let mut guard = guard?;
            ready!(stream.poll_room(HEADER + MAX_DATAGRAM, cx))?;
            let mut batch = datagrams.batch.lock();
            match batch.receive(guard.get_inner()) {
                Ok(count) => {
                    if count < MANY {
                        guard.clear_ready();
                    }
                    self.rest = capsules(&batch);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                // Told of one that was sent to the program.
                Err(_) => {}
            }
        }
        let room = ready!(stream.poll_room(self.rest.len(), cx))?;
        Poll::Ready(stream.send(self.rest.split_to(room)))
    }
}

/// The datagrams of a batch.
fn capsules(batch: &Batch) -> Bytes {
    let mut bytes = BytesMut::with_capacity(batch.datagrams().map(|datagram| HEADER + datagram.len()).sum());
    for datagram in batch.datagrams().filter(|datagram| datagram.len() <= MAX_DATAGRAM) {
        bytes.extend_from_slice(&header(datagram.len()));
        bytes.extend_from_slice(datagram);
    }
    bytes.freeze()
}

/// Ends the stream cleanly, if it is whole: dropped alone, it would be a cut.
impl Drop for Carried {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take().filter(|_| self.rest.is_empty()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if stream.end().is_ok() {
            runtime.spawn(async move {
                let gone = poll_fn(|cx| {
                    while let Some(Ok(bytes)) = ready!(stream.poll_receive(cx)) {
                        stream.taken(bytes.len());
                    }
                    Poll::Ready(())
                });
                let _ = timeout(FAREWELL, gone).await;
            });
        }
    }
}
