//! A program's connection whose bytes are counted as they are copied.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::flow::Flow;
use crate::upstream::stream::Bare;

/// What is read from the program goes up, what is written comes down.
pub(crate) struct Counted<'a> {
    program: Bare<OwnedFd>,
    flow: &'a Flow,
    failed: bool,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(program: Bare<OwnedFd>, flow: &'a Flow) -> Self {
        Self { program, flow, failed: false }
    }

    pub(crate) fn inner(&self) -> &Bare<OwnedFd> {
        &self.program
    }

    /// Whether it was this end that gave an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.failed |= result.is_err();
        result
    }
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.program).poll_read(cx, buf));
        let read = self.noted(read);
        self.flow.passed(self.flow.up() + (buf.filled().len() - before) as u64, self.flow.down());
        Poll::Ready(read)
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.program).poll_write(cx, bytes));
        let written = self.noted(written)?;
        self.flow.passed(self.flow.up(), self.flow.down() + written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.program).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = ready!(Pin::new(&mut self.program).poll_shutdown(cx));
        Poll::Ready(self.noted(shut))
    }
}
