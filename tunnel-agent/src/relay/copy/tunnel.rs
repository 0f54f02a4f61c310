//! A connection of HTTP/1.1 that has become a tunnel: TLS with the client on one side, a socket on the other.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Ended, FLUSH, Pace, TURN, cut_on_close, end_on_close, settle, was_reset, with_scratch};
use crate::relay::Tls;
use crate::relay::ticket::Ticket;
use crate::splice::is_broken;
use crate::upstream::stream::Bare;

/// Carries bytes until both directions have ended, or one end is cut.
pub(crate) async fn carry(mut tls: Tls, mut far: Bare<OwnedFd>, ticket: &Ticket) -> Ended {
    cut_on_close(&far);
    cut_on_close(tls.get_ref().0.bare());
    let mut up = Up::default();
    let mut down = Down::default();
    let ended = poll_fn(|cx| {
        let up_now = up.poll(&mut tls, &mut far, ticket, cx);
        down.cut |= matches!(up_now, Poll::Ready(Err(Ended::ByFar)));
        down.closed = up.eof;
        let down_now = down.poll(&mut tls, &mut far, ticket, cx);
        match (up_now, down_now) {
            (Poll::Ready(Err(Ended::ByFar)), Poll::Pending) => {
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
            end_on_close(&far);
            end_on_close(tls.get_ref().0.bare());
        }
        Ended::ByClient => settle(&far).await,
        Ended::ByFar | Ended::ByLimit => {
            let _ = tokio::time::timeout(FLUSH, poll_fn(|cx| Pin::new(&mut tls).poll_flush(cx))).await;
            settle(tls.get_ref().0.bare()).await;
        }
    }
    ended
}

/// From the client.
#[derive(Default)]
struct Up {
    /// What the destination has not taken yet, from `at` on.
    kept: Vec<u8>,
    at: usize,
    /// The client has sent its last byte.
    eof: bool,
    ended: bool,
    pace: Pace,
}

impl Up {
    fn is_stuck(&self) -> bool {
        !self.kept.is_empty()
    }

    fn poll(
        &mut self,
        tls: &mut Tls,
        far: &mut Bare<OwnedFd>,
        ticket: &Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        let mut moved = 0;
        while !self.ended {
            while self.at < self.kept.len() {
                let written = Pin::new(&mut *far).poll_write(cx, &self.kept[self.at..]);
                self.at += ready!(written).map_err(|_| Ended::ByFar)?;
            }
            // Freed: it may be long until the next time.
            (self.kept, self.at) = (Vec::new(), 0);
            if self.eof {
                self.ended = true;
                let _ = ready!(Pin::new(&mut *far).poll_shutdown(cx));
                break;
            }
            ready!(self.pace.poll(cx));
            if moved >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let read = with_scratch(|scratch| {
                let most = usize::try_from(ticket.share()).unwrap_or(usize::MAX).min(scratch.len());
                self.poll_read(tls, far, &mut scratch[..most], cx)
            });
            let count = ready!(read)?;
            moved += count;
            self.pace.spent(ticket.up(count))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads as many records as there are, and writes them in one call.
    fn poll_read(
        &mut self,
        tls: &mut Tls,
        far: &mut Bare<OwnedFd>,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Ended>> {
        let mut buf = ReadBuf::new(scratch);
        while buf.remaining() > 0 && !self.eof {
            let before = buf.filled().len();
            match Pin::new(&mut *tls).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) => self.eof = buf.filled().len() == before,
                // Without a farewell of TLS it was cut; what came before it is still good.
                Poll::Ready(Err(_)) if before == 0 => return Poll::Ready(Err(Ended::ByClient)),
                Poll::Ready(Err(_)) => break,
                Poll::Pending if before == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let bytes = buf.filled();
        let written = match bytes {
            [] => 0,
            _ => match Pin::new(&mut *far).poll_write(cx, bytes) {
                Poll::Ready(written) => written.map_err(|_| Ended::ByFar)?,
                Poll::Pending => 0,
            },
        };
        self.kept.extend_from_slice(&bytes[written..]);
        Poll::Ready(Ok(bytes.len()))
    }
}

/// To the client.
#[derive(Default)]
struct Down {
    /// What TLS has not taken yet, from `at` on.
    kept: Vec<u8>,
    at: usize,
    eof: bool,
    ended: bool,
    /// The other way has taken the destination's error: what reads like an end is none.
    cut: bool,
    /// The client has said that nothing more comes.
    closed: bool,
    /// The destination is read, and so it is seen if it resets.
    reads: bool,
    pace: Pace,
}

impl Down {
    fn poll(
        &mut self,
        tls: &mut Tls,
        far: &mut Bare<OwnedFd>,
        ticket: &Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        let mut moved = 0;
        self.reads = false;
        while !self.ended {
            while self.at < self.kept.len() {
                let written = Pin::new(&mut *tls).poll_write(cx, &self.kept[self.at..]);
                self.at += ready!(written).map_err(|_| Ended::ByClient)?;
            }
            (self.kept, self.at) = (Vec::new(), 0);
            if self.eof {
                // A farewell of TLS, and then the end of TCP.
                ready!(Pin::new(&mut *tls).poll_shutdown(cx)).map_err(|_| Ended::ByClient)?;
                self.ended = true;
                break;
            }
            ready!(Pin::new(&mut *tls).poll_flush(cx)).map_err(|_| Ended::ByClient)?;
            ready!(self.pace.poll(cx));
            if moved >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let read = with_scratch(|scratch| {
                let most = usize::try_from(ticket.share()).unwrap_or(usize::MAX).min(scratch.len());
                self.poll_read(tls, far, &mut scratch[..most], cx)
            });
            self.reads = read.is_pending();
            let count = ready!(read)?;
            moved += count;
            self.pace.spent(ticket.down(count))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        tls: &mut Tls,
        far: &mut Bare<OwnedFd>,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Ended>> {
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(&mut *far).poll_read(cx, &mut buf)).map_err(|_| Ended::ByFar)?;
        let bytes = buf.filled();
        if bytes.is_empty() {
            if self.cut || !self.closed && was_reset(far) {
                return Poll::Ready(Err(Ended::ByFar));
            }
            self.eof = true;
            return Poll::Ready(Ok(0));
        }
        let written = match Pin::new(&mut *tls).poll_write(cx, bytes) {
            Poll::Ready(written) => written.map_err(|_| Ended::ByClient)?,
            Poll::Pending => 0,
        };
        self.kept.extend_from_slice(&bytes[written..]);
        Poll::Ready(Ok(bytes.len()))
    }
}
