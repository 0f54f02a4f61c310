//! Where the front door listens, as it is written on the command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// What is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SOCKS version 5 (RFC 1928), 4 and 4a.
    Socks,
    /// `CONNECT` of HTTP/1.1 (RFC 9110 section 9.3.6).
    Http,
    /// All of these; the first byte tells.
    Any,
}

impl Kind {
    /// The schemes; the first of a kind is how it is written.
    const SCHEMES: [(&str, Self); 7] = [
        ("socks5", Self::Socks),
        ("socks5h", Self::Socks),
        ("socks4", Self::Socks),
        ("socks4a", Self::Socks),
        ("socks", Self::Socks),
        ("http", Self::Http),
        ("any", Self::Any),
    ];

    fn scheme(self) -> &'static str {
        Self::SCHEMES.iter().find(|(_, kind)| *kind == self).map_or("", |(scheme, _)| scheme)
    }
}

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Address(SocketAddr),
    /// A Unix socket, whose file says who may come in.
    Path(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// `socks5://127.0.0.1:1080`, `http://127.0.0.1:8080`, `any:///run/user/1000/proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) kind: Kind,
    /// On loopback, where nobody is asked who they are.
    pub(crate) place: Place,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.place)
    }
}

impl FromStr for Door {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, place) =
            text.split_once("://").ok_or("no socks5://, http:// or any:// before the address")?;
        let known = Kind::SCHEMES.iter().find(|(known, _)| *known == scheme);
        let (_, kind) = known.ok_or_else(|| format!("{scheme:?} is neither socks5, http nor any"))?;
        let place = match place.strip_prefix('/') {
            Some(_) => Place::Path(place.into()),
            None => {
                let address: SocketAddr = place.strip_suffix('/').unwrap_or(place).parse().map_err(|_| {
                    format!("{place:?} is no address with a port, as 127.0.0.1:1080 or [::1]:1080")
                })?;
                if !address.ip().is_loopback() {
                    return Err(format!(
                        "{} is not on loopback, and whoever reaches it could use it",
                        address.ip()
                    ));
                }
                Place::Address(address)
            }
        };
        Ok(Self { kind: *kind, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_on_loopback_and_written_as_urls() {
        for good in ["socks5://127.0.0.1:1080", "http://[::1]:8080", "any://127.9.9.9:0", "any:///run/door"] {
            assert_eq!(good.parse::<Door>().unwrap().to_string(), good);
        }
        assert_eq!("socks5h://[::1]:1/".parse::<Door>().unwrap().to_string(), "socks5://[::1]:1");
        for (bad, why) in [
            ("127.0.0.1:1080", "no socks5://"),
            ("https://127.0.0.1:1080", "neither socks5, http nor any"),
            ("socks5://0.0.0.0:1080", "not on loopback"),
            ("http://192.0.2.1:80", "not on loopback"),
            ("socks5://localhost:1080", "is no address with a port"),
            ("socks5://127.0.0.1", "is no address with a port"),
            ("http://user:secret@127.0.0.1:80", "is no address with a port"),
        ] {
            assert!(bad.parse::<Door>().unwrap_err().contains(why), "{bad}");
        }
    }
}
