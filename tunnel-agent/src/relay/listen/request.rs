//! What is asked for to listen, without I/O: paths of an extended CONNECT, and the words of the answer.

use std::net::IpAddr;

use crate::relay::policy::exposing::Wish;

/// The protocols, each with its version (RFC 8441 section 4).
pub(crate) const LISTEN: &str = "underpass-listen-1";
pub(crate) const ACCEPT: &str = "underpass-accept-1";

const LISTEN_PATH: &str = "/.well-known/underpass/listen/";
const ACCEPT_PATH: &str = "/.well-known/underpass/accept/";

/// Where it listens.
pub(crate) const BOUND: &str = "underpass-bound";
/// What to say to take a listener up again.
pub(crate) const RESUME: &str = "underpass-resume";
/// Where a connection leaves the relay from, for those who may listen.
pub(crate) const LOCAL: &str = "underpass-local";

/// Names a connection that waits, or a listener: nobody can guess one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) [u8; 16]);

impl Id {
    /// 32 digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = plain.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// `…/listen/HOST/PORT/`: an address with its colons escaped, or `*`; port 0 is any.
pub(crate) fn wish(path: &str) -> Option<Wish> {
    let rest = path.strip_prefix(LISTEN_PATH)?;
    let (host, port) = rest.strip_suffix('/').unwrap_or(rest).split_once('/')?;
    let ip: Option<IpAddr> = match host {
        "*" => None,
        host => Some(host.replace("%3A", ":").replace("%3a", ":").parse().ok()?),
    };
    let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    Some(Wish { ip, port: plain.then(|| port.parse().ok()).flatten()? })
}

/// The path that [`wish`] reads.
pub(crate) fn listen_path(wish: Wish) -> String {
    let host = wish.ip.map_or("*".to_owned(), |ip| ip.to_string().replace(':', "%3A"));
    format!("{LISTEN_PATH}{host}/{}/", wish.port)
}

/// `…/accept/ID/`
pub(crate) fn taken(path: &str) -> Option<Id> {
    let rest = path.strip_prefix(ACCEPT_PATH)?;
    Id::parse(rest.strip_suffix('/').unwrap_or(rest))
}

/// The path that [`taken`] reads.
pub(crate) fn accept_path(id: Id) -> String {
    format!("{ACCEPT_PATH}{id}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for ip in [None, Some("0.0.0.0"), Some("192.0.2.1"), Some("2001:db8::1"), Some("::")] {
            for port in [0, 1, 65_535] {
                let wished = Wish { ip: ip.map(|ip| ip.parse().unwrap()), port };
                assert_eq!(wish(&listen_path(wished)), Some(wished));
            }
        }
        let id = Id(*b"\0\xff34567890abcdef");
        assert_eq!(taken(&accept_path(id)), Some(id));
        let odd = ["", "/", "name/1/", "1.2.3.4/", "1.2.3.4/+1/", "1.2.3.4/65536/", "*/1/2/", "[::]/1/"];
        for path in odd {
            assert_eq!(wish(&format!("{LISTEN_PATH}{path}")), None, "{path}");
        }
        for path in ["", "0", "g0000000000000000000000000000000", "A0000000000000000000000000000000/x"] {
            assert_eq!(taken(&format!("{ACCEPT_PATH}{path}")), None, "{path}");
        }
    }
}
