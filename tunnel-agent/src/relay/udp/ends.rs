//! The client's end of an association: a stream of HTTP/2, or a connection of HTTP/1.1 that was upgraded.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::super::Tls;
use super::super::buffers::LENGTH;
use super::super::copy::{FLUSH, with_scratch};
use super::super::memory::{Held, Part};
use super::super::rooms::{Room, Rooms};

/// Bytes of capsules, both ways. An error is that the client has gone.
pub(crate) trait Ends {
    /// `None` at a clean end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ()>>;
    /// Until all that was sent before is out of the way, where it is kept here.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>>;
    /// Whether a batch may be sent. `share` is what may be in buffers.
    fn poll_room(&mut self, share: u64, cx: &mut Context<'_>) -> Poll<Result<(), ()>>;
    /// There is nothing to send: others may have the room.
    fn no_room(&mut self);
    fn send(&mut self, batch: Bytes) -> Result<(), ()>;
    /// A clean end.
    async fn end(self);
    fn cut(self);
}

pub(crate) struct OfStream {
    receive: RecvStream,
    send: SendStream<Part>,
    held: Arc<Held>,
    /// Whether room has been asked for, and not been given back.
    wants: bool,
    _room: Room,
}

impl OfStream {
    pub(crate) fn new(mut receive: RecvStream, send: SendStream<Part>, rooms: &Arc<Rooms>) -> Self {
        let room = rooms.enter(receive.flow_control());
        Self { receive, send, held: Arc::default(), wants: false, _room: room }
    }
}

impl Ends for OfStream {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ()>> {
        match ready!(self.receive.poll_data(cx)) {
            Some(Ok(bytes)) => {
                // It goes into the kernel at once, or is lost.
                let _ = self.receive.flow_control().release_capacity(bytes.len());
                Poll::Ready(Ok(Some(bytes)))
            }
            Some(Err(_)) => Poll::Ready(Err(())),
            None => Poll::Ready(Ok(None)),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_room(&mut self, share: u64, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        ready!(self.held.poll_below(share, cx));
        self.send.reserve_capacity(LENGTH);
        self.wants = true;
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(())),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn no_room(&mut self) {
        if std::mem::take(&mut self.wants) {
            self.send.reserve_capacity(0);
        }
    }

    fn send(&mut self, batch: Bytes) -> Result<(), ()> {
        self.send.send_data(self.held.piece(batch), false).map_err(drop)
    }

    async fn end(mut self) {
        let _ = self.send.send_data(Part::of(Bytes::new()), true);
    }

    fn cut(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}

pub(crate) struct OfTunnel(pub(crate) Box<Tls>);

impl Ends for OfTunnel {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ()>> {
        with_scratch(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *self.0).poll_read(cx, &mut buf)).map_err(drop)?;
            let bytes = buf.filled();
            Poll::Ready(Ok((!bytes.is_empty()).then(|| Bytes::copy_from_slice(bytes))))
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Pin::new(&mut *self.0).poll_flush(cx).map_err(drop)
    }

    fn poll_room(&mut self, _: u64, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn no_room(&mut self) {}

    /// TLS takes all of it, since nothing is left of what was sent before.
    fn send(&mut self, batch: Bytes) -> Result<(), ()> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match Pin::new(&mut *self.0).poll_write(&mut cx, &batch) {
            Poll::Ready(Ok(count)) if count == batch.len() => Ok(()),
            _ => Err(()),
        }
    }

    async fn end(mut self) {
        let _ = timeout(FLUSH, self.0.shutdown()).await;
    }

    fn cut(self) {}
}
