//! Addresses that are not of the public Internet, by the registries of IANA for IPv4 and IPv6 (RFC 6890,
//! <https://www.iana.org/assignments/iana-ipv4-special-registry>, `…ipv6-special-registry`), and those at
//! which clouds tell machines their secrets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use underpass_core::config::pattern::AddressRange;

/// What opens a special range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opens {
    /// A rule that names it, or `private = true`.
    Private,
    /// A rule with a range inside of it.
    Named,
    /// Nothing: there is no host at such an address.
    Never,
}

/// A range with a special meaning.
#[derive(Debug)]
pub(crate) struct Special {
    pub(crate) range: AddressRange,
    pub(crate) opens: Opens,
    what: &'static str,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

/// The first that holds an address is what it is: the narrow before the wide.
const RANGES: [(&str, Opens, &str); 45] = [
    // Each cloud has its own; those of AWS, GCP, Azure, Alibaba and Oracle. Not all are in private ranges.
    ("169.254.169.254", Opens::Named, METADATA),
    ("169.254.170.2", Opens::Named, METADATA),
    ("169.254.170.23", Opens::Named, METADATA),
    ("168.63.129.16", Opens::Named, METADATA),
    ("100.100.100.200", Opens::Named, METADATA),
    ("192.0.0.192", Opens::Named, METADATA),
    ("fd00:ec2::254", Opens::Named, METADATA),
    ("fd00:ec2::23", Opens::Named, METADATA),
    ("fd20:ce::254", Opens::Named, METADATA),
    // "This network" (RFC 791); connect(2) takes 0.0.0.0 for this machine.
    ("0.0.0.0/8", Opens::Never, "an unspecified address"),
    ("10.0.0.0/8", Opens::Private, PRIVATE),
    ("172.16.0.0/12", Opens::Private, PRIVATE),
    ("192.168.0.0/16", Opens::Private, PRIVATE),
    ("100.64.0.0/10", Opens::Private, "shared address space (RFC 6598)"),
    ("127.0.0.0/8", Opens::Named, "a loopback address"),
    ("169.254.0.0/16", Opens::Named, "a link-local address (RFC 3927)"),
    ("192.0.0.0/24", Opens::Named, "a protocol assignment (RFC 6890)"),
    ("192.0.2.0/24", Opens::Named, DOCUMENTATION),
    ("198.51.100.0/24", Opens::Named, DOCUMENTATION),
    ("203.0.113.0/24", Opens::Named, DOCUMENTATION),
    ("192.88.99.0/24", Opens::Named, "a relay of 6to4 (RFC 7526)"),
    ("198.18.0.0/15", Opens::Named, "a benchmarking address (RFC 2544)"),
    ("224.0.0.0/4", Opens::Never, MULTICAST),
    ("255.255.255.255", Opens::Never, "the broadcast address"),
    ("240.0.0.0/4", Opens::Named, "a reserved address (RFC 1112)"),
    ("::", Opens::Never, "an unspecified address"),
    ("::1", Opens::Named, "a loopback address"),
    ("::/96", Opens::Named, "an IPv4-compatible address (RFC 4291)"),
    // Of IPv4-mapped addresses nothing is left: they are IPv4 before they are judged.
    ("64:ff9b::/96", Opens::Named, "a special address behind NAT64 (RFC 6052)"),
    ("64:ff9b:1::/48", Opens::Named, "an address of a local NAT64 (RFC 8215)"),
    ("100::/64", Opens::Named, "a discard-only address (RFC 6666)"),
    ("2001::/32", Opens::Named, "an address of Teredo (RFC 4380)"),
    ("2001::/23", Opens::Named, "a protocol assignment (RFC 2928)"),
    ("2001:db8::/32", Opens::Named, DOCUMENTATION),
    ("2002::/16", Opens::Named, "an address of 6to4 (RFC 3056)"),
    ("3fff::/20", Opens::Named, DOCUMENTATION),
    ("fc00::/7", Opens::Private, "a unique local address (RFC 4193)"),
    ("fe80::/10", Opens::Named, "a link-local address (RFC 4291)"),
    ("fec0::/10", Opens::Named, "a site-local address (RFC 3879)"),
    ("ff00::/8", Opens::Never, MULTICAST),
    // What is left is 2000::/3, all that has been given out (RFC 4291 section 2.4).
    ("::/3", Opens::Named, NOT_ASSIGNED),
    ("4000::/3", Opens::Named, NOT_ASSIGNED),
    ("6000::/3", Opens::Named, NOT_ASSIGNED),
    ("8000::/2", Opens::Named, NOT_ASSIGNED),
    ("c000::/2", Opens::Named, NOT_ASSIGNED),
];

const METADATA: &str = "a cloud's metadata service";
const PRIVATE: &str = "a private address (RFC 1918)";
const DOCUMENTATION: &str = "an address of documentation (RFC 5737, 3849, 9637)";
const MULTICAST: &str = "a multicast address";
const NOT_ASSIGNED: &str = "no global address";

static TABLE: LazyLock<Vec<Special>> = LazyLock::new(|| {
    let special = |(range, opens, what): &(&str, Opens, &'static str)| {
        // Each is read by a test.
        let range = range.parse().ok()?;
        Some(Special { range, opens: *opens, what })
    };
    RANGES.iter().filter_map(special).collect()
});

/// What is special about an address; `None` of one of the public Internet. One behind the well-known
/// prefix of NAT64 is what the IPv4 address in it is.
pub(crate) fn special(ip: IpAddr) -> Option<&'static Special> {
    let ip = ip.to_canonical();
    match behind_nat64(ip) {
        Some(v4) if first(v4.into()).is_none() => None,
        _ => first(ip),
    }
}

