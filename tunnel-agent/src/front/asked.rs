//! What a client of a door can ask for, and what is said to one that asks for something else.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

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

/// A host as a client writes it: an address, or a name.
pub(crate) fn named(host: &[u8], port: u16) -> Option<Destination> {
    let host = std::str::from_utf8(host).ok()?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(Destination::Address((ip, port).into()));
    }
    let is_name = (1..=255).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:@[]?#\\".contains(&byte));
    is_name.then(|| Destination::Name { host: host.to_owned(), port })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Debug;

    use super::{Parsed, Refused};

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
