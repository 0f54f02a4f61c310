//! The host of a request: a name that may be looked up, or an address.

use std::net::IpAddr;

/// A host, as a client wrote it and after all spellings of it have become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In small letters, without a dot at the end.
    Name(String),
    /// IPv4 addresses mapped into IPv6 are IPv4 here.
    Address(IpAddr),
}

impl Host {
    /// Reads `name`, `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`.
    ///
    /// A name that ends with a number is none: `getaddrinfo` would take `127.1`, `0x7f000001` and `017700000001`
    /// for addresses (inet_aton(3)), and rules for names would have judged them as names.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bare = match text.strip_prefix('[') {
            Some(rest) => {
                return rest.strip_suffix(']')?.parse().ok().map(|ip| Self::address(IpAddr::V6(ip)));
            }
            None => text,
        };
        if let Ok(ip) = bare.parse() {
            return Some(Self::address(ip));
        }
        let name = bare.strip_suffix('.').unwrap_or(bare);
        // RFC 1035 section 2.3.4; the underscore is of service names (RFC 8552).
        let odd = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'_';
        let label = |label: &str| (1..=63).contains(&label.len()) && !label.bytes().any(odd);
        let last = name.rsplit('.').next().unwrap_or_default();
        let fits = name.len() <= 253 && name.split('.').all(label) && !is_number(last);
        fits.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    fn address(ip: IpAddr) -> Self {
        Self::Address(ip.to_canonical())
    }

    /// The name, if it is one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

/// As inet_aton(3) reads numbers: decimal, octal and hexadecimal.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_host_become_one() {
        for (text, name) in [
            ("a.example", "a.example"),
            ("A.Example.", "a.example"),
            ("localhost", "localhost"),
            ("_dns.a-b.example", "_dns.a-b.example"),
            ("1e100.net", "1e100.net"),
            ("0xg", "0xg"),
            ("192.0.2.1.example", "192.0.2.1.example"),
        ] {
            assert_eq!(Host::parse(text), Some(Host::Name(name.to_owned())), "{text}");
        }
        for (text, ip) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:DB8:0::1]", "2001:db8::1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("[::ffff:7f00:1]", "127.0.0.1"),
        ] {
            assert_eq!(Host::parse(text), Some(Host::Address(ip.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn what_is_neither_a_name_nor_an_address_is_refused() {
        let long = ["a"; 128].join(".");
        for text in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a b",
            "a\0b",
            "a/b",
            "a%00",
            "u@h",
            "a:1",
            "*",
            "bücher.example",
            "127.1",
            "127.0.0.1.",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "017700000001",
            "a.0x",
            "1.2.3.4.5",
            "256.256.256.256",
            "010.0.0.1",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            "[192.0.2.1]",
            "[::1",
            "::1]",
            "[]",
            &long,
            &"a".repeat(64),
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
