//! One rule: whom it is about, where to, and what it says.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use underpass_core::config::pattern::{AddressRange, DomainPattern, Glob, PortRange};

use super::special::{self, Opens, Special};

/// What is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// The words of configurations.
    pub(crate) const WORDS: [(&'static str, Self); 2] = [("tcp", Self::Tcp), ("udp", Self::Udp)];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Tcp { "tcp" } else { "udp" })
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The name, unless it has asked for an address.
    pub(crate) name: Option<&'a str>,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
}

/// Mail between servers (RFC 5321): what spam is sent by.
const SMTP: u16 = 25;

/// A rule. It matches if each list that is not empty has an entry that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What it is called in the audit.
    pub(crate) label: Arc<str>,
    pub(crate) clients: Vec<Glob>,
    /// Names as they are asked for. With addresses beside them, both must match.
    pub(crate) domains: Vec<DomainPattern>,
    /// Addresses, also those that a name turns out to have.
    pub(crate) addresses: Vec<AddressRange>,
    pub(crate) ports: Vec<PortRange>,
    pub(crate) protocol: Option<Protocol>,
    /// Whether it is for private addresses, too.
    pub(crate) private: bool,
    pub(crate) permit: bool,
}

/// An address that is judged, and what is known about it.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) ip: IpAddr,
    /// The address that a translator would dial in its place.
    pub(super) behind: Option<IpAddr>,
    pub(super) special: Option<&'static Special>,
    /// Whether one of the two is of this machine.
    pub(super) own: bool,
}

impl Judged {
    pub(super) fn new(ip: IpAddr, is_own: impl Fn(IpAddr) -> bool) -> Self {
        let ip = ip.to_canonical();
        let behind = special::behind_nat64(ip).map(IpAddr::V4);
        let own = is_own(ip) || behind.is_some_and(is_own);
        Self { ip, behind, special: special::special(ip), own }
    }

    fn is_in(&self, range: &AddressRange) -> bool {
        range.contains(self.ip) || self.behind.is_some_and(|ip| range.contains(ip))
    }
}

impl Rule {
    /// A rule about everything.
    pub(crate) fn all(label: impl Into<Arc<str>>, permit: bool) -> Self {
        Self {
            label: label.into(),
            clients: Vec::new(),
            domains: Vec::new(),
            addresses: Vec::new(),
            ports: Vec::new(),
            protocol: None,
            private: false,
            permit,
        }
    }

    /// Whether the rule matches as far as can be said without an address.
    pub(super) fn is_for(&self, client: &str, asked: &Asked<'_>) -> bool {
        let port = |range: &PortRange| range.contains(asked.port);
        let names_port = || self.ports.contains(&PortRange::one(asked.port));
        any(&self.clients, |glob| glob.matches(client))
            && any(&self.ports, port)
            && self.protocol.is_none_or(|protocol| protocol == asked.protocol)
            && any(&self.domains, |domain| asked.name.is_some_and(|name| domain.matches(name)))
            && (!self.permit || asked.port != SMTP || names_port())
    }

    /// Whether the rule matches this address.
    pub(super) fn is_for_address(&self, judged: &Judged) -> bool {
        any(&self.addresses, |range| judged.is_in(range))
    }

    /// Whether the rule, which matches the address, is meant for one of its kind: what is not of the public Internet
    /// is only permitted where it is named.
    pub(super) fn opens(&self, judged: &Judged) -> bool {
        let named = |special: &Special| {
            let inside = |range: &&AddressRange| range.is_within(&special.range);
            self.addresses.iter().filter(inside).any(|range| range.contains(judged.ip))
        };
        judged.special.is_none_or(|special| match special.opens {
            Opens::Private => self.private || named(special),
            Opens::Named => named(special),
            Opens::Never => false,
        })
    }

    /// Whether the rule names this one address, as it must where that is the relay's own.
    pub(super) fn names(&self, judged: &Judged) -> bool {
        self.addresses.iter().any(|range| range.is_one() && range.contains(judged.ip))
    }
}

fn any<P>(list: &[P], matches: impl Fn(&P) -> bool) -> bool {
    list.is_empty() || list.iter().any(matches)
}
