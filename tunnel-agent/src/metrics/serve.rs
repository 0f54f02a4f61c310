//! Answers `GET /metrics`, and nothing else, to whoever asks on this machine.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use underpass_core::config::metrics::Metrics;

use super::request::{Asked, asked};
use super::text::TYPE;
use crate::listening::Listener;
use crate::sys;

/// Connections at once; the others wait in the kernel's queue.
const MOST: usize = 8;
/// How long one may take, from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long whoever has an answer may take to close.
const LEAVE: Duration = Duration::from_secs(1);
/// How long accepting waits when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes the text. It may wait for the kernel, not for others.
pub(crate) type Tell = Arc<dyn Fn() -> String + Send + Sync>;

/// A place that listens.
pub(crate) struct Opened {
    listener: Listener,
    is_port: bool,
}

/// Listens; nothing is accepted before [`serve`]. The error is for a person.
pub(crate) fn open(place: &Metrics) -> Result<Opened, String> {
    let (listener, is_port) = match place {
        Metrics::Unix(path) => (Listener::unix(path), false),
        Metrics::Loopback(address) => (Listener::tcp(*address), true),
    };
    let listener = listener.map_err(|error| format!("metrics {place}: {error}"))?;
    Ok(Opened { listener, is_port })
}

/// Serves for ever.
pub(crate) async fn serve(opened: Opened, tell: Tell) -> io::Result<()> {
    let Opened { listener, is_port } = opened;
    let room = Arc::new(Semaphore::new(MOST));
    let watched = sys::watch(listener.socket(), Interest::READABLE)?;
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
        let mut ready = watched.readable().await?;
        let accepted =
            rustix::net::accept_with(ready.get_inner().as_fd(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        match accepted {
            Ok(stream) => {
                let tell = Arc::clone(&tell);
                tokio::spawn(async move {
                    let answered = tokio::time::timeout(PATIENCE, connection(stream, is_port, tell)).await;
                    if let Ok(Err(error)) = answered {
                        tracing::debug!(%error, "whoever asked for metrics went away");
                    }
                    drop(place);
                });
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => {
                tracing::warn!(%error, "metrics wait");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: OwnedFd, is_port: bool, tell: Tell) -> io::Result<()> {
    match is_port {
        true => answer(TcpStream::from_std(stream.into())?, is_port, tell).await,
        false => answer(UnixStream::from_std(stream.into())?, is_port, tell).await,
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    is_port: bool,
    tell: Tell,
) -> io::Result<()> {
    let mut head = Vec::new();
    let asked = loop {
        match asked(&head, is_port) {
            Asked::More => {}
            asked => break asked,
        }
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(part.get(..read).unwrap_or_default());
    };
    let (status, kind, body) = match asked {
        Asked::Metrics => {
            let told = tokio::task::spawn_blocking(move || tell()).await.map_err(io::Error::other)?;
            ("200 OK", TYPE, told)
        }
        Asked::No(status, why) => (status, "text/plain; charset=utf-8", format!("{why}\n")),
        Asked::More => return Ok(()),
    };
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await?;
    // To close over bytes that nobody has read would be a reset (RFC 9112 section 9.6).
    let mut rest = [0; 1024];
    let drained = async {
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LEAVE, drained).await;
    Ok(())
}
