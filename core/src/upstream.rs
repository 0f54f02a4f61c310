//! Upstreams as URLs, spelled as for curl.

use std::fmt;
use std::net::IpAddr;

use fluent_uri::Uri;
use fluent_uri::component::Host;

/// What the agent dials through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Upstream {
    /// `local:`, inside the agent, leaving from this machine.
    Local,
    /// `socks5://` and `socks5h://`, which mean the same: names are resolved by the proxy.
    Socks5 {
        /// Where the proxy listens.
        host: HopHost,
        /// TCP port, 1080 if the URL names none.
        port: u16,
        /// User name and password (RFC 1929), each 1 to 255 bytes.
        credentials: Option<Credentials>,
    },
}

/// The host of an upstream: it is dialled from this machine, so a name is resolved here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HopHost {
    /// A numeric address.
    Address(IpAddr),
    /// A name.
    Name(String),
}

/// A user name and a password, percent-decoded. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// 1 to 255 bytes.
    pub user: Vec<u8>,
    /// 1 to 255 bytes.
    pub password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Why a URL is not an upstream. The text never repeats the URL's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Not a URL at all.
    Syntax,
    /// No host.
    NoHost,
    /// A scheme that this version does not speak.
    Scheme(String),
    /// A port outside 1..=65535.
    Port,
    /// A path, query or fragment, which no upstream has.
    Extra,
    /// A user name or password that RFC 1929 cannot carry.
    Credentials,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("not a URL; write socks5h://HOST:PORT or local:"),
            Self::NoHost => f.write_str("the URL names no host; write socks5h://HOST:PORT"),
            Self::Scheme(scheme) => {
                write!(f, "unknown scheme {scheme:?}; this version speaks socks5h, socks5 and local")
            }
            Self::Port => f.write_str("the port is not between 1 and 65535"),
            Self::Extra => f.write_str("a proxy's URL has no path, query or fragment"),
            Self::Credentials => f.write_str(
                "a SOCKS5 user name and password are both needed, each of 1 to 255 bytes (RFC 1929)",
            ),
        }
    }
}

impl std::error::Error for UpstreamError {}

impl std::str::FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(url: &str) -> Result<Self, UpstreamError> {
        let uri = Uri::parse(url).map_err(|_| UpstreamError::Syntax)?;
        let scheme = uri.scheme().as_str().to_ascii_lowercase();
        if uri.has_query() || uri.has_fragment() || !matches!(uri.path().as_str(), "" | "/") {
            return Err(UpstreamError::Extra);
        }
        match scheme.as_str() {
            "local" if uri.has_authority() || !uri.path().is_empty() => Err(UpstreamError::Extra),
            "local" => Ok(Self::Local),
            "socks5" | "socks5h" => {
                let authority = uri.authority().ok_or(UpstreamError::NoHost)?;
                let host = match authority.host_parsed() {
                    Host::Ipv4(v4) => HopHost::Address(v4.into()),
                    Host::Ipv6(v6) => HopHost::Address(v6.into()),
                    Host::RegName(name) if !name.as_str().is_empty() => HopHost::Name(
                        name.decode().to_string().map_err(|_| UpstreamError::Syntax)?.into_owned(),
                    ),
                    Host::RegName(_) => return Err(UpstreamError::NoHost),
                    _ => return Err(UpstreamError::Syntax),
                };
                let port = match authority.port() {
                    None => 1080,
                    Some(port) if port.as_str().is_empty() => 1080,
                    Some(port) => {
                        port.as_str().parse().ok().filter(|&p| p != 0).ok_or(UpstreamError::Port)?
                    }
                };
                let credentials = authority.userinfo().map(credentials).transpose()?;
                Ok(Self::Socks5 { host, port, credentials })
            }
            _ => Err(UpstreamError::Scheme(scheme)),
        }
    }
}

fn credentials(
    userinfo: &fluent_uri::pct_enc::EStr<fluent_uri::pct_enc::encoder::Userinfo>,
) -> Result<Credentials, UpstreamError> {
    let (user, password) = userinfo.split_once(':').ok_or(UpstreamError::Credentials)?;
    let part = |bytes: Vec<u8>| match bytes.len() {
        1..=255 => Ok(bytes),
        _ => Err(UpstreamError::Credentials),
    };
    Ok(Credentials {
        user: part(user.decode().to_bytes().into_owned())?,
        password: part(password.decode().to_bytes().into_owned())?,
    })
}

/// Without the credentials.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local:"),
            Self::Socks5 { host: HopHost::Address(IpAddr::V6(v6)), port, .. } => {
                write!(f, "socks5h://[{v6}]:{port}")
            }
            Self::Socks5 { host: HopHost::Address(ip), port, .. } => write!(f, "socks5h://{ip}:{port}"),
            Self::Socks5 { host: HopHost::Name(name), port, .. } => write!(f, "socks5h://{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socks5(url: &str) -> (HopHost, u16, Option<Credentials>) {
        match url.parse() {
            Ok(Upstream::Socks5 { host, port, credentials }) => (host, port, credentials),
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn curls_spellings_are_read() {
        let name = |n: &str| HopHost::Name(n.into());
        assert_eq!("local:".parse(), Ok(Upstream::Local));
        assert_eq!(socks5("socks5h://proxy.example:9050"), (name("proxy.example"), 9050, None));
        assert_eq!(socks5("SOCKS5://10.0.0.1"), (HopHost::Address("10.0.0.1".parse().unwrap()), 1080, None));
        assert_eq!(
            socks5("socks5h://[fd00::1]:1081/"),
            (HopHost::Address("fd00::1".parse().unwrap()), 1081, None)
        );
        let (_, _, credentials) = socks5("socks5h://us%40er:p%3ass%20@h:1");
        assert_eq!(credentials, Some(Credentials { user: b"us@er".into(), password: b"p:ss ".into() }));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let table = [
            ("", UpstreamError::Syntax),
            ("127.0.0.1:1080", UpstreamError::Syntax),
            ("socks5h:", UpstreamError::NoHost),
            ("socks5h://", UpstreamError::NoHost),
            ("socks5h://:1080", UpstreamError::NoHost),
            ("socks5h://h:0", UpstreamError::Port),
            ("socks5h://h:65536", UpstreamError::Port),
            ("socks5h://h:1/path", UpstreamError::Extra),
            ("socks5h://h:1?x", UpstreamError::Extra),
            ("local://h", UpstreamError::Extra),
            ("socks5h://user@h", UpstreamError::Credentials),
            ("socks5h://user:@h", UpstreamError::Credentials),
            ("gopher://h", UpstreamError::Scheme("gopher".into())),
        ];
        for (url, error) in table {
            assert_eq!(url.parse::<Upstream>(), Err(error), "{url}");
        }
        let long = format!("socks5h://{}:p@h", "u".repeat(256));
        assert_eq!(long.parse::<Upstream>(), Err(UpstreamError::Credentials));
    }

    #[test]
    fn nothing_prints_a_credential() {
        let upstream: Upstream = "socks5h://alice:hunter2@h:1".parse().unwrap();
        assert!(!format!("{upstream} {upstream:?}").contains("hunter2"));
        assert!(!format!("{upstream} {upstream:?}").contains("alice"));
    }
}
