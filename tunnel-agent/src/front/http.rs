//! The server's side of HTTP `CONNECT` (RFC 9110 section 9.3.6), as far as a front door needs it, without I/O.
#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};

use super::asked::{Asked, Parsed, Refused, named};
use crate::upstream::handshake::head_end;

/// No request's head is longer, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// No request has more header fields.
const MAX_FIELDS: usize = 100;

/// Reads a request. `admits` says whether a user with this name and password may come in, or one who gives none.
pub(crate) fn request(bytes: &[u8], admits: impl Fn(Option<(&[u8], &[u8])>) -> bool) -> Parsed<Asked> {
    if bytes.first().is_some_and(|first| !begins_request(*first)) {
        return Some(Err(refusal(NO_REQUEST)));
    }
    let Some(end) = head_end(bytes.get(..MAX_HEAD).unwrap_or(bytes)) else {
        let long = ("431 Request Header Fields Too Large", "the head is too long\n");
        return (bytes.len() >= MAX_HEAD).then(|| Err(refusal(long)));
    };
    Some(match judge(&bytes[..end], admits) {
        Ok(destination) => Ok((Asked::Connect(destination), end)),
        Err(refused) => Err(refusal(refused)),
    })
}

type Status = (&'static str, &'static str);

const NO_REQUEST: Status = ("400 Bad Request", "not a request of HTTP/1\n");

/// Whether a request can begin so: with the first letter of a method (RFC 9110 section 5.6.2), or with an empty line (RFC
/// 9112 section 2.2). TLS and other protocols are told at once.
fn begins_request(first: u8) -> bool {
    matches!(first, b'\r' | b'\n') || first.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&first)
}

fn judge(head: &[u8], admits: impl Fn(Option<(&[u8], &[u8])>) -> bool) -> Result<Destination, Status> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(NO_REQUEST),
    }
    let login = request.headers.iter().find_map(basic);
    let login = login.as_deref().and_then(|login| {
        let colon = login.iter().position(|&byte| byte == b':')?;
        Some((&login[..colon], &login[colon + 1..]))
    });
    if !admits(login) {
        return Err((LOGIN_WANTED, "this proxy asks who you are\n"));
    }
    if request.method != Some("CONNECT") {
        return Err(("501 Not Implemented", "only CONNECT is carried here; SOCKS5 carries everything\n"));
    }
    let authority = request.path.unwrap_or_default();
    authority
        .rsplit_once(':')
        .and_then(|(host, port)| {
            let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
            // An address of IPv6 is in brackets, and nothing else is (RFC 3986 section 3.2.2).
            let is_v6 = host.contains(':');
            let host = match host.strip_prefix('[') {
                Some(host) => host.strip_suffix(']').filter(|_| is_v6)?,
                None => Some(host).filter(|_| !is_v6)?,
            };
            named(host.as_bytes(), port)
        })
        .ok_or(("400 Bad Request", "CONNECT wants HOST:PORT\n"))
}

/// What is in a field of credentials (RFC 7617 section 2): name, colon, password.
fn basic(field: &httparse::Header<'_>) -> Option<Vec<u8>> {
    let is_ours = field.name.eq_ignore_ascii_case("Proxy-Authorization");
    let (scheme, value) = field.value.split_at_checked(6).filter(|_| is_ours)?;
    scheme.eq_ignore_ascii_case(b"Basic ").then(|| STANDARD.decode(value.trim_ascii()).ok())?
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
    answer(status, &format!("{failure}\n"))
}

const LOGIN_WANTED: &str = "407 Proxy Authentication Required";

fn refusal((status, why): Status) -> Refused {
    Refused(answer(status, why))
}

fn answer(status: &str, why: &str) -> Vec<u8> {
    let length = why.len();
    let challenge =
        if status == LOGIN_WANTED { "Proxy-Authenticate: Basic realm=\"underpass\"\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\n{challenge}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{why}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::{refused, taken};
    use super::*;

    fn open(bytes: &[u8]) -> Parsed<Asked> {
        request(bytes, |_| true)
    }

    /// With this in the first line.
    fn head(line: &str) -> Vec<u8> {
        format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
    }

    #[track_caller]
    fn status(answer: &[u8]) -> String {
        let line = answer.split(|&byte| byte == b'\r').next().unwrap();
        String::from_utf8(line.strip_prefix(b"HTTP/1.1 ").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn only_connect_with_host_and_port_is_taken() {
        let address = |to: &str| Destination::Address(to.parse().unwrap());
        for (line, to) in [
            ("CONNECT example.org:443", Destination::Name { host: "example.org".to_owned(), port: 443 }),
            ("CONNECT [2001:db8::1]:22", address("[2001:db8::1]:22")),
            ("CONNECT 192.0.2.1:22", address("192.0.2.1:22")),
        ] {
            assert_eq!(taken(open, &head(line)), Asked::Connect(to));
        }
        for bad in [
            "CONNECT x",
            "CONNECT x:",
            "CONNECT x:+1",
            "CONNECT x:70000",
            "CONNECT :1",
            "CONNECT [x:1",
            "CONNECT [x]:1",
            "CONNECT 2001:db8::1:22",
            "CONNECT [fe80::1%25eth0]:22",
        ] {
            assert_eq!(status(&refused(open, &head(bad))), "400 Bad Request", "{bad}");
        }
        assert_eq!(status(&refused(open, &head("GET http://x/"))), "501 Not Implemented");
        assert_eq!(status(&refused(open, b"\x16")), "400 Bad Request");
        taken(open, b"\r\nCONNECT a:1 HTTP/1.1\r\n\r\n");
        let long = "431 Request Header Fields Too Large";
        assert_eq!(status(&refused(open, &[b'x'; MAX_HEAD])), long);
        let late = [&head("CONNECT a:1")[..16], &[b'x'; MAX_HEAD], b"\r\n\r\n"].concat();
        assert_eq!(status(&refused(open, &late)), long);
    }

    #[test]
    fn who_may_not_come_in_learns_nothing_else() {
        let guarded = |bytes: &[u8]| request(bytes, |login| login == Some((b"me", b"a:b")));
        let with = |line: &str, field: &str| format!("{line} HTTP/1.1\r\n{field}\r\n\r\n").into_bytes();
        let good = with("CONNECT a:1", "Proxy-Authorization: basic bWU6YTpi");
        taken(guarded, &good);
        for (line, field) in [
            ("CONNECT a:1", "A: b"),
            ("GET /", "A: b"),
            ("CONNECT a:1", "Proxy-Authorization: Basic bWU6YTpj"),
            ("CONNECT a:1", "Proxy-Authorization: Basic !"),
            ("CONNECT a:1", "Proxy-Authorization: Digest x"),
            ("CONNECT a:1", "Authorization: Basic bWU6YTpi"),
        ] {
            let answer = refused(guarded, &with(line, field));
            assert_eq!(status(&answer), LOGIN_WANTED, "{line} {field}");
            assert!(String::from_utf8(answer).unwrap().contains("\r\nProxy-Authenticate: Basic "));
        }
    }

    #[test]
    fn what_has_failed_has_a_status_and_its_words() {
        for (failure, wanted) in [
            (Failure::UpstreamClosed, "502 Bad Gateway"),
            (Failure::TimedOut, "504 Gateway Timeout"),
            (Failure::Unauthorized, "403 Forbidden"),
        ] {
            let answer = failed(&failure);
            assert_eq!(status(&answer), wanted);
            assert!(String::from_utf8(answer).unwrap().ends_with(&format!("\r\n\r\n{failure}\n")));
        }
    }
}
