//! Upstreams as URLs, spelled as for curl: one hop each, of which a chain is made.

mod url;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use url::{UpstreamError, pin};

/// What the agent dials through: one hop.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Upstream {
    /// `local:`, inside the agent, leaving from this machine.
    Local,
    /// A proxy server.
    Proxy(Box<Proxy>),
    /// `ssh://`, by the user's own OpenSSH.
    Ssh(Ssh),
}

/// A proxy server and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub host: HopHost,
    /// TCP port.
    pub port: u16,
    /// Who asks.
    pub login: Login,
    /// Whom to believe that it is the proxy; for [`Protocol::Https`] and [`Protocol::Relay`] alone.
    pub trust: Trust,
    /// The file of the key that says who we are; for [`Protocol::Relay`] alone. `None`: the default key.
    pub key: Option<PathBuf>,
    /// Whether programs or destinations are kept apart: by credentials that are made up for
    /// [`Protocol::Socks5`], by sessions of their own for [`Protocol::Relay`].
    pub isolation: Isolation,
    /// Whether greeting and request travel together; for [`Protocol::Socks5`], and for [`Protocol::Relay`] the
    /// request and what is said to the next relay.
    pub flights: Flights,
}

/// Whether a SOCKS5 proxy is sent greeting and request together, which saves a round trip. Some hang then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flights {
    /// As a probe has shown, once the proxy has served a while.
    #[default]
    Probed,
    /// Always together.
    One,
    /// The request after the answer to the greeting.
    Two,
}

/// A host reached by the user's own `ssh`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ssh {
    /// The user name, if the URL has one; else ssh's own configuration decides.
    pub user: Option<String>,
    /// A host, or the name of one in ssh's configuration.
    pub host: HopHost,
    /// The port, if the URL has one.
    pub port: Option<u16>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SOCKS4: addresses of IPv4 only.
    Socks4,
    /// SOCKS4a: names too.
    Socks4a,
    /// SOCKS5 (RFC 1928). `socks5://` and `socks5h://` mean the same: names are resolved by the proxy.
    Socks5,
    /// HTTP `CONNECT` (RFC 9110 section 9.3.6).
    Http,
    /// The same inside TLS.
    Https,
    /// A relay of ours, or another proxy of HTTP inside TLS that knows its clients by their keys.
    Relay,
}

impl Protocol {
    /// The scheme of its URLs; for SOCKS5 the one that says that names are resolved there.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5h",
            Self::Http => "http",
            Self::Https => "https",
            Self::Relay => "relay",
        }
    }

    /// The port of a URL that names none, as curl has it.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Https | Self::Relay => 443,
            _ => 1080,
        }
    }
}

/// Who asks a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Login {
    /// Nobody in particular.
    Nobody,
    /// These; SOCKS4 has only a user name.
    Given(Credentials),
    /// `?login-file=PATH`: `USER:PASSWORD` on its first line.
    File(PathBuf),
    /// `?login-env=NAME`: `USER:PASSWORD`.
    Environment(String),
}

impl Login {
    /// The credentials, where they are known: see [`Upstream::fetch_login`].
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Given(credentials) => Some(credentials),
            _ => None,
        }
    }
}

/// Whom to believe that it is the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Certificates that the system's roots vouch for.
    #[default]
    System,
    /// `?ca=PATH`: certificates that those in this PEM file vouch for.
    Authority(PathBuf),
    /// `?pin=sha256//…`: the SHA-256 of the certificate's public key (RFC 7469), whoever vouches for it.
    Pin([u8; 32]),
}

/// What is kept apart. For SOCKS5 by made-up credentials, which make Tor use a circuit of its own (torspec,
/// `IsolateSOCKSAuth`); for a relay by a session of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// None.
    #[default]
    No,
    /// `?isolate=program`: one for each program file.
    Program,
    /// `?isolate=destination`: one for each host.
    Destination,
}

/// The host of a hop. The first hop of a chain is dialled from this machine, so its name is resolved
/// here; that of a later hop, by the hop before it.
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
    /// 0 to 255 bytes; SOCKS5 needs one (RFC 1929).
    pub password: Vec<u8>,
}

