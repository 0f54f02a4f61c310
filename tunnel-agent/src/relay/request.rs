//! What is asked for: a host, a port, and whether it is a stream or datagrams.

use super::policy::host::Host;
use super::policy::rules::{Asked, Protocol};

/// A request that can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
}

/// The template of connect-udp that everybody knows (RFC 9298 section 2).
const UDP: &str = "/.well-known/masque/udp/";

impl Request {
    /// `HOST:PORT` (RFC 9110 section 9.3.6), an IPv6 address in brackets.
    pub(crate) fn authority(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        // Without brackets, the last group of an address would be a port.
        if host.contains(':') && !host.starts_with('[') {
            return None;
        }
        Some(Self { host: Host::parse(host)?, port: number(port)?, protocol: Protocol::Tcp })
    }

    /// `/.well-known/masque/udp/HOST/PORT/`, where an IPv6 address has its colons escaped.
    pub(crate) fn udp(path: &str) -> Option<Self> {
        let rest = path.strip_prefix(UDP)?;
        let (host, port) = rest.strip_suffix('/').unwrap_or(rest).split_once('/')?;
        let host = host.replace("%3A", ":").replace("%3a", ":");
        if host.starts_with('[') {
            return None;
        }
        Some(Self { host: Host::parse(&host)?, port: number(port)?, protocol: Protocol::Udp })
    }

    /// For the judge.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { name: self.host.name(), port: self.port, protocol: self.protocol }
    }
}

/// Digits alone; `u16::from_str` would take a sign.
fn number(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|&port| port != 0)
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(ip) => write!(f, "{}", std::net::SocketAddr::new(*ip, self.port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_a_port() {
        for (text, shown) in [
            ("a.test:443", "a.test:443"),
            ("A.TEST.:80", "a.test:80"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
        ] {
            assert_eq!(Request::authority(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            ":",
            "a.test",
            "a.test:",
            "a.test:0",
            "a.test:+1",
            "a.test:65536",
            "a.test: 1",
            "a.test:1/",
            "me@a.test:1",
            "http://a.test:1",
            "2001:db8::1:80",
            "[2001:db8::1]",
            "[a.test]:1",
            "a.test:1:2",
        ] {
            assert_eq!(Request::authority(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_of_connect_udp_is_a_host_and_a_port() {
        for (path, shown) in [
            ("/.well-known/masque/udp/a.test/53/", "a.test:53"),
            ("/.well-known/masque/udp/192.0.2.1/53/", "192.0.2.1:53"),
            ("/.well-known/masque/udp/2001%3Adb8%3A%3a1/53/", "[2001:db8::1]:53"),
            ("/.well-known/masque/udp/a.test/53", "a.test:53"),
        ] {
            assert_eq!(Request::udp(path).unwrap().to_string(), shown);
        }
        for path in
            ["/", "/.well-known/masque/udp/a.test/", "/.well-known/masque/udp/a.test/53/x", "/x/a.test/53/"]
        {
            assert_eq!(Request::udp(path), None, "{path}");
        }
    }
}
