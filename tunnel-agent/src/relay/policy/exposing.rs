//! `[[expose]]`: who may listen here, and where.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use underpass_core::config::pattern::{AddressRange, Glob, PortRange};

/// A client may listen. It matches if each list that is not empty has an entry that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exposing {
    /// What it is called in the audit.
    pub(crate) label: Arc<str>,
    pub(crate) clients: Vec<Glob>,
    pub(crate) addresses: Vec<AddressRange>,
    pub(crate) ports: Vec<PortRange>,
    /// Listeners of one client at once.
    pub(crate) most: u32,
    /// How long a listener lives.
    pub(crate) age: Option<Duration>,
    /// How long one waits for its client to come back after the connection was cut.
    pub(crate) grace: Duration,
}

/// Where a client wishes to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// `None` is any address of any family; an unspecified one, any of its family.
    pub(crate) ip: Option<IpAddr>,
    /// 0 is any.
    pub(crate) port: u16,
}

impl Exposing {
    /// The address to bind for a client's wish, with its port or 0; `None` where the rule does not match.
    pub(crate) fn bind(&self, client: &str, wish: Wish) -> Option<SocketAddr> {
        let any = |list: &[PortRange]| list.is_empty() || list.iter().any(|range| range.contains(wish.port));
        if !self.is_for_client(client) || wish.port != 0 && !any(&self.ports) {
            return None;
        }
        let ip = match wish.ip {
            Some(ip) if !ip.is_unspecified() => {
                self.is_for(ip.to_canonical()).then_some(ip.to_canonical())?
            }
            wished => self.chosen(wished)?,
        };
        Some(SocketAddr::new(ip, wish.port))
    }

    /// Whether it says something of this client.
    pub(crate) fn is_for_client(&self, client: &str) -> bool {
        self.clients.is_empty() || self.clients.iter().any(|glob| glob.matches(client))
    }

    /// The ports to try where the client leaves the choice to us; none where the system is to choose.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.iter().flat_map(|range| range.first()..=range.last())
    }

    /// Loopback is for the programs of this machine, where no rule names it.
    fn is_for(&self, ip: IpAddr) -> bool {
        match self.addresses.is_empty() {
            true => !ip.is_loopback(),
            false => self.addresses.iter().any(|range| range.contains(ip)),
        }
    }

    /// The first single address of the family that is wished, or all of this machine's if that is named.
    fn chosen(&self, wished: Option<IpAddr>) -> Option<IpAddr> {
        let fits = |ip: &IpAddr| wished.is_none_or(|wished| wished.is_ipv4() == ip.is_ipv4());
        let all = wished.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        if self.addresses.is_empty() {
            return Some(all);
        }
        let one = self.addresses.iter().filter_map(AddressRange::one).find(fits);
        let everywhere = |ip: &IpAddr| self.addresses.iter().any(|range| range.contains(*ip));
        let wider = [all, IpAddr::V4(Ipv4Addr::UNSPECIFIED)].into_iter().filter(fits).find(everywhere);
        one.or(wider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(addresses: &[&str], ports: &[&str]) -> Exposing {
        Exposing {
            label: "1".into(),
            clients: vec![Glob::new("an*".to_owned())],
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            ports: ports.iter().map(|text| text.parse().unwrap()).collect(),
            most: 1,
            age: None,
            grace: Duration::ZERO,
        }
    }

    fn bind(rule: &Exposing, ip: &str, port: u16) -> Option<String> {
        let ip = (ip != "*").then(|| ip.parse().unwrap());
        rule.bind("ann", Wish { ip, port }).map(|address| address.to_string())
    }

    #[test]
    fn a_wish_is_bound_as_the_rule_has_it() {
        let named = rule(&["192.0.2.1", "2001:db8::1", "198.51.100.0/24"], &["8000-8009", "9000"]);
        for (ip, port, bound) in [
            ("*", 8000, Some("192.0.2.1:8000")),
            ("0.0.0.0", 0, Some("192.0.2.1:0")),
            ("::", 9000, Some("[2001:db8::1]:9000")),
            ("198.51.100.7", 8009, Some("198.51.100.7:8009")),
            ("::ffff:192.0.2.1", 8000, Some("192.0.2.1:8000")),
            ("203.0.113.1", 8000, None),
            ("*", 8010, None),
            ("*", 80, None),
        ] {
            assert_eq!(bind(&named, ip, port).as_deref(), bound, "{ip} {port}");
        }
        assert_eq!(named.bind("bob", Wish { ip: None, port: 8000 }), None);
        assert_eq!(named.ports().count(), 11);
        let open = rule(&[], &[]);
        assert_eq!(bind(&open, "*", 80).as_deref(), Some("[::]:80"));
        assert_eq!(bind(&open, "0.0.0.0", 80).as_deref(), Some("0.0.0.0:80"));
        assert_eq!(bind(&open, "127.0.0.1", 80), None);
        let four = rule(&["0.0.0.0/0"], &[]);
        assert_eq!(bind(&four, "*", 80).as_deref(), Some("0.0.0.0:80"));
        assert_eq!(bind(&four, "::", 80), None);
    }
}
