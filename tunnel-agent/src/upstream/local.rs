//! What leaves from this machine: `direct`, and the exit of `local:`, which also serves `http://hello.internal/`
//! itself, so that everything can be tried with no proxy at hand.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};

use super::stream::{Bare, Stream};
use super::{Far, happy_eyeballs};
use crate::facts::FarOptions;

/// The name that this upstream answers for.
const HELLO: &str = "hello.internal";
/// A request head longer than this is refused, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Dials from this machine, trying the addresses of a name.
pub(crate) async fn dial(destination: &Destination, options: &FarOptions) -> Result<Far, Failure> {
    let addresses: Vec<SocketAddr> = match destination {
        Destination::Address(address) => vec![*address],
        Destination::Name { host, port } if host.eq_ignore_ascii_case(HELLO) => {
            return if *port == 80 { hello() } else { Err(Failure::Dial(errno::ECONNREFUSED)) };
        }
        Destination::Name { host, port } => {
            let found = tokio::net::lookup_host((host.as_str(), *port)).await;
            found.map_err(|_| Failure::NameNotFound)?.collect()
        }
    };
    let addresses = happy_eyeballs::ordered(addresses, None);
    match happy_eyeballs::first(addresses, |address| Bare::connect(address, options)).await {
        Ok((_, bare)) => {
            Ok(Far { local: bare.local(), stream: Stream::Bare(bare), exit: None, one_flight: false })
        }
        Err(Some(error)) => Err(Failure::Dial(error.raw_os_error().unwrap_or(errno::ENETUNREACH))),
        Err(None) => Err(Failure::NameNotFound),
    }
}

/// One end of a stream whose other end is served here.
fn hello() -> Result<Far, Failure> {
    let pair = || -> io::Result<(Bare<OwnedFd>, UnixStream)> {
        let (far, near) = UnixStream::pair()?;
        Ok((Bare::new(far.into_std()?.into())?, near))
    };
    let (far, stream) = pair().map_err(|e| Failure::Dial(e.raw_os_error().unwrap_or(errno::ENETUNREACH)))?;
    tokio::spawn(async move {
        if let Err(error) = serve(stream).await {
            tracing::debug!(%error, "hello.internal ended early");
        }
    });
    Ok(Far { stream: Stream::Bare(far), local: None, exit: None, one_flight: false })
}

/// Answers requests until the client closes.
async fn serve(mut stream: UnixStream) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let end = match request.parse(&head) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => {
                if stream.read_buf(&mut head).await? == 0 {
                    return Ok(());
                }
                continue;
            }
            _ => return stream.write_all(&answer("400 Bad Request", "not an HTTP/1 request\n", true)).await,
        };
        let body = page(&request);
        stream.write_all(&answer("200 OK", &body, request.method != Some("HEAD"))).await?;
        head.drain(..end);
    }
}

fn answer(status: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    if with_body {
        bytes.extend(body.as_bytes());
    }
    bytes
}

/// What arrived, by which name, over which mechanism.
fn page(request: &httparse::Request<'_, '_>) -> String {
    let mut page = format!(
        "Hello from underpass.\n\n\
         You asked for:  {} {}\n\
         By the name:    {HELLO}, which no resolver on this machine was asked for\n\
         Carried by:     the program's own socket, held until this end had accepted, then relayed\n\
         Through:        local:, two relays inside underpass-agent {}, each of which knows its neighbours:\n\
         \x20               TLS 1.3 in TLS 1.3, with keys that were made for this agent alone, and HTTP/2\n\n",
        request.method.unwrap_or("?"),
        request.path.unwrap_or("?"),
        env!("CARGO_PKG_VERSION"),
    );
    page.push_str("With the headers:\n");
    for header in request.headers.iter() {
        page.push_str(&format!("  {}: {}\n", header.name, String::from_utf8_lossy(header.value)));
    }
    page
}
