//! connect-udp (RFC 9298): datagrams between a client and one destination.
//!
//! The socket is connected, so nothing comes back but from there. A datagram that finds no room is lost, as any
//! may be.

mod ends;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustix::net::{SendFlags, send};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::time::{Instant, Sleep, sleep};

use super::Relay;
use super::buffers::LENGTH;
use super::capsule::{Decoder, HEADER, MAX_DATAGRAM, header};
use super::connect::{is_this_machine, permitted, this_machine};
use super::copy::{Ended, Pace, with_scratch};
use super::policy::client::Client;
use super::refusal::Refusal;
use super::request::Request;
use super::ticket::Ticket;
pub(crate) use ends::{Ends, OfStream, OfTunnel};

/// What comes while there is no room for it.
const BUFFER: usize = 1 << 20;

/// Judges the request and what it resolves to, and makes a socket for it.
pub(super) async fn reach(
    relay: &Arc<Relay>,
    client: &Client,
    request: &Request,
    ticket: &mut Ticket,
) -> Result<UdpSocket, Refusal> {
    let permitted = permitted(relay, client, request, ticket).await?;
    let mut refusal = Refusal::timed_out();
    for one in &permitted {
        ticket.permitted(one);
        match connected(one.address()).await {
            Ok(socket) if is_this_machine(relay, socket.local_addr().ok(), one.address().ip()) => {
                refusal = this_machine();
            }
            Ok(socket) => return Ok(socket),
            Err(error) => refusal = Refusal::dial(&error),
        }
    }
    Err(refusal)
}

async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER);
    Ok(socket)
}

/// Carries datagrams until the client ends it, or nothing has moved for as long as the relay waits.
pub(super) async fn carry(socket: UdpSocket, ticket: Ticket, mut ends: impl Ends) {
    let patience = ticket.udp_idle();
    let mut association = Association {
        socket,
        decoder: Decoder::default(),
        pace: Pace::default(),
        moved: false,
        patience,
        idle: Box::pin(sleep(patience)),
    };
    let ended = poll_fn(|cx| association.poll(&mut ends, &ticket, cx)).await;
    match ended {
        Ended::Regularly => ends.end().await,
        _ => ends.cut(),
    }
    ticket.ended(ended);
}

struct Association {
    socket: UdpSocket,
    decoder: Decoder,
    pace: Pace,
    /// Since `idle` was looked at.
    moved: bool,
    patience: Duration,
    idle: std::pin::Pin<Box<Sleep>>,
}

/// What may be kept of each direction.
fn share(ticket: &Ticket) -> u64 {
    ticket.share() / 2
}

/// A socket that has nothing but errors is none.
const MOST_ERRORS: u32 = 64;
/// So many batches, and others come first.
const TURN: u32 = 16;

impl Association {
    fn poll(&mut self, ends: &mut impl Ends, ticket: &Ticket, cx: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..TURN {
            if self.pace.poll(cx).is_pending() {
                return Poll::Pending;
            }
            let up = match self.poll_up(ends, ticket, cx) {
                Poll::Ready(Err(ended)) => return Poll::Ready(ended),
                up => up.is_ready(),
            };
            let down = match self.poll_down(ends, ticket, cx) {
                Poll::Ready(Err(ended)) => return Poll::Ready(ended),
                down => down.is_ready(),
            };
            if !up && !down {
                return self.poll_idle(cx);
            }
            self.moved = true;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while self.idle.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(Ended::Regularly);
            }
            self.idle.as_mut().reset(Instant::now() + self.patience);
        }
        Poll::Pending
    }

    fn poll_up(
        &mut self,
        ends: &mut impl Ends,
        ticket: &Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        let Some(bytes) = ready!(ends.poll_receive(cx)).map_err(|()| Ended::ByClient)? else {
            let whole = self.decoder.is_at_end();
            return Poll::Ready(Err(if whole { Ended::Regularly } else { Ended::ByClient }));
        };
        self.pace.spent(ticket.up(bytes.len()))?;
        let socket = &self.socket;
        let most = usize::try_from(share(ticket)).unwrap_or(usize::MAX);
        let taken = self.decoder.take_keeping(most, &bytes, |payload| {
            // What the kernel does not take is lost; an error is of one before, as a refusal by ICMP.
            let _ = send(socket, payload, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        });
        Poll::Ready(taken.map_err(|_| Ended::ByClient))
    }

    /// As many as are there, in one piece.
    fn poll_down(
        &mut self,
        ends: &mut impl Ends,
        ticket: &Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        // What the kernel has not taken goes on, whether or not more comes.
        ready!(ends.poll_flush(cx)).map_err(|()| Ended::ByClient)?;
        // No room is asked for before there is something to put into it, and none is kept after that.
        match self.socket.poll_recv_ready(cx) {
            Poll::Ready(is_ready) => is_ready.map_err(|_| Ended::ByFar)?,
            Poll::Pending => {
                ends.no_room();
                return Poll::Pending;
            }
        }
        let room = ready!(ends.poll_room(share(ticket), cx)).map_err(|()| Ended::ByClient)?;
        let batch = with_scratch(|scratch| {
            let (mut at, mut errors) = (0, 0);
            // How long one is shows when it is there.
            while errors < MOST_ERRORS && at < room && at + HEADER + MAX_DATAGRAM <= LENGTH {
                let mut buf = ReadBuf::new(&mut scratch[at + HEADER..at + HEADER + MAX_DATAGRAM]);
                match self.socket.poll_recv(cx, &mut buf) {
                    Poll::Ready(Ok(())) => {
                        let count = buf.filled().len();
                        scratch[at..at + HEADER].copy_from_slice(&header(count));
                        at += HEADER + count;
                    }
                    // Told of one that was sent: it is lost, and that is all.
                    Poll::Ready(Err(_)) => errors += 1,
                    Poll::Pending => break,
                }
            }
            (errors < MOST_ERRORS).then(|| Bytes::copy_from_slice(&scratch[..at]))
        });
        let Some(batch) = batch else { return Poll::Ready(Err(Ended::ByFar)) };
        if batch.is_empty() {
            ends.no_room();
            return Poll::Pending;
        }
        self.pace.spent(ticket.down(batch.len()))?;
        Poll::Ready(ends.send(batch).map_err(|()| Ended::ByClient))
    }
}
