//! One table from what went wrong beyond the program to the errno that its `connect()` returns.
//!
//! `connect()` returns only what connect(2) or POSIX documents for it. A fault of the upstream
//! itself is never `ECONNREFUSED`: that is what the *destination* says, and port scanners,
//! database clients and retry loops act on it.

use std::fmt;

/// Linux errno values (asm-generic/errno.h), the same on x86-64 and aarch64. Written out so that
/// this crate needs no libc.
pub mod errno {
    #![allow(missing_docs, reason = "the names are those of errno(3)")]
    pub const EACCES: i32 = 13;
    pub const EINVAL: i32 = 22;
    pub const EOPNOTSUPP: i32 = 95;
    pub const EAFNOSUPPORT: i32 = 97;
    pub const EADDRINUSE: i32 = 98;
    pub const EADDRNOTAVAIL: i32 = 99;
    pub const ENETUNREACH: i32 = 101;
    pub const ECONNRESET: i32 = 104;
    pub const EISCONN: i32 = 106;
    pub const ETIMEDOUT: i32 = 110;
    pub const ECONNREFUSED: i32 = 111;
    pub const EHOSTUNREACH: i32 = 113;
    pub const EALREADY: i32 = 114;
}

/// Why a connection through an upstream did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The first hop cannot be reached; the text is the reason.
    UpstreamUnreachable(String),
    /// The upstream's own name does not resolve.
    UpstreamName(String),
    /// Nothing came of it within the deadline.
    TimedOut,
    /// The upstream closed or reset the connection during the handshake.
    UpstreamClosed,
    /// The upstream broke its protocol; the text says how.
    Protocol(&'static str),
    /// The upstream wants a way to authenticate that was not offered.
    NoAcceptableMethod,
    /// The upstream refused the user name and password.
    Unauthorized,
    /// A SOCKS5 reply code other than success (RFC 1928 section 6).
    Socks5(u8),
    /// A SOCKS4 reply code other than 90 (request granted).
    Socks4(u8),
    /// SOCKS4 carries no names and no addresses of IPv6.
    Socks4Destination,
    /// An HTTP status other than 2xx in answer to `CONNECT`, and the errno that the proxy tells beside
    /// it, if it does (Proxy-Status, RFC 9209; X-Squid-Error).
    Http {
        /// 100 to 999.
        status: u16,
        /// What the proxy says about the destination, as an errno.
        told: Option<i32>,
    },
    /// The proxy is not the one that is meant; the text says why its certificate was refused.
    Certificate(String),
    /// TLS with the proxy failed otherwise.
    Tls(String),
    /// `ssh` ended; the text is its last word.
    Ssh(String),
    /// A route says so.
    Route(i32),
    /// A hop of a chain failed.
    At {
        /// From 1.
        hop: usize,
        /// How many the path has.
        of: usize,
        /// Its URL, without credentials.
        name: String,
        /// Why.
        failure: Box<Failure>,
    },
    /// A dial from this machine failed with this errno (`local:` and `direct`).
    Dial(i32),
    /// The name does not resolve where it is resolved.
    NameNotFound,
    /// A fake address that this agent's table does not know.
    UnknownFakeAddress,
    /// The socket cannot be carried by any mechanism; the text says why.
    Socket(&'static str),
}

impl Failure {
    /// The errno that the program's `connect()` returns.
    pub fn errno(&self) -> i32 {
        match self {
            Self::UpstreamUnreachable(_) | Self::UpstreamName(_) | Self::Socket(_) => errno::ENETUNREACH,
            Self::TimedOut => errno::ETIMEDOUT,
            Self::UpstreamClosed | Self::Protocol(_) => errno::ECONNRESET,
            Self::NoAcceptableMethod | Self::Unauthorized => errno::EACCES,
            Self::Socks5(code) => match code {
                2 => errno::EACCES,
                4 => errno::EHOSTUNREACH,
                5 => errno::ECONNREFUSED,
                6 => errno::ETIMEDOUT,
                7 => errno::EOPNOTSUPP,
                8 => errno::EAFNOSUPPORT,
                // 1 (general failure), 3 (network unreachable), and what RFC 1928 leaves unassigned.
                _ => errno::ENETUNREACH,
            },
            Self::Socks4(code) => match code {
                // The identd of the client did not confirm the user (92, 93).
                92 | 93 => errno::EACCES,
                _ => errno::ENETUNREACH,
            },
            Self::Socks4Destination => errno::EAFNOSUPPORT,
            Self::Http { told: Some(errno), .. } => documented(*errno),
            Self::Http { status, told: None } => match status {
                401 | 403 | 405 | 407 => errno::EACCES,
                404 | 410 | 502 | 503 => errno::EHOSTUNREACH,
                408 | 504 => errno::ETIMEDOUT,
                _ => errno::ENETUNREACH,
            },
            Self::Certificate(_) => errno::EACCES,
            Self::Tls(_) => errno::ECONNRESET,
            Self::Ssh(_) => errno::ENETUNREACH,
            Self::Route(errno) => *errno,
            Self::At { failure, .. } => failure.errno(),
            Self::Dial(errno) => documented(*errno),
            Self::NameNotFound | Self::UnknownFakeAddress => errno::EHOSTUNREACH,
        }
    }
}

/// What connect(2) may say; anything else that a dial met (no descriptor, no memory) is the agent's
/// own trouble.
pub fn documented(errno: i32) -> i32 {
    use errno::*;
    match errno {
        EACCES | EOPNOTSUPP | EAFNOSUPPORT | EADDRNOTAVAIL | ENETUNREACH | ECONNRESET | ETIMEDOUT
        | ECONNREFUSED | EHOSTUNREACH | EADDRINUSE | EALREADY | EISCONN | EINVAL => errno,
        _ => ENETUNREACH,
    }
}

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
            Self::Socks5(code) => {
                let text = match code {
                    1 => "general failure",
                    2 => "not allowed by ruleset",
                    3 => "network unreachable",
                    4 => "host unreachable",
                    5 => "connection refused",
                    6 => "TTL expired",
                    7 => "command not supported",
                    8 => "address type not supported",
                    _ => "unassigned reply",
                };
                write!(f, "the SOCKS5 proxy answered {code}: {text}")
            }
            Self::Socks4(code) => {
                let text = match code {
                    91 => "request rejected or failed",
                    92 => "no identd on the client",
                    93 => "the client's identd names another user",
                    _ => "unassigned reply",
                };
                write!(f, "the SOCKS4 proxy answered {code}: {text}")
            }
            Self::Socks4Destination => {
                f.write_str("SOCKS4 carries no names and no IPv6; use socks4a, or --dns exit")
            }
            Self::Http { status, told } => {
                write!(f, "the proxy answered {status}")?;
                told.map_or(Ok(()), |errno| write!(f, ": {}", std::io::Error::from_raw_os_error(errno)))
            }
            Self::Certificate(why) => write!(f, "the proxy's certificate is refused: {why}"),
            Self::Tls(why) => write!(f, "TLS with the proxy failed: {why}"),
            Self::Ssh(why) => write!(f, "ssh: {why}"),
            Self::Route(_) => f.write_str("refused by a route"),
            Self::At { hop, of, name, failure } => write!(f, "hop {hop} of {of}, {name}: {failure}"),
            Self::Dial(errno) => std::io::Error::from_raw_os_error(*errno).fmt(f),
            Self::NameNotFound => f.write_str("the name does not resolve"),
            Self::UnknownFakeAddress => {
                f.write_str("the address stands for a name that this agent does not know")
            }
            Self::Socket(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socks5_reply_has_its_errno() {
        let table = [
            (1, errno::ENETUNREACH),
            (2, errno::EACCES),
            (3, errno::ENETUNREACH),
            (4, errno::EHOSTUNREACH),
            (5, errno::ECONNREFUSED),
            (6, errno::ETIMEDOUT),
            (7, errno::EOPNOTSUPP),
            (8, errno::EAFNOSUPPORT),
            (9, errno::ENETUNREACH),
            (255, errno::ENETUNREACH),
        ];
        for (code, errno) in table {
            assert_eq!(Failure::Socks5(code).errno(), errno, "reply {code}");
        }
    }

    #[test]
    fn a_dial_that_lacks_a_descriptor_says_only_that_nothing_can_be_reached() {
        assert_eq!(Failure::Dial(errno::ECONNREFUSED).errno(), errno::ECONNREFUSED);
        assert_eq!(Failure::Dial(24).errno(), errno::ENETUNREACH, "EMFILE");
    }

    #[test]
    fn a_fault_of_the_upstream_never_reads_as_a_refusal_by_the_destination() {
        for failure in [
            Failure::UpstreamUnreachable(String::new()),
            Failure::UpstreamName(String::new()),
            Failure::UpstreamClosed,
            Failure::Protocol(""),
            Failure::NoAcceptableMethod,
            Failure::Unauthorized,
            Failure::TimedOut,
        ] {
            assert_ne!(failure.errno(), errno::ECONNREFUSED, "{failure}");
        }
    }
}
