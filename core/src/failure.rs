//! One table from what went wrong beyond the program to the errno that its `connect()` returns, to what
//! its `getaddrinfo()` returns, and to words.
//!
//! `connect()` returns only what connect(2) or POSIX documents for it. A fault of the upstream
//! itself is never `ECONNREFUSED`: that is what the *destination* says, and port scanners,
//! database clients and retry loops act on it.

mod words;

pub use words::{reason, without_numbers};

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

/// What `getaddrinfo()` returns (`netdb.h`), the same in glibc and musl.
pub mod eai {
    #![allow(missing_docs, reason = "the names are those of getaddrinfo(3)")]
    pub const EAI_NONAME: i32 = -2;
    pub const EAI_AGAIN: i32 = -3;
    pub const EAI_FAIL: i32 = -4;
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
    /// The upstream challenges before it lets anybody in; whoever dials anew can answer.
    Challenged,
    /// The upstream cannot be asked for this in its protocol; the text says why not. It is about the destination.
    Request(&'static str),
    /// The upstream's protocol has no room for these credentials; the text says why not.
    Credentials(&'static str),
    /// A SOCKS5 reply code other than success (RFC 1928 section 6).
    Socks5(u8),
    /// A SOCKS4 reply code other than 90 (request granted).
    Socks4(u8),
    /// A hop carries no datagrams; the text says why.
    NoDatagrams(&'static str),
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
    /// A relay does not listen for us.
    NotListening {
        /// Its HTTP status, 300 to 999.
        status: u16,
        /// Its own words, or none.
        why: String,
    },
    /// The proxy is not the one that is meant; the text says why its certificate was refused.
    Certificate(String),
    /// The relay does not let in whoever shows this key, or none.
    UnknownKey,
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
            Self::UpstreamUnreachable(_) | Self::UpstreamName(_) => errno::ENETUNREACH,
            Self::Socket(_) | Self::NoDatagrams(_) => errno::ENETUNREACH,
            Self::TimedOut => errno::ETIMEDOUT,
            Self::UpstreamClosed | Self::Protocol(_) => errno::ECONNRESET,
            Self::NoAcceptableMethod | Self::Unauthorized | Self::Challenged | Self::Credentials(_) => {
                errno::EACCES
            }
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
                401 | 403 | 405 | 407 | 451 | 511 => errno::EACCES,
                404 | 410 | 502 | 503 => errno::EHOSTUNREACH,
                408 | 504 => errno::ETIMEDOUT,
                _ => errno::ENETUNREACH,
            },
            Self::NotListening { status, .. } => match status {
                409 => errno::EADDRINUSE,
                422 => errno::EADDRNOTAVAIL,
                _ => errno::EACCES,
            },
            Self::Certificate(_) | Self::UnknownKey => errno::EACCES,
            Self::Tls(_) => errno::ECONNRESET,
            Self::Ssh(_) => errno::ENETUNREACH,
            Self::Route(errno) => *errno,
            Self::At { failure, .. } => failure.errno(),
            Self::Dial(errno) => documented(*errno),
            Self::Request(_) | Self::NameNotFound | Self::UnknownFakeAddress => errno::EHOSTUNREACH,
        }
    }

    /// The failure without the hop at fault.
    pub fn bare(&self) -> &Self {
        match self {
            Self::At { failure, .. } => failure.bare(),
            failure => failure,
        }
    }

    /// What the program's `getaddrinfo()` returns if this came of asking for a name.
    ///
    /// [`EAI_NONAME`](eai::EAI_NONAME) only where the name itself is said not to exist, since programs
    /// take it as final; [`EAI_FAIL`](eai::EAI_FAIL) where asking again is of no use until somebody
    /// changes something.
    pub fn eai(&self) -> i32 {
        match self {
            Self::NameNotFound | Self::UnknownFakeAddress | Self::Request(_) => eai::EAI_NONAME,
            // "Host unreachable" is what proxies answer that could not resolve a name.
            Self::Socks5(4) => eai::EAI_NONAME,
            Self::Http { told: Some(errno::EHOSTUNREACH), .. } => eai::EAI_NONAME,
            Self::At { failure, .. } => failure.eai(),
            Self::Certificate(_) | Self::Tls(_) | Self::Protocol(_) | Self::Route(_) => eai::EAI_FAIL,
            _ => match self.errno() {
                errno::EACCES | errno::EINVAL | errno::EOPNOTSUPP | errno::EAFNOSUPPORT => eai::EAI_FAIL,
                _ => eai::EAI_AGAIN,
            },
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

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests;
