//! Answers `GET /metrics`, and nothing else, to whoever asks on this machine.
//!
//! A web page may have its own name lead to loopback (DNS rebinding); so whoever asks at a port has to say that it is
//! loopback that they ask.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use underpass_core::config::metrics::Metrics;

use super::text::TYPE;
use crate::listening::Listener;
use crate::sys;

/// Connections at once; the others wait in the kernel's queue.
const MOST: usize = 8;
/// How long one may take, from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long whoever has an answer may take to close.
const LEAVE: Duration = Duration::from_secs(1);
/// The longest request, in bytes.
const LONGEST: usize = 8 * 1024;
const HEADERS: usize = 64;
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

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Metrics,
    /// A status with its reason, and why.
    No(&'static str, &'static str),
    /// It has not come in full.
    More,
}

fn asked(head: &[u8], is_port: bool) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if head.len() < LONGEST => return Asked::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Asked::No("431 Request Header Fields Too Large", "the request is too long");
        }
        Err(_) => return Asked::No("400 Bad Request", "this is no request of HTTP/1.1"),
    }
    let hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let foreign = |value: &[u8]| !std::str::from_utf8(value).is_ok_and(is_loopback);
    if is_port && hosts.clone().any(|host| foreign(host.value)) {
        return Asked::No("421 Misdirected Request", "metrics are told by loopback addresses alone");
    }
    let path = request.path.unwrap_or_default();
    match (request.method, path.split_once('?').map_or(path, |(path, _)| path)) {
        (Some("GET"), "/metrics") => Asked::Metrics,
        (_, "/metrics") => Asked::No("405 Method Not Allowed", "metrics can only be read (GET)"),
        _ => Asked::No("404 Not Found", "there is /metrics, and nothing else"),
    }
}

/// Whether a `Host` field names loopback.
fn is_loopback(host: &str) -> bool {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip = bare.parse::<IpAddr>();
    ip.is_ok_and(|ip| ip.to_canonical().is_loopback()) || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_can_be_asked_for() {
        for (head, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9469\r\n\r\n", ""),
            ("GET /metrics?x=1 HTTP/1.1\r\nhost: [::1]:9469\r\n\r\n", ""),
            ("GET /metrics HTTP/1.0\r\n\r\n", ""),
            ("GET /metrics HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", ""),
            ("GET /metrics HTTP/1.1\r\nHost: evil.example:9469\r\n\r\n", "421"),
            ("GET /metrics HTTP/1.1\r\nHost: \r\n\r\n", "421"),
            ("POST /metrics HTTP/1.1\r\nHost: localhost:1\r\n\r\n", "405"),
            ("GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n", "404"),
            ("GET /metrics/ HTTP/1.1\r\nHost: localhost:1\r\n\r\n", "404"),
            ("\u{16}\u{3}\u{1}\0", "400"),
        ] {
            match asked(head.as_bytes(), true) {
                Asked::Metrics => assert_eq!(status, "", "{head}"),
                Asked::No(told, _) => {
                    assert!(!status.is_empty() && told.starts_with(status), "{head}: {told}")
                }
                Asked::More => panic!("{head}"),
            }
        }
        // At a Unix socket any name will do: no page of the web reaches it.
        assert_eq!(asked(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", false), Asked::Metrics);
    }

    #[test]
    fn a_request_is_bounded() {
        assert_eq!(asked(b"GET /metrics HT", true), Asked::More);
        let long = format!("GET /{}", "x".repeat(LONGEST));
        assert!(matches!(asked(long.as_bytes(), true), Asked::No(status, _) if status.starts_with("431")));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1));
        assert!(matches!(asked(many.as_bytes(), true), Asked::No(status, _) if status.starts_with("431")));
    }
}
