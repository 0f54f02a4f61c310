//! Reading and writing the URL of an upstream.

use std::fmt;
use std::fmt::Write;
use std::str::FromStr;

use fluent_uri::Uri;
use fluent_uri::component::{Authority, Host};
use fluent_uri::pct_enc::EStr;
use fluent_uri::pct_enc::encoder::Userinfo;

use super::{Credentials, Flights, HopHost, Isolation, Login, Protocol, Proxy, Ssh, Trust, Upstream};

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
    /// A path or fragment, which no upstream has.
    Extra,
    /// A user name or password that the protocol cannot carry.
    Credentials,
    /// A parameter that this scheme does not have.
    Parameter(&'static str),
    /// A parameter that is not known. It may be part of a password, and so is not repeated.
    UnknownParameter,
    /// A parameter with a value that it cannot have.
    Value(&'static str),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("not a URL; write socks5h://HOST:PORT, http://HOST:PORT or local:"),
            Self::NoHost => f.write_str("the URL names no host; write socks5h://HOST:PORT"),
            Self::Scheme(scheme) => write!(
                f,
                "unknown scheme {scheme:?}; known are socks5h, socks5, socks4a, socks4, http, https, relay, ssh and local"
            ),
            Self::Port => f.write_str("the port is not between 1 and 65535"),
            Self::Extra => f.write_str("a proxy's URL has no path or fragment"),
            Self::Credentials => f.write_str(
                "a user name of 1 to 255 bytes and a password of up to 255 are needed (SOCKS5: of at least \
                 1, RFC 1929; SOCKS4: no password; ssh and relay: none, they have keys)",
            ),
            Self::Parameter(name) => {
                write!(f, "no parameter {name:?} for this scheme; known are {PARAMETERS}")
            }
            Self::UnknownParameter => write!(
                f,
                "an unknown parameter; known are {PARAMETERS} (a question mark in a password is written %3F)"
            ),
            Self::Value(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for UpstreamError {}

const PARAMETERS: &str = "login-file, login-env; for https and relay ca, pin; for relay key; for socks5 and relay isolate, flights";

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(url: &str) -> Result<Self, UpstreamError> {
        let uri = Uri::parse(url).map_err(|_| UpstreamError::Syntax)?;
        let scheme = uri.scheme().as_str().to_ascii_lowercase();
        if uri.has_fragment() || !matches!(uri.path().as_str(), "" | "/") {
            return Err(UpstreamError::Extra);
        }
        let protocol = match scheme.as_str() {
            "local" if uri.has_authority() || uri.has_query() || !uri.path().is_empty() => {
                return Err(UpstreamError::Extra);
            }
            "local" => return Ok(Self::Local),
            "ssh" => Protocol::Socks5, // Not looked at.
            "socks4" => Protocol::Socks4,
            "socks4a" => Protocol::Socks4a,
            "socks5" | "socks5h" => Protocol::Socks5,
            "http" => Protocol::Http,
            "https" => Protocol::Https,
            "relay" => Protocol::Relay,
            _ => return Err(UpstreamError::Scheme(scheme)),
        };
        let authority = uri.authority().ok_or(UpstreamError::NoHost)?;
        let (host, port) = (host(&authority)?, port(&authority)?);
        if scheme == "ssh" {
            if let Some(query) = uri.query() {
                return Err(known(query.as_str().split(['=', '&']).next().unwrap_or_default()));
            }
            let user = authority.userinfo().map(ssh_user).transpose()?;
            return Ok(Self::Ssh(Ssh { user, host, port }));
        }
        let mut proxy = Proxy {
            protocol,
            host,
            port: port.unwrap_or(protocol.default_port()),
            login: match authority.userinfo() {
                Some(userinfo) => Login::Given(credentials(userinfo, protocol)?),
                None => Login::Nobody,
            },
            trust: Trust::System,
            key: None,
            isolation: Isolation::No,
            flights: Flights::Probed,
        };
        for pair in uri.query().map(|query| query.as_str().split('&')).into_iter().flatten() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = EStr::<fluent_uri::pct_enc::encoder::Query>::new(value)
                .and_then(|value| value.decode().to_string().ok().map(|text| text.into_owned()))
                .ok_or(UpstreamError::Syntax)?;
            parameter(&mut proxy, name, value)?;
        }
        if protocol == Protocol::Relay && proxy.trust == Trust::System {
            return Err(UpstreamError::Value(
                "a relay needs pin=sha256//… (its underpass-agent keygen has printed it), or ca=PATH",
            ));
        }
        Ok(Self::Proxy(Box::new(proxy)))
    }
}

impl TryFrom<String> for Upstream {
    type Error = UpstreamError;

    fn try_from(url: String) -> Result<Self, UpstreamError> {
        url.parse()
    }
}

fn host(authority: &Authority<'_>) -> Result<HopHost, UpstreamError> {
    match authority.host_parsed() {
        Host::Ipv4(v4) => Ok(HopHost::Address(v4.into())),
        Host::Ipv6(v6) => Ok(HopHost::Address(v6.into())),
        Host::RegName(name) if !name.as_str().is_empty() => {
            // One with percent signs could not be written back; an IDN has its ASCII form (RFC 5891).
            let name = name.as_str().to_owned();
            // One that ssh would take for an option, or that a request line would break on, is no name.
            let odd = |c: char| c.is_whitespace() || c.is_control() || "/\\@:?#[]\"'%".contains(c);
            if name.len() > 255 || name.starts_with('-') || name.contains(odd) {
                return Err(UpstreamError::Syntax);
            }
            Ok(HopHost::Name(name))
        }
        Host::RegName(_) => Err(UpstreamError::NoHost),
        _ => Err(UpstreamError::Syntax),
    }
}

fn port(authority: &Authority<'_>) -> Result<Option<u16>, UpstreamError> {
    match authority.port() {
        Some(port) if !port.as_str().is_empty() => {
            port.as_str().parse().ok().filter(|&p| p != 0).map(Some).ok_or(UpstreamError::Port)
        }
        _ => Ok(None),
    }
}

fn credentials(userinfo: &EStr<Userinfo>, protocol: Protocol) -> Result<Credentials, UpstreamError> {
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, password.decode().to_bytes().into_owned()),
        None => (userinfo, Vec::new()),
    };
    let credentials = Credentials { user: user.decode().to_bytes().into_owned(), password };
    if credentials.fit(protocol) { Ok(credentials) } else { Err(UpstreamError::Credentials) }
}

