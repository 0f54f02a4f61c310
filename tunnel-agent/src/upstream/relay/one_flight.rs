//! A request and what comes after it in one flight: between relays the CONNECT is not answered before the
//! ClientHello of the next layer has been sent, which saves a round trip for each hop.
//!
//! The answer's head is taken off what comes back before the next layer sees it. One that refuses ends the
//! handshake of that layer with the refusal as its error.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use underpass_core::failure::Failure;

use crate::upstream::handshake::{Handshake, MAX_HEAD, Step, can_begin_head, head_end};
use crate::upstream::stream::{Duplex, broken};

/// A stream behind a request that has not been answered yet.
pub(crate) struct OneFlight {
    inner: Box<dyn Duplex>,
    handshake: Option<Box<dyn Handshake>>,
    /// Bytes that wait to be written: the request, and what came with it.
    out: Vec<u8>,
    /// What has come of the head; afterwards what came behind it.
    head: Vec<u8>,
    taken: usize,
    answered: Answered,
}

/// Whether the request has been granted.
#[derive(Clone, Default)]
pub(crate) struct Answered(Arc<AtomicBool>);

impl Answered {
    pub(crate) fn yes(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A refusal, inside the error of whoever reads.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Failure);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {}

fn refused(failure: Failure) -> io::Error {
    io::Error::other(Refused(failure))
}

impl OneFlight {
    /// `handshake` has one request, and waits for an HTTP head.
    pub(crate) fn new(
        inner: Box<dyn Duplex>,
        mut handshake: Box<dyn Handshake>,
    ) -> Result<(Self, Answered), Failure> {
        let Step::Send(request) = handshake.step()? else {
            return Err(Failure::Socket("only a request can travel with what comes after it"));
        };
        let out = request.to_vec();
        let answered = Answered::default();
        let (head, taken) = (Vec::new(), 0);
        Ok((
            Self { inner, handshake: Some(handshake), out, head, taken, answered: answered.clone() },
            answered,
        ))
    }

    /// Until the request is granted.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(handshake) = &mut self.handshake {
            match handshake.step().map_err(refused)? {
                Step::Done => {
                    self.handshake = None;
                    self.answered.0.store(true, Ordering::Relaxed);
                    break;
                }
                Step::ReceiveHead => {}
                Step::Send(_) | Step::Receive(_) => {
                    return Poll::Ready(Err(refused(Failure::Protocol("it wants more than one request"))));
                }
            }
            if let Some(end) = head_end(&self.head) {
                handshake.received(&self.head[..end]).map_err(refused)?;
                self.head.drain(..end);
                continue;
            }
            if self.head.len() >= MAX_HEAD || !can_begin_head(&self.head) {
                return Poll::Ready(Err(refused(Failure::Protocol("it does not answer as an HTTP proxy"))));
            }
            let mut room = [0; 4096];
            let mut buf = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf)).map_err(|e| refused(broken(&e)))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(refused(Failure::UpstreamClosed)));
            }
            self.head.extend(buf.filled());
        }
        Poll::Ready(Ok(()))
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(self.out.drain(..written)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for OneFlight {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.handshake.is_some() {
            ready!(self.poll_answer(cx))?;
        }
        if self.taken < self.head.len() {
            let count = buf.remaining().min(self.head.len() - self.taken);
            buf.put_slice(&self.head[self.taken..self.taken + count]);
            self.taken += count;
            if self.taken == self.head.len() {
                (self.head, self.taken) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for OneFlight {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.out.is_empty() {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        // Together: whoever wrote this flushes it.
        if self.out.len() < MAX_HEAD {
            self.out.extend(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.out.is_empty() {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use underpass_core::destination::Destination;
    use underpass_core::failure::errno;

    use super::*;
    use crate::upstream::http::HttpConnect;

    fn begun() -> (OneFlight, Answered, DuplexStream) {
        let (ours, its) = tokio::io::duplex(64 << 10);
        let next = Destination::Name { host: "next.test".into(), port: 443 };
        let request = Box::new(HttpConnect::new(&next, None, Arc::default()).unwrap());
        let (flight, answered) = OneFlight::new(Box::new(ours), request).unwrap();
        (flight, answered, its)
    }

    #[tokio::test]
    async fn the_request_and_what_comes_after_it_travel_together() {
        let (mut flight, answered, mut its) = begun();
        flight.write_all(b"hello").await.unwrap();
        flight.flush().await.unwrap();
        let mut seen = [0; 256];
        let count = its.read(&mut seen).await.unwrap();
        assert_eq!(&seen[..count], b"CONNECT next.test:443 HTTP/1.1\r\nHost: next.test:443\r\n\r\nhello");
        assert!(!answered.yes());
        flight.write_all(b"more").await.unwrap();
        let count = its.read(&mut seen).await.unwrap();
        assert_eq!(&seen[..count], b"more");
    }

    #[tokio::test]
    async fn the_head_of_the_answer_is_taken_off_wherever_it_is_cut() {
        let answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nits own bytes";
        for cut in 0..answer.len() {
            let (mut flight, answered, mut its) = begun();
            let read = tokio::spawn(async move {
                let mut bytes = [0; 13];
                flight.read_exact(&mut bytes).await.unwrap();
                bytes
            });
            its.write_all(&answer[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            its.write_all(&answer[cut..]).await.unwrap();
            assert_eq!(&read.await.unwrap(), b"its own bytes", "{cut}");
            assert!(answered.yes());
        }
    }

    #[tokio::test]
    async fn a_refusal_is_the_error_of_whoever_reads() {
        let refused = "HTTP/1.1 502 Bad Gateway\r\nProxy-Status: r; error=connection_refused\r\n\r\n";
        let told = Failure::Http { status: 502, told: Some(errno::ECONNREFUSED) };
        for (answer, failure) in [
            (refused, told),
            ("", Failure::UpstreamClosed),
            ("SSH-2.0-x\r\n", Failure::Protocol("it does not answer as an HTTP proxy")),
        ] {
            let (mut flight, answered, mut its) = begun();
            its.write_all(answer.as_bytes()).await.unwrap();
            its.shutdown().await.unwrap();
            let error = flight.read_u8().await.unwrap_err();
            assert_eq!(crate::upstream::tls::failure(&error), failure, "{answer}");
            assert!(!answered.yes());
        }
    }
}
