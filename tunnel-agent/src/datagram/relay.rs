//! One relay of a chain of proxies: the control connections, and the socket that datagrams pass through.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, reason};

use super::association::Association;
use super::batch::{Batch, HEADROOM, Sent, send};
use super::peer::{Peer, now};
use crate::agent::Agent;
use crate::sys::{self, MANY};
use crate::upstream::associate::Associated;
use crate::upstream::socks5_udp::{MAX_HEADER, open_nested};
use crate::upstream::stream::{Duplex, Stream};

/// A relay through which nothing has passed for so long is given up, and made anew when it is needed.
pub(super) const IDLE: Duration = Duration::from_secs(300);
/// Datagrams on their way, in bytes as the kernel counts them.
const BUFFER: usize = 2 << 20;

/// A relay.
pub(super) struct Relay {
    socket: AsyncFd<OwnedFd>,
    /// The headers of the hops before the last.
    headers: Vec<u8>,
    later: Vec<Destination>,
    /// In milliseconds, see [`now`].
    used: AtomicU64,
    broken: Notify,
    _room: OwnedSemaphorePermit,
}

impl Relay {
    /// The relay, and the connections that keep it.
    pub(super) fn new(
        associated: Associated,
        room: OwnedSemaphorePermit,
    ) -> Result<(Self, Vec<Box<dyn Duplex>>), Failure> {
        let Associated { controls, relay, later, headers } = associated;
        if headers.len() + MAX_HEADER > HEADROOM {
            return Err(Failure::Socket("the headers of so many hops are too long"));
        }
        let open = || -> io::Result<AsyncFd<OwnedFd>> {
            let domain = Domain::for_address(relay);
            let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
            // No more than the system allows is had, which is no fault.
            let _ = socket.set_recv_buffer_size(BUFFER);
            let _ = socket.set_send_buffer_size(BUFFER);
            // Nobody else's datagrams come in.
            socket.connect(&relay.into())?;
            sys::watch(socket.into(), Interest::READABLE)
        };
        let socket = open().map_err(|error| Failure::UpstreamUnreachable(reason(&error)))?;
        controls.iter().for_each(keep_alive);
        let controls = controls.into_iter().map(Stream::into_duplex).collect();
        let (used, broken) = (AtomicU64::new(now()), Notify::new());
        Ok((Self { socket, headers, later, used, broken, _room: room }, controls))
    }

    /// Sends on what has come to `peer`; whether nothing is left there.
    pub(super) fn forward(&self, batch: &mut Batch, peer: &Peer) -> bool {
        let count = match batch.receive(peer.socket().get_ref()) {
            Ok(count) => count,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        let time = now();
        self.used.store(time, Ordering::Relaxed);
        let sent =
            peer.with_header(|header| batch.send_behind([&self.headers, header], self.socket.get_ref()));
        if sent == Sent::Refused {
            // Nobody is at the relay's port.
            self.broken.notify_one();
        }
        peer.touch();
        count < MANY
    }

    /// Sends the program what has come; whether nothing is left.
    fn deliver(
        &self,
        batch: &mut Batch,
        agent: &Arc<Agent>,
        association: &Arc<Association>,
    ) -> io::Result<bool> {
        let count = match batch.receive(self.socket.get_ref()) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        self.used.store(now(), Ordering::Relaxed);
        let mut list = [IoSlice::new(&[]); MANY];
        let (mut held, mut to): (usize, Option<Arc<Peer>>) = (0, None);
        for datagram in batch.datagrams() {
            let Some((sender, payload)) = open_nested(datagram, &self.later) else { continue };
            let Some(peer) = association.peer_of(agent, sender) else { continue };
            // What goes to one peer in a row goes in one call.
            if let Some(before) = to.take_if(|before| !Arc::ptr_eq(before, &peer)) {
                send(before.socket().get_ref(), &list[..held]);
                held = 0;
            }
            list[held] = IoSlice::new(payload);
            held += 1;
            to = Some(peer);
        }
        if let Some(peer) = to {
            peer.touch();
            // A program that has closed its socket takes nothing; the sweep finds out.
            send(peer.socket().get_ref(), &list[..held]);
        }
        Ok(count < MANY)
    }

    async fn receive(&self, agent: &Arc<Agent>, association: &Arc<Association>) -> io::Result<()> {
        loop {
            let mut ready = self.socket.readable().await?;
            if self.deliver(&mut agent.datagrams.batch.lock(), agent, association)? {
                ready.clear_ready();
            }
        }
    }

    async fn until_idle(&self) {
        loop {
            let quiet = Duration::from_millis(now().saturating_sub(self.used.load(Ordering::Relaxed)));
            match IDLE.checked_sub(quiet).filter(|left| !left.is_zero()) {
                Some(left) => tokio::time::sleep(left).await,
                None => return,
            }
        }
    }
}

/// Serves a relay as long as it lasts.
pub(super) async fn serve(
    agent: Arc<Agent>,
    association: Arc<Association>,
    relay: Arc<Relay>,
    mut controls: Vec<Box<dyn Duplex>>,
) {
    tokio::select! {
        ended = relay.receive(&agent, &association) => {
            tracing::debug!(?ended, "a relay of datagrams does not listen any more");
        }
        () = any_ends(&mut controls) => tracing::debug!("a proxy has ended an association"),
        () = relay.broken.notified() => {}
        () = relay.until_idle() => {}
    }
    association.ended(&relay);
}

/// Waits until one of the connections ends. What a proxy says on it means nothing (RFC 1928).
async fn any_ends(controls: &mut [Box<dyn Duplex>]) {
    let mut bytes = [0; 256];
    std::future::poll_fn(|cx| {
        for control in &mut *controls {
            loop {
                let mut said = ReadBuf::new(&mut bytes);
                match Pin::new(&mut **control).poll_read(cx, &mut said) {
                    Poll::Ready(Ok(())) if !said.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
        }
        Poll::Pending
    })
    .await;
}

/// A proxy that has gone without a word is noticed within two minutes: nothing is ever sent to it.
fn keep_alive(control: &Stream) {
    if let Stream::Bare(bare) = control {
        let keep = TcpKeepalive::new().with_time(Duration::from_secs(60));
        let keep = keep.with_interval(Duration::from_secs(15)).with_retries(4);
        let _ = SockRef::from(bare.get().get_ref()).set_tcp_keepalive(&keep);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_relay_through_which_nothing_passes_for_five_minutes_is_given_up() {
        let room = Arc::new(Semaphore::new(2)).try_acquire_many_owned(2).unwrap();
        let (controls, later, headers) = Default::default();
        let associated = Associated { controls, relay: ([127, 0, 0, 1], 9).into(), later, headers };
        let relay = Relay::new(associated, room).expect("nothing is sent").0;
        let begin = Instant::now();
        let passes = async {
            sleep(Duration::from_secs(200)).await;
            relay.used.store(now(), Ordering::Relaxed);
        };
        tokio::join!(relay.until_idle(), passes);
        assert_eq!(begin.elapsed().as_secs(), 500);
    }
}
