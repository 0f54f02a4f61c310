//! The head of a request in HTTP/1.1 (RFC 9112), without I/O. What httparse takes and the RFC does not is
//! refused here.

use httparse::Header;

use super::refusal::Refusal;
use super::request::Request;

/// The longest head, in bytes.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// A head that has been understood, as far as it can be.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Head {
    pub(crate) request: Result<Request, Refusal>,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
    /// Whether another request may follow a refusal.
    pub(crate) keep_alive: bool,
}

/// Whether it is worth the while to parse `bytes`, of which those from `before` on have come just now: there is the end
/// of a head in them, or too much of one.
pub(crate) fn may_be_whole(bytes: &[u8], before: usize) -> bool {
    let new = &bytes[before.saturating_sub(3)..];
    let empty = new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n");
    empty || bytes.len() >= MAX_HEAD || !bytes.starts_with(&b"CONNECT "[..bytes.len().min(8)])
}

/// Whether `bytes` begin with a whole head: its length, and what it says. `None` if more has to come.
///
/// An error is the answer to what is no head at all; what follows cannot be told from it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let end = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) if end <= MAX_HEAD => end,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "http_request_error", "the head of the request is too long"));
        }
        Err(_) => return Err(Refusal::malformed("this is no request of HTTP/1.1")),
    };
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let newer = parsed.version == Some(1);
    let head = understand(method, target, newer, parsed.headers)?;
    Ok(Some((end, head)))
}

fn understand(method: &str, target: &str, newer: bool, headers: &[Header<'_>]) -> Result<Head, Refusal> {
    let values = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| std::str::from_utf8(header.value).unwrap_or_default().trim())
    };
    let count = |name| values(name).count();
    // What a body is, two readers may understand in two ways; a CONNECT has none.
    if count("transfer-encoding") > 0 || values("content-length").any(|value| value != "0") {
        return Err(Refusal::malformed("a request to a relay has no body"));
    }
    // RFC 9112 section 3.2.
    if count("host") > 1 || (newer && count("host") == 0) {
        return Err(Refusal::malformed("a request has one Host"));
    }
    if count("proxy-authorization") > 1 {
        return Err(Refusal::malformed("a request has one Proxy-Authorization"));
    }
    let says = |name, word: &str| {
        values(name).flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
    };
    let closes = says("connection", "close") || says("proxy-connection", "close");
    let request = match method {
        "CONNECT" => Request::authority(target).ok_or_else(Refusal::nowhere),
        // RFC 9298 section 3.2.
        "GET" if newer && says("connection", "upgrade") && says("upgrade", "connect-udp") => {
            Request::udp(path_of(target)).ok_or_else(Refusal::nowhere)
        }
        _ => Err(Refusal::not_served()),
    };
    Ok(Head {
        request,
        authorization: values("proxy-authorization").next().map(str::to_owned),
        keep_alive: newer && !closes,
    })
}

/// The path of a target in absolute form, or of one in origin form.
fn path_of(target: &str) -> &str {
    match target.strip_prefix("https://").and_then(|rest| rest.find('/').map(|at| &rest[at..])) {
        Some(path) => path,
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Head {
        let (end, head) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(end, text.len());
        head
    }

    #[test]
    fn a_connect_is_read_whole_and_not_before() {
        let text = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Bearer x\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let head = read(text);
        assert_eq!(head.request, Ok(Request::authority("a.test:443").unwrap()));
        assert_eq!(head.authorization.as_deref(), Some("Bearer x"));
        assert!(head.keep_alive);
        // What follows is the tunnel's.
        let longer = format!("{text}CONNECT b.test:1 HTTP/1.1\r\n\r\n");
        assert_eq!(parse(longer.as_bytes()).unwrap().unwrap().0, text.len());
    }

    #[test]
    fn a_request_for_datagrams_is_an_upgrade() {
        let head = read(
            "GET /.well-known/masque/udp/192.0.2.6/443/ HTTP/1.1\r\nHost: a.test\r\n\
             Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n",
        );
        assert_eq!(head.request.unwrap().to_string(), "192.0.2.6:443");
        let head = read(
            "GET https://a.test/.well-known/masque/udp/b.test/443/ HTTP/1.1\r\nHost: a.test\r\n\
             Connection: upgrade\r\nUpgrade: connect-udp\r\n\r\n",
        );
        assert_eq!(head.request.unwrap().to_string(), "b.test:443");
        let plain = read("GET /.well-known/masque/udp/192.0.2.6/443/ HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(plain.request.unwrap_err().status, 405);
    }

    #[test]
    fn what_two_readers_may_understand_in_two_ways_is_refused() {
        for lines in [
            "Content-Length: 5\r\nHost: a\r\n",
            "Content-Length: 0, 5\r\nHost: a\r\n",
            "Transfer-Encoding: chunked\r\nHost: a\r\n",
            "Host: a\r\nHost: b\r\n",
            "",
            "Host: a\r\nProxy-Authorization: Bearer a\r\nproxy-authorization: Bearer b\r\n",
            "Host: a\r\n folded: yes\r\n",
            "Host : a\r\n",
            "Host: a\0b\r\n",
        ] {
            let text = format!("CONNECT a.test:1 HTTP/1.1\r\n{lines}\r\n");
            assert_eq!(parse(text.as_bytes()).unwrap_err().status, 400, "{lines}");
        }
        assert_eq!(parse(b"\x16\x03\x01\x02\0").unwrap_err().status, 400);
    }

    #[test]
    fn a_head_has_an_end() {
        let long = format!("CONNECT a.test:1 HTTP/1.1\r\nHost: a\r\nA: {}", "a".repeat(MAX_HEAD));
        assert_eq!(parse(long.as_bytes()).unwrap_err().status, 431);
        let many = format!("CONNECT a.test:1 HTTP/1.1\r\nHost: a\r\n{}", "A: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(parse(many.as_bytes()).unwrap_err().status, 431);
    }

    #[test]
    fn whoever_wants_to_close_or_speaks_http_1_0_is_not_kept() {
        assert!(!read("CONNECT a.test:1 HTTP/1.0\r\n\r\n").keep_alive);
        assert!(!read("CONNECT a.test:1 HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").keep_alive);
        assert_eq!(read("GET / HTTP/1.1\r\nHost: a\r\n\r\n").request.unwrap_err().status, 405);
    }
}
