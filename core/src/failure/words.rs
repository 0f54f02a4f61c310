//! Failures in words, and what to do about them. Neither holds a secret.

use std::fmt;

use super::Failure;

impl Failure {
    /// What a person can do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::UpstreamUnreachable(_) => "underpass --check tries each hop of each chain",
            Self::UpstreamName(_) => {
                "this machine resolves the first hop's name; an address needs no resolver"
            }
            Self::NoAcceptableMethod | Self::Http { status: 407, .. } => LOGIN,
            Self::Challenged => "the proxy forgets its own challenges",
            Self::Unauthorized | Self::Credentials(_) => {
                "check USER:PASSWORD in the proxy's URL, or the file of ?login-file="
            }
            Self::Protocol(_) => "check the scheme of its URL: socks4, socks4a, socks5, http or https",
            Self::Socks5(2) => "the proxy's own rules refuse this destination",
            Self::Socks5(7) | Self::Http { status: 405 | 501, .. } => {
                "the proxy does not carry connections for its clients"
            }
            Self::Socks5(8) => "the proxy has no IPv6, or no names; another hop of the chain may",
            Self::Socks4(92 | 93) => "the proxy asks this machine's identd for the user name in its URL",
            Self::NoDatagrams(_) => "a route can send datagrams by another chain",
            Self::Socks4Destination => "use socks4a, or --dns exit",
            Self::Http { status: 403, told: None } => {
                "the proxy's own rules refuse it; many allow port 443 alone"
            }
            Self::Http { status: 400, .. } => "check the scheme of the proxy's URL: it may speak https",
            Self::NotListening { status: 403, .. } => {
                "[[expose]] of the relay's configuration says who may listen where"
            }
            Self::NotListening { status: 409, .. } => {
                "another port may be free; with port 0 the relay chooses"
            }
            Self::Certificate(_) => "name the authority by ?ca=PATH, or the key by ?pin=sha256//…",
            Self::UnknownKey => {
                "underpass-agent keygen makes a key, and prints the line for the relay's list of keys"
            }
            Self::Tls(_) => "check the scheme of the proxy's URL: http speaks no TLS",
            Self::Ssh(_) => "try ssh -o BatchMode=yes with the same host",
            Self::Route(_) => "underpass --why HOST:PORT shows the route",
            Self::At { failure, .. } => return failure.hint(),
            _ => return None,
        })
    }
}

impl Failure {
    /// One word for each kind, for counting.
    pub fn word(&self) -> &'static str {
        match self {
            Self::UpstreamUnreachable(_) => "upstream_unreachable",
            Self::UpstreamName(_) => "upstream_name",
            Self::TimedOut => "timed_out",
            Self::UpstreamClosed => "upstream_closed",
            Self::Protocol(_) => "protocol",
            Self::NoAcceptableMethod => "no_acceptable_method",
            Self::Unauthorized => "unauthorized",
            Self::Challenged => "challenged",
            Self::Request(_) => "request",
            Self::Credentials(_) => "credentials",
            Self::Socks5(_) => "socks5_reply",
            Self::Socks4(_) => "socks4_reply",
            Self::NoDatagrams(_) => "no_datagrams",
            Self::Socks4Destination => "socks4_destination",
            Self::Http { .. } => "http_status",
            Self::Certificate(_) => "certificate",
            Self::UnknownKey => "unknown_key",
            Self::Tls(_) => "tls",
            Self::Ssh(_) => "ssh",
            Self::Route(_) => "route",
            Self::At { failure, .. } => failure.word(),
            Self::Dial(_) => "dial",
            Self::NameNotFound => "name_not_found",
            Self::UnknownFakeAddress => "unknown_fake_address",
            Self::NotListening { .. } => "not_listening",
            Self::Socket(_) => "socket",
        }
    }
}

