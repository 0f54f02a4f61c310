//! A stream of HTTP/2 on one side, a socket on the other.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Ended, FLUSH, Pace, cut_on_close, end_on_close, hears_out, settle, was_reset};
use crate::ends::is_broken;
use crate::relay::buffers::{Buffer, LENGTH, TURN};
use crate::relay::memory::{Held, LEAST, Part};
use crate::relay::ticket::Ticket;
use crate::relay::window::Meter;
use crate::upstream::stream::Bare;
use crate::urgent::in_line;

/// Carries bytes until both directions have ended, or one end is cut.
pub(crate) async fn carry(
    mut receive: RecvStream,
    send: SendStream<Part>,
    mut far: Bare<OwnedFd>,
    ticket: &Ticket,
    meter: &Meter,
) -> Ended {
    // If this is not to be had it is broken from now on.
    let _ = cut_on_close(far.get());
    in_line(far.get());
    let _room = meter.rooms.enter(receive.flow_control());
    let mut up = Up { receive, kept: Bytes::new(), eof: false, ended: false, pace: Pace::default() };
    let held = Arc::default();
    let (cut, open, reads) = (false, true, false);
    let mut down =
        Down { send, held, read: 0, wants: false, ended: false, cut, open, reads, pace: Pace::default() };
    let ended = poll_fn(|cx| {
        let up_now = up.poll(&mut far, ticket, meter, cx);
        down.cut |= matches!(up_now, Poll::Ready(Err(Ended::ByFar)));
        down.open = !up.eof;
        let down_now = down.poll(&mut far, ticket, cx);
        match (up_now, down_now) {
            (Poll::Ready(Err(Ended::ByFar)), Poll::Pending) if hears_out(&far) => {
                // What it has sent before is still delivered; nothing more is taken from the client.
                up.ended = true;
                Poll::Pending
            }
            (Poll::Ready(Err(ended)), _) | (_, Poll::Ready(Err(ended))) => Poll::Ready(ended),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ended::Regularly),
            // Where the client is not read it may have reset the stream.
            _ if down.send.poll_reset(cx).is_ready() => Poll::Ready(Ended::ByClient),
            // Where the destination is not read it may have reset the connection.
            _ if !down.reads && is_broken(far.get(), cx) => Poll::Ready(Ended::ByFar),
            _ => Poll::Pending,
        }
    })
    .await;
    match ended {
        Ended::Regularly => end_on_close(far.get()),
        Ended::ByClient => {
            down.send.send_reset(Reason::CANCEL);
            settle(&far).await;
        }
        Ended::ByFar | Ended::ByLimit => {
            down.delivered().await;
            down.send.send_reset(Reason::CONNECT_ERROR);
        }
    }
    ended
}

/// From the client.
struct Up {
    receive: RecvStream,
    /// What the destination has not taken yet. Its room in the window is given back when it has.
    kept: Bytes,
    eof: bool,
    ended: bool,
    pace: Pace,
}

impl Up {
    fn poll(
        &mut self,
        far: &mut Bare<OwnedFd>,
        ticket: &Ticket,
        meter: &Meter,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        let mut moved = 0;
        while !self.ended {
            while self.kept.has_remaining() {
                let written = Pin::new(&mut *far).poll_write(cx, &self.kept);
                let count = ready!(written).map_err(|_| Ended::ByFar)?;
                self.kept.advance(count);
                // An error says that the stream is gone, which the next read says, too.
                let _ = self.receive.flow_control().release_capacity(count);
            }
            if self.eof {
                ready!(Pin::new(&mut *far).poll_shutdown(cx)).map_err(|_| Ended::ByFar)?;
                self.ended = true;
                break;
            }
            // The last slice would keep all of what was received beside it.
            self.kept = Bytes::new();
            ready!(self.pace.poll(cx));
            if moved >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    moved += bytes.len();
                    meter.received(bytes.len());
                    self.pace.spent(ticket.up(bytes.len()))?;
                    self.kept = bytes;
                }
                Some(Err(_)) => return Poll::Ready(Err(Ended::ByClient)),
                None => self.eof = true,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// To the client.
struct Down {
    send: SendStream<Part>,
    held: Arc<Held>,
    /// In bytes, of the destination.
    read: u64,
    /// Whether room has been asked for: only once there is something to send.
    wants: bool,
    ended: bool,
    /// The other way has taken the destination's error: what reads like an end is none.
    cut: bool,
    /// The client has not said that nothing more comes.
    open: bool,
    /// The destination is read, and so it is seen if it resets.
    reads: bool,
    pace: Pace,
}

impl Down {
    fn poll(
        &mut self,
        far: &mut Bare<OwnedFd>,
        ticket: &Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        let mut moved = 0;
        self.reads = false;
        while !self.ended {
            ready!(self.pace.poll(cx));
            if moved >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let share = ticket.share();
            // What was kept while there were few cannot be taken back when there are many: so a client is trusted with as much
            // as it has taken before, and with the least that there is for each.
            let taken = self.read - self.held.bytes() as u64;
            let most = share.min(LEAST + taken);
            ready!(self.held.poll_below(most, cx));
            let room = match self.send.capacity() {
                0 if self.wants => match ready!(self.send.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => return Poll::Ready(Err(Ended::ByClient)),
                },
                room => room,
            };
            if room == 0 {
                self.reads = true;
                ready!(far.get().poll_read_ready(cx)).map_err(|_| Ended::ByFar)?.retain_ready();
                self.reads = false;
                self.send.reserve_capacity(LENGTH);
                self.wants = true;
                continue;
            }
            let mut buffer = Buffer::take();
            let left = usize::try_from(most).map_or(LENGTH, |most| most - self.held.bytes());
            let mut buf = ReadBuf::new(&mut buffer[..room.min(LENGTH).min(left)]);
            let read = Pin::new(&mut *far).poll_read(cx, &mut buf);
            let count = buf.filled().len();
            let Poll::Ready(read) = read else {
                // An idle stream holds no room that another could use.
                self.send.reserve_capacity(0);
                self.wants = false;
                self.reads = true;
                return Poll::Pending;
            };
            read.map_err(|_| Ended::ByFar)?;
            let last = count == 0;
            if last && (self.cut || self.open && was_reset(far)) {
                return Poll::Ready(Err(Ended::ByFar));
            }
            self.send.send_data(self.held.part(buffer, count, share), last).map_err(|_| Ended::ByClient)?;
            self.ended = last;
            self.read += count as u64;
            moved += count;
            self.pace.spent(ticket.down(count))?;
            if !last {
                self.send.reserve_capacity(LENGTH);
                self.wants = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A reset throws away what is still to be sent (h2): waits until it is, as long as the client reads.
    async fn delivered(&mut self) {
        let sent = poll_fn(|cx| self.held.poll_below(1, cx));
        let _ = tokio::time::timeout(FLUSH, sent).await;
    }
}

/// What h2 keeps of one stream until it is sent.
pub(crate) const SEND_BUFFER: usize = 512 * 1024;
