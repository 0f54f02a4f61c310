//! Where the front door listens, as it is written on the command line.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// What is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SOCKS version 5 (RFC 1928), without authentication.
    Socks5,
    /// `CONNECT` of HTTP/1.1 (RFC 9110 section 9.3.6).
    Http,
}

/// `socks5://127.0.0.1:1080` or `http://127.0.0.1:8080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) kind: Kind,
    /// On loopback: nobody is asked who they are.
    pub(crate) address: SocketAddr,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Socks5 => "socks5",
            Kind::Http => "http",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl FromStr for Door {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, address) = text.split_once("://").ok_or("no socks5:// or http:// before the address")?;
        let kind = match scheme {
            "socks5" | "socks5h" => Kind::Socks5,
            "http" => Kind::Http,
            _ => return Err(format!("{scheme:?} is neither socks5 nor http")),
        };
        let address: SocketAddr =
            address.strip_suffix('/').unwrap_or(address).parse().map_err(|_| {
                format!("{address:?} is no address with a port, as 127.0.0.1:1080 or [::1]:1080")
            })?;
        if !address.ip().is_loopback() {
            return Err(format!("{} is not on loopback, and whoever reaches it could use it", address.ip()));
        }
        Ok(Self { kind, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_on_loopback_and_written_as_urls() {
        for good in ["socks5://127.0.0.1:1080", "http://[::1]:8080", "socks5://127.9.9.9:0"] {
            assert_eq!(good.parse::<Door>().unwrap().to_string(), good);
        }
        assert_eq!("socks5h://[::1]:1/".parse::<Door>().unwrap().to_string(), "socks5://[::1]:1");
        for (bad, why) in [
            ("127.0.0.1:1080", "no socks5://"),
            ("socks4://127.0.0.1:1080", "neither socks5 nor http"),
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
