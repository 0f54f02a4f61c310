//! Destinations: where the program wanted to go.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where an upstream is asked to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An address that the program named itself.
    Address(SocketAddr),
    /// A name that is resolved at the far end, never here.
    Name {
        /// The name as the program spelled it, without a trailing dot, 1 to 255 bytes.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl Destination {
    /// The port, whichever kind of destination it is.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// The address with an IPv4-mapped form (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2) turned into
/// the IPv4 address that the kernel would dial. Every judgement of an address starts here.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        // Also an IPv6 address proper, with its scope.
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// Whether the kernel delivers this address to this machine without a network: 127.0.0.0/8, `::1`
/// and their mapped forms. The unspecified addresses count too, since `connect(0.0.0.0)` means
/// this host (Linux, ip(7)).
pub fn is_local(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

/// The port of DNS (RFC 1035). On loopback it is a resolver's stub, which would carry names out.
pub const DNS_PORT: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_loopback_is_local() {
        assert!(is_local("::ffff:127.0.0.1".parse().unwrap()));
        assert!(is_local("127.200.0.1".parse().unwrap()));
        assert!(is_local("::".parse().unwrap()));
        assert!(!is_local("::ffff:10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn canonical_unmaps_and_keeps_the_port() {
        let mapped = "[::ffff:10.1.2.3]:99".parse().unwrap();
        assert_eq!(canonical(mapped), "10.1.2.3:99".parse().unwrap());
        let scoped = "[fe80::1%3]:99".parse().unwrap();
        assert_eq!(canonical(scoped), scoped);
    }
}
