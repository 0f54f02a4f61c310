//! HTTP/1.1: a request, again while it is answered 407, and then a tunnel.

use std::fmt::Write;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::head::{self, Head};
use super::refusal::Refusal;
use super::visitor::Visitor;
use super::{Far, Opened, Relay, Tls, copy, open, token, udp};
use crate::ends::is_broken;

/// How long a connection may wait for its next request after a 407.
const NEXT: Duration = Duration::from_secs(15);
/// Requests that are refused on one connection.
const MOST: u32 = 64;

/// RFC 9298 section 3.3.
const UPGRADED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\
    Capsule-Protocol: ?1\r\n\r\n";

/// Serves one connection. Its first head has to be there at `until`.
pub(crate) async fn serve(relay: &Arc<Relay>, mut tls: Tls, visitor: Visitor, until: Instant) {
    let mut until = until;
    for _ in 0..MOST {
        let head = match timeout_at(until, read(&mut tls)).await {
            Ok(Ok(Ok(head))) => head,
            Ok(Ok(Err(refusal))) => {
                // A stranger is told nothing about what was wrong.
                let refusal = if visitor.is_stranger() { Refusal::unauthorized() } else { refusal };
                let _ = refuse(relay, &mut tls, &refusal, false).await;
                break;
            }
            // It has ended, or takes too long.
            Ok(Err(_)) | Err(_) => break,
        };
        let answered = tokio::select! {
            answered = answer(relay, &visitor, &head) => answered,
            () = gone(&mut tls) => return,
        };
        let refusal = match answered {
            Ok(Opened { far: Far::Stream(far), ticket }) => {
                if tls.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_err() {
                    return;
                }
                let ended = copy::tunnel::carry(tls, far, &ticket).await;
                return ticket.ended(ended);
            }
            Ok(Opened { far: Far::Datagrams(socket), ticket }) => {
                if tls.write_all(UPGRADED).await.is_ok() {
                    udp::carry(socket, ticket, udp::OfTunnel(Box::new(tls))).await;
                }
                return;
            }
            // One connection is no room for what comes to a listener.
            Ok(Opened { far: Far::Listener(_), .. }) => Refusal::not_served(),
            Err(refusal) => refusal,
        };
        visitor.was_refused(&refusal);
        // What a client has sent for the tunnel that has not come to be must not be read as its next request. A
        // stranger may ask again, with a token.
        let keep_alive = head.keep_alive && refusal.status == 407 && !visitor.is_tiresome();
        if refuse(relay, &mut tls, &refusal, keep_alive).await.is_err() || !keep_alive {
            break;
        }
        until = Instant::now() + NEXT;
    }
    let _ = timeout(copy::FLUSH, tls.shutdown()).await;
}

/// Waits until nobody waits for an answer any more.
async fn gone(tls: &mut Tls) {
    poll_fn(|cx| {
        // What was sent for the tunnel already stays where it is.
        let failed = matches!(Pin::new(&mut *tls).poll_fill_buf(cx), Poll::Ready(Err(_)));
        match failed || is_broken(tls.get_ref().0.bare().get(), cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

async fn answer(relay: &Arc<Relay>, visitor: &Visitor, head: &Head) -> Result<Opened, Refusal> {
    // Before this nothing is said of the request, however wrong it is.
    let client = visitor.client(relay, head.authorization.as_deref())?;
    let request = head.request.as_ref().map_err(Refusal::clone)?;
    open(relay, &client, visitor, request).await
}

/// The next head; what follows it stays where it is.
async fn read(tls: &mut Tls) -> io::Result<Result<Head, Refusal>> {
    let mut bytes = Vec::new();
    loop {
        let seen = tls.fill_buf().await?;
        if seen.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (before, more) = (bytes.len(), seen.len());
        bytes.extend_from_slice(seen);
        if !head::may_be_whole(&bytes, before) {
            tls.consume(more);
            continue;
        }
        match head::parse(&bytes) {
            Ok(Some((end, head))) => {
                tls.consume(end - before);
                return Ok(Ok(head));
            }
            Ok(None) => tls.consume(more),
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
}

async fn refuse(relay: &Relay, tls: &mut Tls, refusal: &Refusal, keep_alive: bool) -> io::Result<()> {
    let (status, reason) = (refusal.status, refusal.reason());
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    let mut body = "";
    if status == 407 {
        body = token::BODY;
        for challenge in token::CHALLENGES {
            let _ = write!(head, "Proxy-Authenticate: {challenge}\r\n");
        }
    }
    let _ = write!(head, "Proxy-Status: {}\r\n", refusal.proxy_status(&relay.name));
    if !keep_alive {
        head.push_str("Connection: close\r\n");
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n{body}", body.len());
    let said = async {
        tls.write_all(head.as_bytes()).await?;
        tls.flush().await
    };
    timeout(copy::FLUSH, said).await?
}
