//! A connection of HTTP/1.1 that has become a tunnel: TLS with the client on one side, a socket on the other.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Ended, FLUSH, Pace, cut_on_close, end_on_close, hears_out, settle, was_reset, with_scratch};
use crate::ends::is_broken;
use crate::relay::Tls;
use crate::relay::buffers::TURN;
use crate::relay::policy::limits::Over;
use crate::relay::ticket::Ticket;
use crate::upstream::stream::Bare;
use crate::urgent::in_line;

/// Carries bytes until both directions have ended, or one end is cut.
pub(crate) async fn carry(mut tls: Tls, mut far: Bare<OwnedFd>, ticket: &Ticket) -> Ended {
    // An end of which this is not to be had is broken from now on.
    let _ = (cut_on_close(far.get()), cut_on_close(tls.get_ref().0.bare().get()));
    in_line(far.get());
    let (mut up, mut down) = (Way::default(), Way::default());
    // The way up has taken the destination's error: what reads like an end is none.
    let mut cut = false;
    let ended = poll_fn(|cx| {
        let up_now = up.poll(&mut FromClient(&mut tls), &mut far, Ended::ByFar, ticket, Ticket::up, cx);
        cut |= matches!(up_now, Poll::Ready(Err(Ended::ByFar)));
        let mut from = FromFar { far: &mut far, cut, closed: up.eof };
        let down_now = down.poll(&mut from, &mut tls, Ended::ByClient, ticket, Ticket::down, cx);
        match (up_now, down_now) {
            (Poll::Ready(Err(Ended::ByFar)), Poll::Pending) if hears_out(&far) => {
                // What it has sent before is still delivered; nothing more is read from the client.
                up.ended = true;
                Poll::Pending
            }
            (Poll::Ready(Err(ended)), _) | (_, Poll::Ready(Err(ended))) => Poll::Ready(ended),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ended::Regularly),
            // A client that is not read, because the destination does not read, may have gone.
            (Poll::Pending, _) if up.is_stuck() && is_broken(tls.get_ref().0.bare().get(), cx) => {
                Poll::Ready(Ended::ByClient)
            }
            // And so may a destination that is not read.
            _ if !down.reads && is_broken(far.get(), cx) => Poll::Ready(Ended::ByFar),
            _ => Poll::Pending,
        }
    })
    .await;
    match ended {
        Ended::Regularly => {
            end_on_close(far.get());
            end_on_close(tls.get_ref().0.bare().get());
        }
        Ended::ByClient => settle(&far).await,
        Ended::ByFar | Ended::ByLimit => {
            let _ = tokio::time::timeout(FLUSH, poll_fn(|cx| Pin::new(&mut tls).poll_flush(cx))).await;
            settle(tls.get_ref().0.bare()).await;
        }
    }
    ended
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What the other side has not taken yet, from `at` on.
    kept: Vec<u8>,
    at: usize,
    /// The last byte has been read.
    eof: bool,
    ended: bool,
    /// There is nothing to read: who is waited for is seen if it resets.
    reads: bool,
    pace: Pace,
}

impl Way {
    fn is_stuck(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Carries until the source has ended. `lost`: what it means that nothing can be written. `spend`: what pays for bytes.
    fn poll(
        &mut self,
        from: &mut impl Source,
        to: &mut (impl AsyncWrite + Unpin),
        lost: Ended,
        ticket: &Ticket,
        spend: fn(&Ticket, usize) -> Result<Duration, Over>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        let mut moved = 0;
        self.reads = false;
        while !self.ended {
            while self.at < self.kept.len() {
                let written = Pin::new(&mut *to).poll_write(cx, &self.kept[self.at..]);
                self.at += ready!(written).map_err(|_| lost)?;
            }
            // Freed: it may be long until the next time.
            (self.kept, self.at) = (Vec::new(), 0);
            if self.eof {
                // To the client a farewell of TLS, and then the end of TCP.
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| lost)?;
                self.ended = true;
                break;
            }
            ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| lost)?;
            ready!(self.pace.poll(cx));
            if moved >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let read = with_scratch(|scratch| {
                let most = usize::try_from(ticket.share()).unwrap_or(usize::MAX).min(scratch.len());
                self.poll_read(from, to, lost, &mut scratch[..most], cx)
            });
            self.reads = read.is_pending();
            let count = ready!(read)?;
            moved += count;
            self.pace.spent(spend(ticket, count))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads, and writes what was read in one call.
    fn poll_read(
        &mut self,
        from: &mut impl Source,
        to: &mut (impl AsyncWrite + Unpin),
        lost: Ended,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Ended>> {
        let mut buf = ReadBuf::new(scratch);
        self.eof = ready!(from.poll_fill(&mut buf, cx))?;
        let bytes = buf.filled();
        let written = match bytes {
            [] => 0,
            _ => match Pin::new(to).poll_write(cx, bytes) {
                Poll::Ready(written) => written.map_err(|_| lost)?,
                Poll::Pending => 0,
            },
        };
        self.kept.extend_from_slice(&bytes[written..]);
        Poll::Ready(Ok(bytes.len()))
    }
}

/// Where bytes come from.
trait Source {
    /// Whether what it has read is the last.
    fn poll_fill(&mut self, buf: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> Poll<Result<bool, Ended>>;
}

struct FromClient<'a>(&'a mut Tls);

impl Source for FromClient<'_> {
    /// As many records as there are.
    fn poll_fill(&mut self, buf: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> Poll<Result<bool, Ended>> {
        while buf.remaining() > 0 {
            let before = buf.filled().len();
            match Pin::new(&mut *self.0).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() == before => return Poll::Ready(Ok(true)),
                Poll::Ready(Ok(())) => {}
                // Without a farewell of TLS it was cut; what came before it is still good.
                Poll::Ready(Err(_)) if before == 0 => return Poll::Ready(Err(Ended::ByClient)),
                Poll::Pending if before == 0 => return Poll::Pending,
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(false))
    }
}

struct FromFar<'a> {
    far: &'a mut Bare<OwnedFd>,
    cut: bool,
    /// The client has said that nothing more comes.
    closed: bool,
}

impl Source for FromFar<'_> {
    fn poll_fill(&mut self, buf: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> Poll<Result<bool, Ended>> {
        ready!(Pin::new(&mut *self.far).poll_read(cx, buf)).map_err(|_| Ended::ByFar)?;
        let last = buf.filled().is_empty();
        if last && (self.cut || !self.closed && was_reset(self.far)) {
            return Poll::Ready(Err(Ended::ByFar));
        }
        Poll::Ready(Ok(last))
    }
}
