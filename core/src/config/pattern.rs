//! The patterns of routes, parsed once: matching a connection never parses and never fails.
//!
//! Each is written and read as the text that a configuration has.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// Why a text is no such pattern. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternError(&'static str);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PatternError {}

/// `*` for any number of characters, `?` for one; everything else stands for itself.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    compiled: WildMatch,
}

impl Glob {
    /// Any text is one.
    pub fn new(text: String) -> Self {
        let compiled = WildMatch::new(&text);
        Self { text, compiled }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is for this text, letter by letter.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.matches(text)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

/// Names. ASCII letters match in either case and one dot at the end is ignored; a name of other
/// letters is compared as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum DomainPattern {
    /// `db.internal`: this name.
    Exact(String),
    /// `.internal`: this name and all below it; kept without the dot.
    Suffix(String),
    /// `*.eu-?.example`: also across dots.
    Glob(Glob),
}

impl DomainPattern {
    /// Whether the pattern is for this name.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        match self {
            Self::Exact(exact) => name.eq_ignore_ascii_case(exact),
            Self::Suffix(suffix) => match name.len().checked_sub(suffix.len()) {
                Some(0) => name.eq_ignore_ascii_case(suffix),
                Some(at) => {
                    let (above, end) = name.as_bytes().split_at(at);
                    above.ends_with(b".") && end.eq_ignore_ascii_case(suffix.as_bytes())
                }
                None => false,
            },
            Self::Glob(glob) => {
                let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    true => Cow::Owned(name.to_ascii_lowercase()),
                    false => Cow::Borrowed(name),
                };
                glob.matches(&name)
            }
        }
    }
}

impl DomainPattern {
    /// Whether the pattern is for this machine's name for itself (RFC 6761 section 6.3), and says so.
    pub fn is_localhost(&self) -> bool {
        matches!(self, Self::Exact(name) | Self::Suffix(name) if name == "localhost")
    }
}

impl FromStr for DomainPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (name, suffix) = text.strip_prefix('.').map_or((text.as_str(), false), |name| (name, true));
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/\\@:#[]\"',;".contains(c);
        if name.is_empty() || name.len() > 255 || name.contains(odd) || name.split('.').any(str::is_empty) {
            return Err(PatternError("not a domain: write db.internal, .internal or *.internal"));
        }
        // No name ends with a number (RFC 3696 section 2), and a route for names matches no address.
        let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let wild = |byte: u8| byte.is_ascii_digit() || b".*?".contains(&byte);
        if name.rsplit('.').next().is_some_and(number)
            || (name.bytes().all(wild) && name.bytes().any(|byte| byte.is_ascii_digit()))
        {
            return Err(PatternError("this is an address, not a domain: write a range, as 192.0.2.0/24"));
        }
        match (name.contains(['*', '?']), suffix) {
            (true, true) => Err(PatternError("a domain has a leading dot or wildcards, not both")),
            (true, false) => Ok(Self::Glob(Glob::new(name.to_owned()))),
            (false, true) => Ok(Self::Suffix(name.to_owned())),
            (false, false) => Ok(Self::Exact(name.to_owned())),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(name) => write!(f, ".{name}"),
            Self::Glob(glob) => f.write_str(&glob.text),
        }
    }
}

/// Addresses: `10.0.0.0/8`, `fd00::/8`, or one alone. IPv4 addresses mapped into IPv6 are IPv4 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// The addresses that share the first `prefix` bits with this one; `None` if it has fewer.
    pub fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        let net = IpNet::new(ip, prefix).ok()?;
        let mapped = match net {
            IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(prefix.checked_sub(96)),
            IpNet::V4(_) => None,
        };
        let v4 = mapped.and_then(|(ip, prefix)| Ipv4Net::new(ip, prefix).ok());
        Some(Self(v4.map_or(net, IpNet::V4).trunc()))
    }

    /// Whether the address is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl AddressRange {
    /// Whether all of these addresses are in the other range.
    pub fn is_within(&self, other: &Self) -> bool {
        other.0.contains(&self.0)
    }

    /// Whether it is one address alone.
    pub fn is_one(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// That address, if it is one alone.
    pub fn one(&self) -> Option<IpAddr> {
        self.is_one().then(|| self.0.addr())
    }

    /// Whether all of them are loopback addresses.
    pub fn is_loopback(&self) -> bool {
        match self.0 {
            IpNet::V4(v4) => v4.addr().is_loopback() && v4.prefix_len() >= 8,
            IpNet::V6(v6) => v6.addr().is_loopback() && v6.prefix_len() == 128,
        }
    }
}

impl FromStr for AddressRange {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip
            .parse()
            .map_err(|_| PatternError("not an address: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"))?;
        let bits = if ip.is_ipv4() { 32 } else { Ipv6Addr::BITS as u8 };
        let prefix = match prefix {
            Some(prefix) if !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().unwrap_or(u8::MAX)
            }
            Some(_) => {
                return Err(PatternError("not a range: write the bits of the network after the slash"));
            }
            None => bits,
        };
        Self::new(ip, prefix)
            .ok_or(PatternError("more bits than the address has: 32 with IPv4, 128 with IPv6"))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// Ports, both ends included: `443`, `1-1024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// From `first` to `last`; `None` if there is no such port.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// One alone.
    pub fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// The first of them.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// The last of them.
    pub fn last(&self) -> u16 {
        self.last
    }

    /// Whether the port is one of them.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        number(first)
            .zip(number(last))
            .and_then(|(first, last)| Self::new(first, last))
            .ok_or(PatternError("not a port from 1 to 65535, nor a range of them as 1-1024"))
    }
}

/// A port as digits and nothing else, not even a sign.
pub fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        if self.first == self.last { Ok(()) } else { write!(f, "-{}", self.last) }
    }
}

/// Program files: a glob of the whole path if it has a slash, else of its last part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ProgramPattern(Glob);

impl ProgramPattern {
    /// Whether the pattern is for the program with this path.
    pub fn matches(&self, path: &str) -> bool {
        let part = match self.0.text.contains('/') {
            true => path,
            false => path.rsplit('/').next().unwrap_or_default(),
        };
        self.0.matches(part)
    }
}

impl FromStr for ProgramPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.contains('\0') {
            return Err(PatternError("not a program: write curl, python3* or /usr/bin/*"));
        }
        // A program's path is absolute: any other pattern with a slash would match nothing.
        if text.contains('/') && !text.starts_with(['/', '*', '?']) {
            return Err(PatternError("a program's path begins with a slash, or the pattern with a wildcard"));
        }
        Ok(Self(Glob::new(text.to_owned())))
    }
}

impl fmt::Display for ProgramPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

macro_rules! written_as_text {
    ($($pattern:ty),*) => {$(
        impl From<$pattern> for String {
            fn from(pattern: $pattern) -> Self {
                pattern.to_string()
            }
        }

        impl TryFrom<String> for $pattern {
            type Error = PatternError;

            fn try_from(text: String) -> Result<Self, PatternError> {
                text.parse()
            }
        }
    )*};
}

written_as_text!(DomainPattern, AddressRange, PortRange, ProgramPattern);

#[cfg(test)]
mod tests;
