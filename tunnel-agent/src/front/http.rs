//! The server's side of HTTP `CONNECT` (RFC 9110 section 9.3.6), as far as a front door needs it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};

use crate::upstream::handshake::head_end;

/// No request's head is longer, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// No request has more header fields.
const MAX_FIELDS: usize = 100;

/// Reads a request; `None` after a refusal that has been answered.
pub(super) async fn asked(stream: &mut TcpStream) -> io::Result<Option<Destination>> {
    let Some(head) = head(stream).await? else {
        stream.write_all(&refusal("431 Request Header Fields Too Large", "the head is too long\n")).await?;
        return Ok(None);
    };
    let (status, why) = match judge(&head) {
        Ok(destination) => return Ok(Some(destination)),
        Err(refused) => refused,
    };
    stream.write_all(&refusal(status, why)).await?;
    Ok(None)
}

/// The head, and not a byte more: what follows is for whoever is at the far end. `None` if it is too long.
async fn head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while head.len() < MAX_HEAD {
        let seen = stream.peek(&mut piece).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = head.len();
        head.extend(&piece[..seen]);
        let end = head_end(&head);
        head.truncate(end.unwrap_or(head.len()));
        let take = head.len() - before;
        stream.read_exact(&mut piece[..take]).await?;
        if end.is_some() {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

type Refused = (&'static str, &'static str);

fn judge(head: &[u8]) -> Result<Destination, Refused> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(("400 Bad Request", "not a request of HTTP/1\n")),
    }
    if request.method != Some("CONNECT") {
        return Err(("501 Not Implemented", "only CONNECT is carried here; SOCKS5 carries everything\n"));
    }
    let authority = request.path.unwrap_or_default();
    authority
        .rsplit_once(':')
        .and_then(|(host, port)| {
            let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
            let host = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'))?;
            super::visit::named(host.as_bytes(), port)
        })
        .ok_or(("400 Bad Request", "CONNECT wants HOST:PORT\n"))
}

/// The answer to a request that is carried.
pub(super) const CARRIED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The answer to one that came to nothing.
pub(super) fn failed(failure: &Failure) -> Vec<u8> {
    let status = match failure.errno() {
        errno::EACCES => "403 Forbidden",
        errno::ETIMEDOUT => "504 Gateway Timeout",
        _ => "502 Bad Gateway",
    };
    refusal(status, &format!("{failure}\n"))
}

fn refusal(status: &str, why: &str) -> Vec<u8> {
    let length = why.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{why}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connect_with_host_and_port_is_taken() {
        let judged = |line: &str| judge(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(
            judged("CONNECT example.org:443").unwrap(),
            Destination::Name { host: "example.org".to_owned(), port: 443 }
        );
        assert_eq!(
            judged("CONNECT [2001:db8::1]:22").unwrap(),
            Destination::Address("[2001:db8::1]:22".parse().unwrap())
        );
        assert_eq!(
            judged("CONNECT 192.0.2.1:22").unwrap(),
            Destination::Address("192.0.2.1:22".parse().unwrap())
        );
        for bad in
            ["CONNECT x", "CONNECT x:", "CONNECT x:+1", "CONNECT x:70000", "CONNECT :1", "CONNECT [x:1"]
        {
            assert_eq!(judged(bad).unwrap_err().0, "400 Bad Request", "{bad}");
        }
        assert_eq!(judged("GET http://x/").unwrap_err().0, "501 Not Implemented");
        assert_eq!(judge(b"\x16\x03\x01\r\n\r\n").unwrap_err().0, "400 Bad Request");
    }
}
