//! What is spoken over: a bare socket, of which not a byte too many is read, or a stream wrapped
//! around one, which keeps what it has read too much for the relay.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf,
};
use underpass_core::failure::Failure;

use super::handshake::{Handshake, MAX_HEAD, Step, can_begin_head, head_end};
use super::relay::muxed::Muxed;
use super::tls;
use crate::ends::tell_end;
use crate::facts::FarOptions;
use crate::{loopback, socket, sys};

/// A socket, the agent's own or the program's. No call on it changes a flag or waits in the kernel.
#[derive(Debug)]
pub(crate) struct Bare<T: sys::Open>(AsyncFd<T>, Spoken, Duration);

/// How many bytes handshakes have sent and received: what comes after them is the program's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spoken {
    pub(crate) sent: u32,
    pub(crate) received: u32,
}

impl<T: sys::Open> Bare<T> {
    pub(crate) fn new(socket: T) -> io::Result<Self> {
        sys::watch(socket, sys::EVERYTHING).map(|socket| Self(socket, Spoken::default(), Duration::ZERO))
    }

    /// An answer is looked for so long before it is waited for: a change of process costs more than what a
    /// near proxy needs.
    pub(crate) fn look_for(&mut self, time: Duration) {
        self.2 = time;
    }

    pub(crate) fn get(&self) -> &AsyncFd<T> {
        &self.0
    }

    pub(crate) fn spoken(&self) -> Spoken {
        self.1
    }

