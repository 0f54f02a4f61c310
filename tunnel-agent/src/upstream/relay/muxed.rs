//! A connection through a relay: one stream of an HTTP/2 session.
//!
//! What goes through most often is moved by [`crate::splice`]'s loop for such streams, without the copies that
//! reading and writing as here cost: this is for what is spoken inside, handshakes and further layers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::vitals::{State, Vitals};
use crate::relay::rooms::Room;

/// What is taken from a writer in one go.
const CHUNK: usize = 64 << 10;

/// A stream of a session is open as long as this lives.
pub(crate) struct Counted(Arc<Vitals>);

impl Counted {
    pub(super) fn new(vitals: Arc<Vitals>) -> Self {
        vitals.opens();
        Self(vitals)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.closes();
    }
}

/// One stream. Dropped before both sides have ended, it is reset (CANCEL).
pub(crate) struct Muxed {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// What has come and was not asked for yet.
    rest: Bytes,
    counted: Counted,
    _room: Room,
    /// Its exit is inside of this process, and has a descriptor for it.
    pub(crate) exits_here: bool,
}

impl Muxed {
    pub(super) fn new(send: SendStream<Bytes>, mut receive: RecvStream, counted: Counted) -> Self {
        let room = counted.0.rooms.enter(receive.flow_control());
        Self { send, receive, rest: Bytes::new(), counted, _room: room, exits_here: false }
    }

    /// Whether the session is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.counted.0.state() == State::Ended || self.receive.is_end_stream()
    }

    /// The next bytes; `None` at a clean end. They count against the window until [`Self::taken`].
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        loop {
            match ready!(self.receive.poll_data(cx)) {
                // Padding, or a peer that has nothing to say.
                Some(Ok(bytes)) if bytes.is_empty() && !self.receive.is_end_stream() => {}
                Some(Ok(bytes)) if bytes.is_empty() => return Poll::Ready(None),
                Some(Ok(bytes)) => {
                    self.counted.0.receives(bytes.len());
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// So many of the bytes that have come are out of the way.
    pub(crate) fn taken(&mut self, bytes: usize) {
        // It can only say that more was released than has come.
        let _ = self.receive.flow_control().release_capacity(bytes);
    }

    /// Until so many bytes or fewer may be sent; how many.
    pub(crate) fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        if self.send.capacity() > 0 {
            return Poll::Ready(Ok(self.send.capacity().min(wanted)));
        }
        loop {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(0)) => {}
                Some(Ok(room)) => return Poll::Ready(Ok(room.min(wanted))),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    /// Gives back the room that is not needed now.
    pub(crate) fn no_room(&mut self) {
        self.send.reserve_capacity(0);
    }

    /// Sends what there is room for.
    pub(crate) fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.send.send_data(bytes, false).map_err(broken)
    }

    /// Nothing more is sent.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.send.send_data(Bytes::new(), true).map_err(broken)
    }

    /// Ends both ways at once, and says that it is no clean end.
    pub(crate) fn reset(&mut self) {
        self.send.send_reset(Reason::CANCEL);
    }

    /// Whether the other end has given up the stream.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.send.poll_reset(cx).map(drop)
    }
}

/// A stream that was cut, or whose session has ended.
fn broken(error: h2::Error) -> io::Error {
    let kind =
        if error.is_reset() { io::ErrorKind::ConnectionReset } else { io::ErrorKind::ConnectionAborted };
    io::Error::new(kind, error)
}

impl AsyncRead for Muxed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = match ready!(self.poll_receive(cx)) {
            Some(bytes) => bytes?,
            None => return Poll::Ready(Ok(())),
        };
        let count = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..count]);
        bytes.advance(count);
        self.rest = bytes;
        self.taken(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Muxed {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if let Some(bytes) = ready!(this.poll_receive(cx)) {
            this.rest = bytes?;
        }
        Poll::Ready(Ok(&this.rest))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.rest.advance(count);
        self.taken(count);
    }
}

impl AsyncWrite for Muxed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(bytes.len().min(CHUNK), cx))?;
        self.send(Bytes::copy_from_slice(&bytes[..room]))?;
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The session's task writes as soon as it runs.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end())
    }
}
