//! The relay's own addresses: services behind its own firewall are not its clients' to reach, and a relay
//! never dials itself.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// What this machine is, as far as the relay knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    addresses: HashSet<IpAddr>,
    listening: Vec<SocketAddr>,
}

impl Own {
    /// `addresses` are those of the interfaces, and those that others know this machine by.
    pub(crate) fn new(
        addresses: impl IntoIterator<Item = IpAddr>,
        listening: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        let listening = listening.into_iter();
        Self {
            addresses: addresses.into_iter().map(|ip| ip.to_canonical()).collect(),
            listening: listening.map(underpass_core::destination::canonical).collect(),
        }
    }

    /// Whether a connection there would come back to a listener of this relay.
    pub(crate) fn is_relay(&self, ip: IpAddr, port: u16) -> bool {
        let here = underpass_core::destination::is_local(ip) || self.has(ip);
        // A listener at an unspecified address is at all of them, and `[::]` is at IPv4's, too.
        let at = |listener: &SocketAddr| listener.ip() == ip || (listener.ip().is_unspecified() && here);
        self.listening.iter().any(|listener| listener.port() == port && at(listener))
    }

    /// Whether the address is of this machine. Loopback has its own rules.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        !ip.is_loopback() && self.addresses.contains(&ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_knows_its_listeners_at_every_address_of_theirs() {
        let own = |listening: &str| {
            let addresses = ["198.51.100.7", "::ffff:10.0.0.7", "2001:db8::7", "127.0.0.1"];
            Own::new(addresses.map(|ip| ip.parse().unwrap()), [listening.parse().unwrap()])
        };
        for (listening, yes, no) in [
            ("198.51.100.7:443", "198.51.100.7:443", "198.51.100.7:444 127.0.0.1:443 10.0.0.7:443"),
            ("127.0.0.1:443", "127.0.0.1:443", "127.0.0.2:443 198.51.100.7:443"),
            ("0.0.0.0:443", "198.51.100.7:443 10.0.0.7:443 127.9.9.9:443 0.0.0.0:443", "198.51.100.8:443"),
            ("[::]:443", "198.51.100.7:443 127.0.0.1:443 [::1]:443 [2001:db8::7]:443", "[2001:db8::8]:443"),
            ("[::ffff:127.0.0.1]:443", "127.0.0.1:443", "[::1]:443"),
        ] {
            let own = own(listening);
            let is_relay = |text: &str| {
                let address: SocketAddr = text.parse().expect(text);
                own.is_relay(address.ip(), address.port())
            };
            assert!(yes.split(' ').all(is_relay), "{listening}: {yes}");
            assert!(!no.split(' ').any(is_relay), "{listening}: {no}");
        }
        let own = own("0.0.0.0:443");
        assert!(own.has("10.0.0.7".parse().unwrap()) && !own.has("127.0.0.1".parse().unwrap()));
    }
}
