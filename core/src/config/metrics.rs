//! Where metrics are served: a Unix socket, or a port on loopback, which every user of this machine can read.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest path of a Unix socket, in bytes (unix(7)).
const LONGEST: usize = 107;

/// Where metrics are served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Metrics {
    /// An absolute path.
    Unix(PathBuf),
    /// An address of loopback, and a port.
    Loopback(SocketAddr),
}

impl FromStr for Metrics {
    type Err = String;

    /// `unix:/PATH`, `127.0.0.1:PORT` or `[::1]:PORT`. The error is for a person.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = "metrics is \"unix:/PATH\", \"127.0.0.1:PORT\" or \"[::1]:PORT\"";
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                _ if path.len() > LONGEST => Err(format!("a Unix socket's path has at most {LONGEST} bytes")),
                _ if !path.starts_with('/') || path.contains('\0') => Err(known.to_owned()),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        let address: SocketAddr = text.parse().map_err(|_| known.to_owned())?;
        match (address.ip().to_canonical().is_loopback(), address.port()) {
            (false, _) => Err(format!(
                "{} is no loopback address: metrics name chains and proxies, and are for this machine alone",
                address.ip()
            )),
            (_, 0) => Err(known.to_owned()),
            _ => Ok(Self::Loopback(address)),
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Loopback(address) => address.fmt(f),
        }
    }
}

impl TryFrom<String> for Metrics {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Metrics> for String {
    fn from(place: Metrics) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_can_be_told() {
        for text in ["unix:/run/underpass/metrics.sock", "127.0.0.1:9469", "127.9.9.9:1", "[::1]:9469"] {
            assert_eq!(text.parse::<Metrics>().map(|place| place.to_string()).as_deref(), Ok(text));
            // As a session is kept.
            assert_eq!(Metrics::try_from(text.to_owned()).map(String::from).as_deref(), Ok(text));
        }
        let why = "0.0.0.0:9469".parse::<Metrics>().unwrap_err();
        assert!(why.starts_with("0.0.0.0 is no loopback address: "), "{why}");
        for text in ["[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            assert!(text.parse::<Metrics>().unwrap_err().contains(" is no loopback address"), "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(LONGEST));
        for text in ["", "unix:", "unix:relative", "9469", "localhost:9469", "127.0.0.1:0", "unix:/\0", &long]
        {
            assert!(!text.parse::<Metrics>().unwrap_err().contains("loopback address"), "{text}");
        }
    }
}