fn first(ip: IpAddr) -> Option<&'static Special> {
    TABLE.iter().find(|special| special.range.contains(ip))
}

/// The IPv4 address in one of `64:ff9b::/96` (RFC 6052 section 2.1): a translator dials that.
pub(crate) fn behind_nat64(ip: IpAddr) -> Option<Ipv4Addr> {
    const PREFIX: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
    let IpAddr::V6(v6) = ip else { return None };
    let octets = Ipv6Addr::octets(&v6);
    let last = octets.strip_prefix(&PREFIX)?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(last).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_is_read() {
        assert_eq!(TABLE.len(), RANGES.len());
    }

    #[test]
    fn no_range_hides_behind_a_wider_one() {
        for (number, special) in TABLE.iter().enumerate() {
            let before = &TABLE[..number];
            assert!(!before.iter().any(|wide| special.range.is_within(&wide.range)), "{}", special.range);
        }
    }

    #[test]
    fn addresses_of_the_internet_are_not_special() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700:4700::1111",
            "2a00::1",
            "3fff:1000::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            let special = special(ip.parse().expect(ip));
            assert!(special.is_none(), "{ip} is {}", special.expect("special"));
        }
    }

    /// Also the table of what the relay refuses: a rule that permits everything does not open them.
    #[test]
    fn special_addresses_are_known_in_all_their_forms() {
        for (ip, what) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.1", "RFC 1918"),
            ("10.255.255.255", "RFC 1918"),
            ("172.16.0.1", "RFC 1918"),
            ("172.31.255.255", "RFC 1918"),
            ("192.168.0.1", "RFC 1918"),
            ("100.64.0.1", "shared"),
            ("100.127.255.255", "shared"),
            ("100.100.100.200", "metadata"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.0.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("169.254.170.2", "metadata"),
            ("168.63.129.16", "metadata"),
            ("192.0.0.8", "assignment"),
            ("192.0.0.192", "metadata"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.9", "documentation"),
            ("192.88.99.1", "6to4"),
            ("198.18.0.1", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "compatible"),
            ("::127.0.0.1", "compatible"),
            ("::8.8.8.8", "compatible"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:a00:1", "RFC 1918"),
            ("::ffff:169.254.169.254", "metadata"),
            ("::ffff:0:7f00:1", "no global"),
            ("64:ff9b::127.0.0.1", "NAT64"),
            ("64:ff9b::10.0.0.1", "NAT64"),
            ("64:ff9b::a9fe:a9fe", "NAT64"),
            ("64:ff9b:1::1", "local NAT64"),
            ("64:ff9b:1:ffff:ffff:ffff:8.8.8.8", "local NAT64"),
            ("64:ff9b:2::1", "no global"),
            ("100::1", "discard"),
            ("2001::1", "Teredo"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
            ("2001:2::1", "assignment"),
            ("2001:20::1", "assignment"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("2002:808:808::1", "6to4"),
            ("3fff::1", "documentation"),
            ("4000::1", "no global"),
            ("5f00::1", "no global"),
            ("7fff::1", "no global"),
            ("fc00::1", "unique local"),
            ("fd00::1", "unique local"),
            ("fd00:ec2::254", "metadata"),
            ("fd20:ce::254", "metadata"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("fe00::1", "no global"),
            ("ff02::1", "multicast"),
            ("ff0e::1", "multicast"),
        ] {
            let special = special(ip.parse().expect(ip)).unwrap_or_else(|| panic!("{ip} is not special"));
            assert!(special.to_string().contains(what), "{ip} is {special}");
        }
    }
}