fn ssh_user(userinfo: &EStr<Userinfo>) -> Result<String, UpstreamError> {
    let user = userinfo.decode().to_string().map_err(|_| UpstreamError::Credentials)?.into_owned();
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == ':' || c == '@';
    if user.is_empty() || user.starts_with('-') || user.contains(odd) {
        return Err(UpstreamError::Credentials);
    }
    Ok(user)
}

fn parameter(proxy: &mut Proxy, name: &str, value: String) -> Result<(), UpstreamError> {
    let relay = proxy.protocol == Protocol::Relay;
    let tls = relay || proxy.protocol == Protocol::Https;
    let socks5 = proxy.protocol == Protocol::Socks5;
    // Its credentials are made up.
    let isolates = socks5 && proxy.isolation != Isolation::No;
    match name {
        "login-file" | "login-env" if relay => return Err(known(name)),
        "login-file" | "login-env" if proxy.login != Login::Nobody || isolates => {
            return Err(UpstreamError::Credentials);
        }
        "login-file" | "login-env" | "ca" | "key" if value.is_empty() => {
            return Err(UpstreamError::Value("login-file, login-env, ca and key need a value"));
        }
        "login-file" => proxy.login = Login::File(value.into()),
        "login-env" => proxy.login = Login::Environment(value),
        "ca" | "pin" if tls && proxy.trust != Trust::System => {
            return Err(UpstreamError::Value("ca and pin exclude each other"));
        }
        "ca" if tls => proxy.trust = Trust::Authority(value.into()),
        "pin" if tls => {
            let pin = pin(&value).ok_or(UpstreamError::Value(
                "pin is sha256// and 44 characters of base64, as curl writes it (--pinnedpubkey)",
            ))?;
            proxy.trust = Trust::Pin(pin);
        }
        "key" if relay => proxy.key = Some(value.into()),
        "isolate" if socks5 && proxy.login != Login::Nobody => return Err(UpstreamError::Credentials),
        "isolate" if socks5 || relay => {
            proxy.isolation = match value.as_str() {
                "program" => Isolation::Program,
                "destination" => Isolation::Destination,
                _ => return Err(UpstreamError::Value("isolate is program or destination")),
            };
        }
        "flights" if socks5 || relay => {
            proxy.flights = match value.as_str() {
                "one" => Flights::One,
                "two" => Flights::Two,
                _ => return Err(UpstreamError::Value("flights is one or two")),
            };
        }
        _ => return Err(known(name)),
    }
    Ok(())
}

