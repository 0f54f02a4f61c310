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
use super::super::memory::{Held, LEAST, Part};
use super::super::rooms::{Room, Rooms};

/// Bytes of capsules, both ways. An error is that the client has gone.
pub(crate) trait Ends {
    /// `None` at a clean end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ()>>;
    /// Until all that was sent before is out of the way, where it is kept here.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>>;
    /// Until a batch may be sent; how much there is room for. `share` is what may be in buffers.
    fn poll_room(&mut self, share: u64, cx: &mut Context<'_>) -> Poll<Result<usize, ()>>;
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
    /// In bytes.
    sent: u64,
    /// Whether room has been asked for, and not been given back.
    wants: bool,
    _room: Room,
}

impl OfStream {
    pub(crate) fn new(mut receive: RecvStream, send: SendStream<Part>, rooms: &Arc<Rooms>) -> Self {
        let room = rooms.enter(receive.flow_control());
        Self { receive, send, held: Arc::default(), sent: 0, wants: false, _room: room }
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

    fn poll_room(&mut self, share: u64, cx: &mut Context<'_>) -> Poll<Result<usize, ()>> {
        // As of a connection: a client is trusted with as much as it has taken before.
        let taken = self.sent - self.held.bytes() as u64;
        let most = share.min(LEAST + taken);
        ready!(self.held.poll_below(most, cx));
        self.send.reserve_capacity(LENGTH);
        self.wants = true;
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(())),
            }
        }
        Poll::Ready(Ok(bytes(most) - self.held.bytes()))
    }

    fn no_room(&mut self) {
        if std::mem::take(&mut self.wants) {
            self.send.reserve_capacity(0);
        }
    }

    fn send(&mut self, batch: Bytes) -> Result<(), ()> {
        self.sent += batch.len() as u64;
        self.send.send_data(self.held.piece(batch), false).map_err(drop)
    }

    async fn end(mut self) {
        let _ = self.send.send_data(Part::of(Bytes::new()), true);
    }

    fn cut(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}

fn bytes(most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
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

    fn poll_room(&mut self, share: u64, _: &mut Context<'_>) -> Poll<Result<usize, ()>> {
        Poll::Ready(Ok(bytes(share)))
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http::{Request, Response};

    use super::*;

    /// A client that takes nothing is trusted with little, and with more the more it has taken.
    #[tokio::test]
    async fn there_is_room_for_what_the_client_has_taken() {
        const SHARE: u64 = 20 << 10;
        let (near, far) = tokio::io::duplex(1 << 20);
        let client = async {
            let (sender, connection) = h2::client::handshake(far).await.unwrap();
            let drive = tokio::spawn(connection);
            let mut sender = sender.ready().await.unwrap();
            let (answer, send) = sender.send_request(Request::new(()), false).unwrap();
            (answer.await.unwrap().into_body(), send, drive)
        };
        let relay = async {
            let mut connection = h2::server::Builder::new().handshake::<_, Part>(near).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            let send = respond.send_response(Response::new(()), false).unwrap();
            let ends = OfStream::new(request.into_body(), send, &Arc::default());
            tokio::spawn(async move { while connection.accept().await.is_some() {} });
            ends
        };
        let ((mut body, _send, _drive), mut ends) = tokio::join!(client, relay);
        let room = poll_fn(|cx| ends.poll_room(SHARE, cx)).await.unwrap();
        assert_eq!(room, LEAST as usize);
        // Nobody runs between the two: nothing of it is sent.
        ends.send(Bytes::from(vec![0; room])).unwrap();
        let full = poll_fn(|cx| Poll::Ready(ends.poll_room(SHARE, cx).is_pending())).await;
        assert!(full, "there is room for more than the least");
        let mut come = 0;
        while come < room {
            come += body.data().await.unwrap().unwrap().len();
        }
        assert_eq!(poll_fn(|cx| ends.poll_room(SHARE, cx)).await.unwrap(), SHARE as usize);
    }
}
