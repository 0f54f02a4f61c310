//! What whoever asks for metrics says, without I/O.
//!
//! A web page may have its own name lead to loopback (DNS rebinding); so whoever asks at a port has to say that it is
//! loopback that they ask.
#![forbid(unsafe_code)]

use std::net::IpAddr;

/// The longest request, in bytes.
const LONGEST: usize = 8 * 1024;
const HEADERS: usize = 64;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Metrics,
    /// A status with its reason, and why.
    No(&'static str, &'static str),
    /// It has not come in full.
    More,
}

/// Reads what has come so far; `is_port`: to a port, which a web page can reach.
pub(crate) fn asked(head: &[u8], is_port: bool) -> Asked {
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
