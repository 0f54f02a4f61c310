//! A client's connection beneath TLS. rustls reads 4 KiB at a time; this reads as much as there is, into a buffer
//! that is held only as long as there is something in it.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffers::Buffer;
use crate::upstream::stream::Bare;

/// A connection with what has been read ahead of it.
pub(crate) struct Ahead {
    bare: Bare<OwnedFd>,
    kept: Option<Kept>,
}

/// Bytes that have not been asked for yet.
struct Kept {
    bytes: Buffer,
    at: usize,
    end: usize,
}

impl Ahead {
    pub(crate) fn new(bare: Bare<OwnedFd>) -> Self {
        Self { bare, kept: None }
    }

    pub(crate) fn bare(&self) -> &Bare<OwnedFd> {
        &self.bare
    }
}

impl AsyncRead for Ahead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut kept = match self.kept.take() {
            Some(kept) => kept,
            None => {
                let mut bytes = Buffer::take();
                let mut into = ReadBuf::new(&mut bytes);
                let read = Pin::new(&mut self.bare).poll_read(cx, &mut into);
                let end = into.filled().len();
                if end == 0 {
                    return read;
                }
                Kept { bytes, at: 0, end }
            }
        };
        let count = buf.remaining().min(kept.end - kept.at);
        buf.put_slice(&kept.bytes[kept.at..kept.at + count]);
        kept.at += count;
        if kept.at < kept.end {
            self.kept = Some(kept);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ahead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bare).poll_write(cx, bytes)
    }

    /// Several records of TLS in one call.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.bare.get();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match sendmsg(socket.get_ref(), pieces, &mut SendAncillaryBuffer::default(), flags) {
                Ok(sent) => return Poll::Ready(Ok(sent)),
                Err(Errno::AGAIN) => ready!(socket.poll_write_ready(cx))?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bare).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bare).poll_shutdown(cx)
    }
}