const LOGIN: &str = "put USER:PASSWORD into the proxy's URL, or ?login-file=PATH";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpstreamUnreachable(why) => write!(f, "the upstream cannot be reached: {why}"),
            Self::UpstreamName(host) => write!(f, "the upstream's name does not resolve: {host}"),
            Self::TimedOut => f.write_str("no answer within the deadline"),
            Self::UpstreamClosed => f.write_str("the upstream closed the connection during the handshake"),
            Self::Protocol(what) => write!(f, "the upstream broke its protocol: {what}"),
            Self::NoAcceptableMethod => {
                f.write_str("the upstream accepts none of the offered authentication methods")
            }
            Self::Unauthorized => f.write_str("the upstream refused the user name and password"),
            Self::Challenged => f.write_str("the upstream challenges whoever asks to authenticate"),
            Self::Request(why) => write!(f, "the upstream cannot be asked for this: {why}"),
            Self::Credentials(why) => {
                write!(f, "the upstream cannot be told the user name and password: {why}")
            }
            Self::Socks5(code) => {
                let text = socks5(*code);
                write!(f, "the SOCKS5 proxy answered {code}: {text}")
            }
            Self::Socks4(code) => {
                let text = socks4(*code);
                write!(f, "the SOCKS4 proxy answered {code}: {text}")
            }
            Self::Socks4Destination => f.write_str("SOCKS4 carries no names and no IPv6"),
            Self::Http { status, told } => {
                write!(f, "the proxy answered {status}")?;
                http(*status).map_or(Ok(()), |reason| write!(f, " {reason}"))?;
                told.map_or(Ok(()), |errno| write!(f, ": {}", of_errno(errno)))
            }
            Self::NotListening { status, why } if why.is_empty() => {
                write!(f, "the relay does not listen: it answered {status}")?;
                http(*status).map_or(Ok(()), |reason| write!(f, " {reason}"))
            }
            Self::NotListening { why, .. } => write!(f, "the relay does not listen: {why}"),
            Self::Certificate(why) => write!(f, "the proxy's certificate is refused: {why}"),
            Self::UnknownKey => f.write_str("it does not let our key in"),
            Self::Tls(why) => write!(f, "TLS with the proxy failed: {why}"),
            Self::Ssh(why) => write!(f, "ssh: {why}"),
            Self::Route(_) => f.write_str("refused by a route"),
            Self::At { hop, of, name, failure } => write!(f, "hop {hop} of {of}, {name}: {failure}"),
            Self::Dial(errno) => f.write_str(&of_errno(*errno)),
            Self::NameNotFound => f.write_str("the name does not resolve"),
            Self::UnknownFakeAddress => {
                f.write_str("the address stands for a name that this agent does not know")
            }
            Self::Socket(why) | Self::NoDatagrams(why) => f.write_str(why),
        }
    }
}

/// RFC 1928 section 6.
fn socks5(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by ruleset",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unassigned reply",
    }
}

fn socks4(code: u8) -> &'static str {
    match code {
        91 => "request rejected or failed",
        92 => "no identd on the client",
        93 => "the client's identd names another user",
        _ => "unassigned reply",
    }
}

/// RFC 9110 section 15, RFC 6585, RFC 7725. The proxy's own reason phrase is not shown, since anything
/// may stand in it.
fn http(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "bad request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        407 => "proxy authentication required",
        408 => "request timeout",
        410 => "gone",
        421 => "misdirected request",
        429 => "too many requests",
        451 => "unavailable for legal reasons",
        500 => "internal server error",
        501 => "not implemented",
        502 => "bad gateway",
        503 => "service unavailable",
        504 => "gateway timeout",
        505 => "HTTP version not supported",
        511 => "network authentication required",
        _ => return None,
    })
}

fn of_errno(errno: i32) -> String {
    reason(&std::io::Error::from_raw_os_error(errno))
}

/// A text without Rust's numbers of a system's reasons (`(os error 24)`).
pub fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once(')').map_or("", |(_, rest)| rest))
}

/// A system's reason for a person: as strerror(3) has it, in lower case, without Rust's number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
