//! The server's side of SOCKS5 (RFC 1928, RFC 1929), without I/O.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use underpass_core::destination::Destination;
use underpass_core::failure::errno;

use super::asked::{Asked, Parsed, Refused, named};

pub(super) const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const BIND: u8 = 2;
const UDP_ASSOCIATE: u8 = 3;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

const DONE: u8 = 0;
pub(super) const FAILURE: u8 = 1;
pub(super) const NOT_ALLOWED: u8 = 2;
pub(super) const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_TYPE_NOT_SUPPORTED: u8 = 8;

/// The answer to a greeting whose method is taken.
pub(super) const fn method(with_login: bool) -> [u8; 2] {
    [VERSION, if with_login { USER_PASSWORD } else { NO_AUTHENTICATION }]
}

/// The answer to a login.
pub(super) const fn verdict(good: bool) -> [u8; 2] {
    [1, !good as u8]
}

/// Reads a greeting, which has to offer the one method that is wanted.
pub(crate) fn greeting(bytes: &[u8], with_login: bool) -> Parsed<()> {
    let (&version, rest) = bytes.split_first()?;
    if version != VERSION {
        return Some(Err(Refused(Vec::new())));
    }
    let (&count, rest) = rest.split_first()?;
    let (methods, _) = rest.split_at_checked(count.into())?;
    let [_, wanted] = method(with_login);
    Some(match methods.contains(&wanted) {
        true => Ok(((), 2 + methods.len())),
        false => Err(Refused(vec![VERSION, NONE_ACCEPTABLE])),
    })
}

/// Reads user name and password (RFC 1929).
pub(crate) fn login(bytes: &[u8]) -> Parsed<(Vec<u8>, Vec<u8>)> {
    let (&version, rest) = bytes.split_first()?;
    if version != 1 {
        return Some(Err(Refused(verdict(false).to_vec())));
    }
    let (&length, rest) = rest.split_first()?;
    let (user, rest) = rest.split_at_checked(length.into())?;
    let (&length, rest) = rest.split_first()?;
    let (password, _) = rest.split_at_checked(length.into())?;
    Some(Ok(((user.to_vec(), password.to_vec()), 3 + user.len() + password.len())))
}

/// Reads a request.
pub(crate) fn request(bytes: &[u8]) -> Parsed<Asked> {
    let refused = |code| Some(Err(Refused(reply(code))));
    let (&version, rest) = bytes.split_first()?;
    if version != VERSION {
        return Some(Err(Refused(Vec::new())));
    }
    let (&command, rest) = rest.split_first()?;
    let (_reserved, rest) = rest.split_first()?;
    let (&kind, rest) = rest.split_first()?;
    let (host, rest) = match kind {
        1 => {
            let (ip, rest) = rest.split_first_chunk::<4>()?;
            (Host::Address((*ip).into()), rest)
        }
        4 => {
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            (Host::Address((*ip).into()), rest)
        }
        3 => {
            let (&length, rest) = rest.split_first()?;
            let (name, rest) = rest.split_at_checked(length.into())?;
            (Host::Name(name), rest)
        }
        _ => return refused(ADDRESS_TYPE_NOT_SUPPORTED),
    };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    let destination = match host {
        Host::Address(ip) => Some(Destination::Address(SocketAddr::new(ip, port))),
        Host::Name(name) => named(name, port),
    };
    let asked = match (command, destination) {
        (_, None) => return refused(ADDRESS_TYPE_NOT_SUPPORTED),
        (CONNECT, Some(destination)) => Asked::Connect(destination),
        (BIND, Some(peer)) => Asked::Bind(peer),
        (UDP_ASSOCIATE, Some(Destination::Address(from))) => Asked::Associate(from),
        // It says nothing about where datagrams come from.
        (UDP_ASSOCIATE, Some(Destination::Name { port, .. })) => Asked::Associate(([0; 4], port).into()),
        _ => return refused(COMMAND_NOT_SUPPORTED),
    };
    Some(Ok((asked, bytes.len() - rest.len())))
}

enum Host<'a> {
    Address(std::net::IpAddr),
    Name(&'a [u8]),
}

/// The answer to a request that came to nothing, or (0) to one that is carried.
pub(super) fn answer(errno: i32) -> Vec<u8> {
    reply(match errno {
        0 => DONE,
        errno::EACCES => NOT_ALLOWED,
        errno::ENETUNREACH => 3,
        errno::EHOSTUNREACH => 4,
        errno::ECONNREFUSED => 5,
        errno::ETIMEDOUT => 6,
        errno::EOPNOTSUPP => COMMAND_NOT_SUPPORTED,
        errno::EAFNOSUPPORT => ADDRESS_TYPE_NOT_SUPPORTED,
        _ => FAILURE,
    })
}