fn known(name: &str) -> UpstreamError {
    const KNOWN: [&str; 7] = ["login-file", "login-env", "ca", "pin", "key", "isolate", "flights"];
    KNOWN
        .into_iter()
        .find(|known| *known == name)
        .map_or(UpstreamError::UnknownParameter, UpstreamError::Parameter)
}

/// `sha256//` and base64 (RFC 4648 section 4) of 32 bytes. A `+` may have become a space on its way
/// through a form encoder; a URL's query has none.
pub fn pin(text: &str) -> Option<[u8; 32]> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.strip_prefix("sha256//")?).ok()?;
    bytes.try_into().ok()
}

/// With the credentials: for the agent, never for a person.
impl From<Upstream> for String {
    fn from(upstream: Upstream) -> Self {
        let Upstream::Proxy(proxy) = &upstream else { return upstream.to_string() };
        let mut url = format!("{}://", proxy.protocol.scheme());
        if let Login::Given(Credentials { user, password }) = &proxy.login {
            encode(&mut url, user);
            if !password.is_empty() {
                url.push(':');
                encode(&mut url, password);
            }
            url.push('@');
        }
        let _ = write!(url, "{}:{}", proxy.host, proxy.port);
        let mut separator = '?';
        let mut add = |name: &str, value: &[u8]| {
            let _ = write!(url, "{separator}{name}=");
            encode(&mut url, value);
            separator = '&';
        };
        match &proxy.login {
            Login::File(path) => add("login-file", path.as_os_str().as_encoded_bytes()),
            Login::Environment(name) => add("login-env", name.as_bytes()),
            Login::Nobody | Login::Given(_) => {}
        }
        match &proxy.trust {
            Trust::System => {}
            Trust::Authority(path) => add("ca", path.as_os_str().as_encoded_bytes()),
            Trust::Pin(pin) => {
                use base64::Engine;
                let pin = base64::engine::general_purpose::STANDARD.encode(pin);
                add("pin", format!("sha256//{pin}").as_bytes());
            }
        }
        if let Some(path) = &proxy.key {
            add("key", path.as_os_str().as_encoded_bytes());
        }
        match proxy.isolation {
            Isolation::No => {}
            Isolation::Program => add("isolate", b"program"),
            Isolation::Destination => add("isolate", b"destination"),
        }
        match proxy.flights {
            Flights::Probed => {}
            Flights::One => add("flights", b"one"),
            Flights::Two => add("flights", b"two"),
        }
        url
    }
}

/// Percent-encodes all but letters, digits and what RFC 3986 section 2.3 calls unreserved.
fn encode(url: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(byte.into()),
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
