//! The server's side of SOCKS4 and SOCKS4a (openssh.com/txt/socks4.protocol, socks4a.protocol), without I/O.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, SocketAddrV4};

use underpass_core::destination::Destination;

use super::asked::{Asked, Parsed, Refused, named};

pub(super) const VERSION: u8 = 4;
const CONNECT: u8 = 1;
const BIND: u8 = 2;
const GRANTED: u8 = 90;
const REJECTED: u8 = 91;
/// No user name and no host is longer, in bytes.
const LONGEST: usize = 255;

/// Reads a request; the user name in it proves nothing, and is not looked at.
pub(crate) fn request(bytes: &[u8]) -> Parsed<Asked> {
    let (&version, rest) = bytes.split_first()?;
    if version != VERSION {
        return Some(Err(Refused(Vec::new())));
    }
    let (&command, rest) = rest.split_first()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    let (ip, rest) = rest.split_first_chunk::<4>()?;
    let Some((_user, rest)) = text(rest)? else { return refused() };
    let (destination, rest) = match *ip {
        // 4a: a name follows.
        [0, 0, 0, last] if last != 0 => {
            let Some((name, rest)) = text(rest)? else { return refused() };
            (named(name, port), rest)
        }
        ip => (Some(Destination::Address((Ipv4Addr::from(ip), port).into())), rest),
    };
    match (command, destination) {
        (CONNECT, Some(to)) => Some(Ok((Asked::Connect(to), bytes.len() - rest.len()))),
        (BIND, Some(peer)) => Some(Ok((Asked::Bind(peer), bytes.len() - rest.len()))),
        _ => refused(),
    }
}

/// What is before a zero byte, and what is behind it: `None` while it may come, an inner `None` if it is too long.
fn text(bytes: &[u8]) -> Option<Option<(&[u8], &[u8])>> {
    match bytes.iter().take(LONGEST + 1).position(|&byte| byte == 0) {
        Some(end) => Some(Some((&bytes[..end], &bytes[end + 1..]))),
        None if bytes.len() > LONGEST => Some(None),
        None => None,
    }
}

fn refused<T>() -> Parsed<T> {
    Some(Err(Refused(answer(false))))
}

/// The answer to a request.
pub(super) fn answer(granted: bool) -> Vec<u8> {
    vec![0, if granted { GRANTED } else { REJECTED }, 0, 0, 0, 0, 0, 0]
}

/// The answer to a request whose address the client needs.
pub(super) fn granted_at(address: SocketAddrV4) -> Vec<u8> {
    [&[0, GRANTED][..], &address.port().to_be_bytes(), &address.ip().octets()].concat()
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests;
    use super::*;

    #[test]
    fn requests_have_an_address_or_a_name() {
        let taken = |message: &[u8]| tests::taken(request, message);
        let connect = |to: &str| Asked::Connect(Destination::Address(to.parse().unwrap()));
        assert_eq!(taken(b"\x04\x01\x01\xbb\xc0\x00\x02\x01me\0"), connect("192.0.2.1:443"));
        assert_eq!(taken(b"\x04\x01\x01\xbb\0\0\0\0\0"), connect("0.0.0.0:443"));
        let bind = Asked::Bind(Destination::Address("192.0.2.1:443".parse().unwrap()));
        assert_eq!(taken(b"\x04\x02\x01\xbb\xc0\x00\x02\x01me\0"), bind);
        assert_eq!(granted_at("192.0.2.1:443".parse().unwrap()), b"\0\x5a\x01\xbb\xc0\0\x02\x01");
        let name = Destination::Name { host: "a.test".into(), port: 80 };
        assert_eq!(taken(b"\x04\x01\0\x50\0\0\0\x07\0a.test\0"), Asked::Connect(name));
        assert_eq!(taken(b"\x04\x01\0\x50\0\0\0\x01me\x00192.0.2.1\0"), connect("192.0.2.1:80"));
    }

    #[test]
    fn other_commands_and_endless_texts_are_refused() {
        let refused = |message: &[u8]| tests::refused(request, message);
        let no = answer(false);
        assert_eq!(refused(b"\x04\x03\x01\xbb\xc0\x00\x02\x01me\0"), no);
        assert_eq!(refused(b"\x04\x01\0\x50\0\0\0\x07\0\0"), no);
        assert_eq!(refused(b"\x04\x01\0\x50\0\0\0\x07\0a b\0"), no);
        assert_eq!(refused(&[&b"\x04\x01\0\x50\x7f\0\0\x01"[..], &[b'x'; 256]].concat()), no);
        assert_eq!(refused(&[&b"\x04\x01\0\x50\0\0\0\x01\0"[..], &[b'x'; 256]].concat()), no);
        assert!(refused(b"\x05").is_empty());
    }
}
