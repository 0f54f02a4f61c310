//! What a client of a door can ask for, and what is said to one that asks for something else.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use underpass_core::destination::Destination;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A connection.
    Connect(Destination),
    /// One connection from there, which is waited for; an unspecified address is whoever comes.
    Bind(Destination),
    /// An association for datagrams, which the client says it will send from here; zeros are what it does not know.
    Associate(SocketAddr),
}

/// The answer to what is refused. It may be empty: what is no request of the protocol is owed none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Vec<u8>);

/// What comes of the bytes so far: `None` if more belong to it; else what it is and how many bytes of them it has, or
/// a refusal. What begins as another message refuses is refused with its first byte that does.
pub(crate) type Parsed<T> = Option<Result<(T, usize), Refused>>;

/// A host as a client writes it: an address, or a name. What getaddrinfo(3) takes for an address is one here, too: else
/// routes would judge it as a name, and whoever looks it up would dial what they refuse.
pub(crate) fn named(host: &[u8], port: u16) -> Option<Destination> {
    let host = std::str::from_utf8(host).ok()?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(Destination::Address((ip, port).into()));
    }
    if let Some(ip) = number(host) {
        return Some(Destination::Address((ip, port).into()));
    }
    let is_name = (1..=255).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:@[]?#\\".contains(&byte));
    is_name.then(|| Destination::Name { host: host.to_owned(), port })
}

/// An address as inet_aton(3) reads it: up to four numbers, decimal, octal or hexadecimal, the last of which fills what is
/// left.
fn number(host: &str) -> Option<Ipv4Addr> {
    let mut parts = Vec::with_capacity(4);
    for part in host.split('.') {
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None => (part, if part.starts_with('0') { 8 } else { 10 }),
        };
        // It would take a sign.
        if parts.len() == 4 || digits.starts_with('+') {
            return None;
        }
        parts.push(u32::from_str_radix(digits, radix).ok()?);
    }
    let last = parts.pop()?;
    let left = u32::MAX.checked_shr(8 * u32::try_from(parts.len()).ok()?)?;
    if last > left || parts.iter().any(|&part| part > 255) {
        return None;
    }
    let first = parts.iter().zip([24, 16, 8]).fold(0, |all, (part, by)| all | part << by);
    Some(Ipv4Addr::from_bits(first | last))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Debug;

    use underpass_core::destination::Destination;

    use super::{Parsed, Refused, named};

    #[test]
    fn what_a_resolver_takes_for_an_address_is_none_of_the_names() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:1"),
            ("127.1", "127.0.0.1:1"),
            ("10.1.2", "10.1.0.2:1"),
            ("127.65535", "127.0.255.255:1"),
            ("0x7f.0.0.01", "127.0.0.1:1"),
            ("0X7F000001", "127.0.0.1:1"),
            ("017700000001", "127.0.0.1:1"),
            ("2130706433", "127.0.0.1:1"),
            ("4294967295", "255.255.255.255:1"),
            ("0", "0.0.0.0:1"),
            ("::1", "[::1]:1"),
        ] {
            let address = Destination::Address(address.parse().unwrap());
            assert_eq!(named(text.as_bytes(), 1), Some(address), "{text}");
        }
        // For getaddrinfo(3) as well.
        for text in
            ["127.1.", ".1", "1..2", "0x", "08", "+1", "0x+1", "-1", "256.1", "127.16777216", "1.2.3.256"]
                .into_iter()
                .chain(["4294967296", "1.2.3.4.5", "0x7g", "1e100.net", "a.1"])
        {
            let name = Destination::Name { host: text.to_owned(), port: 1 };
            assert_eq!(named(text.as_bytes(), 1), Some(name), "{text}");
        }
    }

    /// Every prefix is incomplete, and what follows is left alone.
    #[track_caller]
    pub(in super::super) fn taken<T: Debug + PartialEq>(
        parse: impl Fn(&[u8]) -> Parsed<T>,
        message: &[u8],
    ) -> T {
        for cut in 0..message.len() {
            assert_eq!(parse(&message[..cut]), None, "{cut} of {message:?}");
        }
        let (asked, used) = parse(message).expect("it is whole").expect("it is taken");
        assert_eq!(used, message.len());
        let more = parse(&[message, b"\x05\x01\x00\0\r\n"].concat());
        assert_eq!(more, Some(Ok((parse(message).unwrap().unwrap().0, used))));
        asked
    }

    /// Refused with these bytes at the latest, and never taken.
    #[track_caller]
    pub(in super::super) fn refused<T: Debug>(parse: impl Fn(&[u8]) -> Parsed<T>, message: &[u8]) -> Vec<u8> {
        for cut in 0..message.len() {
            assert!(!matches!(parse(&message[..cut]), Some(Ok(_))), "{cut} of {message:?}");
        }
        let Some(Err(Refused(answer))) = parse(message) else { panic!("{message:?} is not refused") };
        answer
    }
}