    fn poll_send(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(self.0.get_ref(), bytes, flags) {
                Ok(sent) => return Poll::Ready(Ok(sent)),
                Err(Errno::AGAIN) => ready!(self.0.poll_write_ready(cx))?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_receive(
        &self,
        bytes: &mut [u8],
        flags: RecvFlags,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match rustix::net::recv(self.0.get_ref(), &mut *bytes, flags | RecvFlags::DONTWAIT) {
                Ok((_, received)) => return Poll::Ready(Ok(received)),
                Err(Errno::AGAIN) => ready!(self.0.poll_read_ready(cx))?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    async fn receive(&self, bytes: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        let start = (!self.2.is_zero()).then(Instant::now);
        while start.is_some_and(|start| start.elapsed() < self.2) {
            match rustix::net::recv(self.0.get_ref(), &mut *bytes, flags | RecvFlags::DONTWAIT) {
                Ok((_, received)) => return Ok(received),
                Err(Errno::AGAIN) => rustix::thread::sched_yield(),
                Err(_) => break,
            }
        }
        std::future::poll_fn(|cx| self.poll_receive(bytes, flags, cx)).await
    }
}

impl Bare<OwnedFd> {
    /// Connects a socket of the agent's with what the program set on its own.
    pub(crate) async fn connect(to: SocketAddr, options: &FarOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        options.apply(&socket, to.is_ipv6())?;
        let stream = match socket::connect_nonblocking(&socket, &to) {
            Ok(()) => Self::new(socket.into())?,
            Err(Errno::INPROGRESS) => {
                let stream = Self::new(socket.into())?;
                let _ready = stream.0.writable().await?;
                rustix::net::sockopt::socket_error(stream.0.get_ref())??;
                stream
            }
            Err(error) => return Err(error.into()),
        };
        if stream.local().is_some_and(|local| local.ip() == to.ip()) {
            loopback::to_proxy(stream.0.get_ref());
        }
        Ok(stream)
    }

    /// What is there, which stays there; zero bytes are the end.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.receive(bytes, RecvFlags::PEEK).await
    }

    /// The address that it leaves this machine from.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        socket::local_address(self.0.get_ref()).ok()
    }

    /// Whether the other end has closed, or has said something unasked: then it is of no use.
    pub(crate) fn is_stale(&self) -> bool {
        let mut byte = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        !matches!(rustix::net::recv(self.0.get_ref(), &mut byte, flags), Err(Errno::AGAIN))
    }

    pub(crate) fn into_watched(self) -> AsyncFd<OwnedFd> {
        self.0
    }
}

impl AsyncRead for Bare<OwnedFd> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let received = ready!(self.poll_receive(buf.initialize_unfilled(), RecvFlags::empty(), cx))?;
        buf.advance(received);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bare<OwnedFd> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(bytes, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::sendmsg(self.0.get_ref(), bufs, &mut SendAncillaryBuffer::default(), flags) {
                Ok(sent) => return Poll::Ready(Ok(sent)),
                Err(Errno::AGAIN) => ready!(self.0.poll_write_ready(cx))?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(tell_end(self.0.get_ref()))
    }
}

/// What can be wrapped again, and relayed.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection under construction, and at the end the far side of a relay.
pub(crate) enum Stream {
    /// Can be spliced.
    Bare(Bare<OwnedFd>),
    /// Not made yet: ssh makes it together with what comes after it.
    Unopened,
    /// A stream of a session with a relay.
    Muxed(Box<Muxed>),
    /// Inside TLS.
    Wrapped(BufReader<Box<dyn Duplex>>),
}

/// Something that a [`Handshake`] is made over.
pub(crate) trait Conversation {
    /// All of it, or an error.
    fn send_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// Exactly so many bytes, and not one more.
    fn receive_exactly(&mut self, bytes: &mut [u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// See [`Step::ReceiveHead`]; an error of kind `InvalidData` if it does not end in time.
    fn receive_head(&mut self) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
}

impl<T: sys::Open + Send + Sync> Conversation for Bare<T> {
    async fn send_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = std::future::poll_fn(|cx| self.poll_send(bytes, cx)).await?;
            self.1.sent = self.1.sent.saturating_add(sent as u32);
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    async fn receive_exactly(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.receive(bytes, RecvFlags::empty()).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                received => {
                    self.1.received = self.1.received.saturating_add(received as u32);
                    bytes = &mut bytes[received..];
                }
            }
        }
        Ok(())
    }

    /// Looks before it takes: what follows the head is the program's.
    async fn receive_head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        let mut piece = vec![0; 4096];
        while head.len() < MAX_HEAD {
            let seen = self.receive(&mut piece, RecvFlags::PEEK).await?;
            if seen == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let before = head.len();
            head.extend(&piece[..seen]);
            if !can_begin_head(&head) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let end = head_end(&head);
            head.truncate(end.unwrap_or(head.len()));
            let take = head.len() - before;
            self.receive_exactly(&mut piece[..take]).await?;
            if end.is_some() {
                return Ok(head);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

impl Conversation for Stream {
    async fn send_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Bare(bare) => bare.send_all(bytes).await,
            Self::Muxed(stream) => stream.write_all(bytes).await,
            Self::Wrapped(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Unopened => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn receive_exactly(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Bare(bare) => bare.receive_exactly(bytes).await,
            Self::Muxed(stream) => stream.read_exact(bytes).await.map(drop),
            Self::Wrapped(stream) => stream.read_exact(bytes).await.map(drop),
            Self::Unopened => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn receive_head(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Bare(bare) => bare.receive_head().await,
            Self::Muxed(stream) => buffered_head(stream).await,
            Self::Wrapped(stream) => buffered_head(stream).await,
            Self::Unopened => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// The head; what follows it stays where it is.
async fn buffered_head(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head.len() < MAX_HEAD {
        let seen = stream.fill_buf().await?;
        if seen.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (before, seen_len) = (head.len(), seen.len());
        head.extend(seen);
        if !can_begin_head(&head) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if let Some(end) = head_end(&head) {
            head.truncate(end);
            stream.consume(end - before);
            return Ok(head);
        }
        stream.consume(seen_len);
    }
    Err(io::ErrorKind::InvalidData.into())
}

impl Stream {
    /// Applies options to a connection that was there before the program asked.
    pub(crate) fn apply(&self, options: &FarOptions) {
        if let Self::Bare(bare) = self {
            let is_ipv6 = bare.local().is_some_and(|local| local.is_ipv6());
            // They were taken from a socket of the same kernel; one that does not fit here is not missed.
            let _ = options.apply(&SockRef::from(bare.get().get_ref()), is_ipv6);
        }
    }

    /// How many descriptors it has at most. A session is many streams'.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Self::Bare(_) => 1,
            Self::Unopened => 0,
            Self::Muxed(stream) => stream.exits_here.into(),
            // ssh's input and its output.
            Self::Wrapped(_) => 2,
        }
    }

    /// For the next layer.
    pub(crate) fn into_duplex(self) -> Box<dyn Duplex> {
        match self {
            Self::Bare(bare) => Box::new(bare),
            Self::Muxed(stream) => stream,
            // A buffer that holds nothing would only be another copy.
            Self::Wrapped(stream) if stream.buffer().is_empty() => stream.into_inner(),
            Self::Wrapped(stream) => Box::new(stream),
            Self::Unopened => Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink())),
        }
    }

    /// Puts a layer around what is there.
    pub(crate) fn wrapped(layer: impl Duplex + 'static) -> Self {
        Self::Wrapped(BufReader::new(Box::new(layer)))
    }

    /// See [`Bare::is_stale`]. A wrapped one is looked at when it is used.
    pub(crate) fn is_stale(&self) -> bool {
        match self {
            Self::Bare(bare) => bare.is_stale(),
            Self::Muxed(stream) => stream.has_ended(),
            Self::Wrapped(_) | Self::Unopened => false,
        }
    }
}

/// Makes `handshake` over `conversation`.
pub(crate) async fn converse(
    conversation: &mut impl Conversation,
    handshake: &mut dyn Handshake,
) -> Result<(), Failure> {
    let mut buffer = [0; super::socks5::MAX_READ];
    loop {
        match handshake.step()? {
            Step::Send(bytes) => conversation.send_all(bytes).await.map_err(|e| broken(&e))?,
            Step::Receive(count) => {
                let bytes = buffer.get_mut(..count).ok_or(Failure::Protocol("its answer is too long"))?;
                conversation.receive_exactly(bytes).await.map_err(|e| broken(&e))?;
                handshake.received(bytes)?;
            }
            Step::ReceiveHead => {
                let head = conversation.receive_head().await.map_err(|e| broken(&e))?;
                handshake.received(&head)?;
            }
            Step::Done => return Ok(()),
        }
    }
}

/// The connection to the hop broke during the handshake.
pub(crate) fn broken(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => Failure::TimedOut,
        // Of TLS, or of a layer further out.
        _ if error.get_ref().is_some() => tls::failure(error),
        _ if error.kind() == io::ErrorKind::InvalidData => {
            Failure::Protocol("it does not answer as an HTTP proxy")
        }
        _ => Failure::UpstreamClosed,
    }
}