/// Where the connection leaves from is not known.
pub(super) fn reply(code: u8) -> Vec<u8> {
    bound(code, ([0; 4], 0).into())
}

/// The answer to a request whose address the client needs.
pub(super) fn carried_at(address: SocketAddr) -> Vec<u8> {
    bound(DONE, address)
}

fn bound(code: u8, address: SocketAddr) -> Vec<u8> {
    let mut bytes = vec![VERSION, code, 0];
    match address {
        SocketAddr::V4(v4) => {
            bytes.push(1);
            bytes.extend(v4.ip().octets());
        }
        SocketAddr::V6(v6) => {
            bytes.push(4);
            bytes.extend(v6.ip().octets());
        }
    }
    bytes.extend(address.port().to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::{refused, taken};
    use super::*;

    #[test]
    fn greetings_offer_what_is_wanted() {
        taken(|bytes| greeting(bytes, false), b"\x05\x02\x02\x00");
        taken(|bytes| greeting(bytes, true), b"\x05\x03\x00\x01\x02");
        for (message, with_login) in
            [(&b"\x05\x01\x02"[..], false), (b"\x05\x01\x00", true), (b"\x05\x00", false)]
        {
            assert_eq!(refused(|bytes| greeting(bytes, with_login), message), [5, 0xff]);
        }
        assert!(refused(|bytes| greeting(bytes, false), b"G").is_empty());
    }

    #[test]
    fn logins_have_a_name_and_a_password() {
        let login = |message| taken(login, message);
        assert_eq!(login(b"\x01\x02ab\x03c:d"), (b"ab".to_vec(), b"c:d".to_vec()));
        assert_eq!(login(b"\x01\x00\x00"), Default::default());
        assert_eq!(refused(super::login, b"\x05"), [1, 1]);
    }

    #[test]
    fn requests_are_taken_or_refused_by_command_and_kind() {
        let request = |message: &[u8]| taken(request, message);
        let connect = |to: &str| Asked::Connect(Destination::Address(to.parse().unwrap()));
        assert_eq!(request(b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"), connect("192.0.2.1:443"));
        let six = b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x16";
        assert_eq!(request(six), connect("[2001:db8::1]:22"));
        let name = Destination::Name { host: "a.test".into(), port: 80 };
        assert_eq!(request(b"\x05\x01\x00\x03\x06a.test\0\x50"), Asked::Connect(name));
        assert_eq!(request(b"\x05\x01\x00\x03\x07127.0.1\0\x50"), connect("127.0.0.1:80"));
        let bind = Asked::Bind(Destination::Address("127.0.0.1:1".parse().unwrap()));
        assert_eq!(request(b"\x05\x02\x00\x01\x7f\0\0\x01\0\x01"), bind);
        let any = Asked::Associate("0.0.0.0:0".parse().unwrap());
        assert_eq!(request(b"\x05\x03\x00\x01\0\0\0\0\0\0"), any);
        assert_eq!(request(b"\x05\x03\x00\x03\x01x\0\0"), any);
        for (message, code) in [
            (&b"\x05\x04\x00\x01\x7f\0\0\x01\0\x01"[..], COMMAND_NOT_SUPPORTED),
            (b"\x05\x00\x00\x01\x7f\0\0\x01\0\x01", COMMAND_NOT_SUPPORTED),
            (b"\x05\x01\x00\x09", ADDRESS_TYPE_NOT_SUPPORTED),
            (b"\x05\x01\x00\x03\x00\0\x01", ADDRESS_TYPE_NOT_SUPPORTED),
            (b"\x05\x01\x00\x03\x03a/b\0\x01", ADDRESS_TYPE_NOT_SUPPORTED),
        ] {
            assert_eq!(refused(super::request, message), reply(code), "{message:?}");
        }
        assert!(refused(super::request, b"\x04").is_empty());
    }

    #[test]
    fn answers_have_the_code_of_the_errno_and_an_address() {
        let codes = [
            (0, 0),
            (errno::EACCES, 2),
            (errno::ENETUNREACH, 3),
            (errno::EHOSTUNREACH, 4),
            (errno::ECONNREFUSED, 5),
            (errno::ETIMEDOUT, 6),
            (errno::EOPNOTSUPP, 7),
            (errno::EAFNOSUPPORT, 8),
            (errno::ECONNRESET, 1),
        ];
        for (errno, code) in codes {
            assert_eq!(answer(errno), [5, code, 0, 1, 0, 0, 0, 0, 0, 0], "{errno}");
        }
        assert_eq!(carried_at("192.0.2.1:443".parse().unwrap()), b"\x05\0\0\x01\xc0\0\x02\x01\x01\xbb");
        let six = b"\x05\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x16";
        assert_eq!(carried_at("[2001:db8::1]:22".parse().unwrap()), six);
    }
}