impl Credentials {
    /// `USER:PASSWORD`, as in a file or an environment variable; the password may hold colons.
    pub fn from_line(line: &str) -> Result<Self, UpstreamError> {
        let (user, password) = line.split_once(':').ok_or(UpstreamError::Credentials)?;
        let part = |text: &str| text.as_bytes().to_vec();
        match (user.len(), password.len()) {
            (1..=255, 0..=255) => Ok(Self { user: part(user), password: part(password) }),
            _ => Err(UpstreamError::Credentials),
        }
    }
}

impl Credentials {
    /// Whether the protocol can say them.
    pub(crate) fn fit(&self, protocol: Protocol) -> bool {
        let Self { user, password } = self;
        let fits = match protocol {
            Protocol::Socks5 => (1..=255).contains(&password.len()),
            Protocol::Socks4 | Protocol::Socks4a => password.is_empty() && !user.contains(&0),
            // RFC 7617 section 2: no colon in the user, no control character in either.
            Protocol::Http | Protocol::Https => {
                let clean = |bytes: &[u8]| !bytes.iter().any(u8::is_ascii_control);
                password.len() <= 255 && clean(user) && clean(password) && !user.contains(&b':')
            }
            Protocol::Relay => false,
        };
        fits && (1..=255).contains(&user.len())
    }

    /// The reverse of [`Self::from_line`].
    pub fn to_line(&self) -> String {
        format!("{}:{}", String::from_utf8_lossy(&self.user), String::from_utf8_lossy(&self.password))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Upstream {
    /// Whether this is a proxy that listens where somebody wants to connect to: at a name, or an address.
    pub fn is_at(&self, name: Option<&str>, ip: Option<IpAddr>, port: u16) -> bool {
        let Self::Proxy(proxy) = self else { return false };
        let is_host = match &proxy.host {
            HopHost::Address(host) => ip.is_some_and(|ip| ip.to_canonical() == host.to_canonical()),
            HopHost::Name(host) => name.is_some_and(|name| name.eq_ignore_ascii_case(host)),
        };
        is_host && proxy.port == port
    }

    /// The paths that its URL names.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let named = match self {
            Self::Proxy(proxy) => {
                let Proxy { login, trust, key, .. } = &mut **proxy;
                let login = if let Login::File(path) = login { Some(path) } else { None };
                let trust = if let Trust::Authority(path) = trust { Some(path) } else { None };
                [login, trust, key.as_mut()]
            }
            _ => [None, None, None],
        };
        named.into_iter().flatten()
    }

    /// Gives a relay whose URL names no key this one.
    pub fn default_key(&mut self, key: impl FnOnce() -> Option<PathBuf>) {
        if let Self::Proxy(proxy) = self
            && proxy.protocol == Protocol::Relay
            && proxy.key.is_none()
        {
            proxy.key = key();
        }
    }

    /// Fetches the credentials that the URL only names: `read` gives the content of what `login` names.
    /// Afterwards [`Login`] is `Nobody` or `Given`.
    pub fn fetch_login(&mut self, read: impl FnOnce(&Login) -> Result<String, String>) -> Result<(), String> {
        let Self::Proxy(proxy) = self else { return Ok(()) };
        if let Login::File(_) | Login::Environment(_) = proxy.login {
            let text = read(&proxy.login)?;
            let line = text.lines().next().unwrap_or_default();
            let credentials = Credentials::from_line(line)
                .ok()
                .filter(|credentials| credentials.fit(proxy.protocol))
                .ok_or_else(|| UpstreamError::Credentials.to_string())?;
            proxy.login = Login::Given(credentials);
        }
        Ok(())
    }
}

/// Without the credentials.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local:"),
            Self::Proxy(proxy) => write!(f, "{}://{}:{}", proxy.protocol.scheme(), proxy.host, proxy.port),
            Self::Ssh(ssh) => {
                f.write_str("ssh://")?;
                if let Some(user) = &ssh.user {
                    write!(f, "{user}@")?;
                }
                ssh.host.fmt(f)?;
                ssh.port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// As in a URL: an IPv6 address in brackets.
impl fmt::Display for HopHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Address(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}
