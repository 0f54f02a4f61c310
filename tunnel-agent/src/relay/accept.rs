//! Connections come, and have some seconds to say who they are and what they want.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::ahead::Ahead;
use super::visitor::Visitor;
use super::{Relay, http1, http2, identify};
use crate::ends::keep_alive;
use crate::loopback;
use crate::tls;
use crate::tls::pin::Pin;
use crate::upstream::stream::Bare;

/// How long a handshake and the first request may take together.
const FIRST: Duration = Duration::from_secs(10);
/// Connections at once that have not said who they are, where there are descriptors. The oldest goes if there are
/// more.
const HALF_OPEN: usize = 4096;
/// How long nothing is accepted where there are no descriptors.
const BACK_OFF: Duration = Duration::from_millis(50);
/// How long nothing more is said of it.
const QUIET: Duration = Duration::from_secs(60);

/// Who has not said yet who they are.
pub(crate) struct HalfOpen {
    waiting: Mutex<VecDeque<(u64, AbortHandle)>>,
    most: usize,
    /// For all connections.
    room: Arc<Semaphore>,
    rooms: usize,
}

impl HalfOpen {
    /// For a process with so many descriptors: a connection and its destination have one each.
    pub(crate) fn new(descriptors: usize) -> Self {
        let most = (descriptors / 4).clamp(1, HALF_OPEN);
        let room = (descriptors / 2).saturating_sub(64).clamp(1, Semaphore::MAX_PERMITS);
        Self { waiting: Mutex::default(), most, room: Arc::new(Semaphore::new(room)), rooms: room }
    }

    /// How many connections there are, whatever they say.
    pub(crate) fn open(&self) -> usize {
        self.rooms.saturating_sub(self.room.available_permits())
    }

    fn add(&self, number: u64, handle: AbortHandle) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.most
            && let Some((_, oldest)) = waiting.pop_front()
        {
            oldest.abort();
        }
        waiting.push_back((number, handle));
    }

    fn remove(&self, number: u64) {
        let mut waiting = self.waiting.lock();
        // They are in the order of their numbers.
        if let Ok(at) = waiting.binary_search_by_key(&number, |(number, _)| *number) {
            waiting.remove(at);
        }
    }
}

/// Removes itself, however it ends.
pub(crate) struct Waiting(Arc<HalfOpen>, u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.remove(self.1);
    }
}

/// Accepts for as long as it is polled.
pub(crate) async fn accept(
    relay: Arc<Relay>,
    acceptor: TlsAcceptor,
    half_open: Arc<HalfOpen>,
    listener: TcpListener,
    numbers: Arc<std::sync::atomic::AtomicU64>,
) {
    let mut warned: Option<Instant> = None;
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if warned.is_none_or(|warned| warned.elapsed() > QUIET) {
                    tracing::warn!(%error, "cannot accept");
                    warned = Some(Instant::now());
                }
                tokio::time::sleep(BACK_OFF).await;
                continue;
            }
        };
        // Where all room is taken by those who are known, one more is not served.
        let Ok(room) = Arc::clone(&half_open.room).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let Ok(bare) = stream.into_std().map(OwnedFd::from).and_then(Bare::new) else { continue };
        keep_alive(bare.get());
        loopback::accepted(bare.get().get_ref(), from.ip());
        let number = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (relay, acceptor) = (Arc::clone(&relay), acceptor.clone());
        let waiting = Waiting(Arc::clone(&half_open), number);
        // It does not run before this task waits again: it is in the list by then.
        let task = tokio::spawn(async move {
            serve(&relay, &acceptor, bare, from.ip(), waiting).await;
            drop(room);
        });
        half_open.add(number, task.abort_handle());
    }
}

/// Serves one connection from inside of this process.
pub(crate) async fn serve_inside(relay: &Arc<Relay>, acceptor: &TlsAcceptor, bare: Bare<OwnedFd>) {
    let waiting = Waiting(Arc::new(HalfOpen::new(usize::MAX)), 0);
    serve(relay, acceptor, bare, IpAddr::from([127, 0, 0, 1]), waiting).await;
}

/// Serves one connection from its first byte.
async fn serve(
    relay: &Arc<Relay>,
    acceptor: &TlsAcceptor,
    bare: Bare<OwnedFd>,
    from: IpAddr,
    waiting: Waiting,
) {
    let until = Instant::now() + FIRST;
    let handshake =
        acceptor.accept_with(Ahead::new(bare), |session| session.set_buffer_limit(Some(tls::BUFFER)));
    let accepted = match timeout_at(until, handshake).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => return tracing::debug!(%error, "a handshake has failed"),
        Err(_) => return,
    };
    let session = accepted.get_ref().1;
    let pin = session.peer_certificates().and_then(<[_]>::first).and_then(|shown| Pin::of(shown).ok());
    let visitor = Visitor::new(pin, Some(from.to_canonical()), waiting);
    match session.alpn_protocol() {
        Some(identify::H2) => http2::serve(relay, accepted, visitor, until).await,
        _ => http1::serve(relay, accepted, visitor, until).await,
    }
}
