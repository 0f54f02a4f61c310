//! What a relay is asked for over HTTP/2, without I/O.

use std::fmt::Write;
use std::net::SocketAddr;

use h2::ext::Protocol;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

use crate::relay::listen::request::{ACCEPT, Id, LISTEN, RESUME, accept_path, listen_path};
use crate::relay::policy::exposing::Wish;
use crate::upstream::http::authority;

/// The template that everybody knows (RFC 9298 section 2).
const UDP: &str = "/.well-known/masque/udp";

/// A connection (RFC 9113 section 8.5).
pub(super) fn connection(destination: &Destination) -> Result<Request<()>, Failure> {
    let uri: Uri = authority::of(destination)?.parse().map_err(|_| MALFORMED)?;
    Request::builder().method(Method::CONNECT).uri(uri).body(()).map_err(|_| MALFORMED)
}

/// Datagrams (RFC 9298 section 3.4), asked for at `relay`.
pub(super) fn datagrams(relay: &Destination, destination: &Destination) -> Result<Request<()>, Failure> {
    // What cannot be asked for as a connection cannot be asked for at all.
    let named = authority::of(destination)?;
    let (host, port) = named.rsplit_once(':').ok_or(MALFORMED)?;
    let host = escaped(host.trim_start_matches('[').trim_end_matches(']'));
    let relay = authority::of(relay)?;
    let uri: Uri = format!("https://{relay}{UDP}/{host}/{port}/").parse().map_err(|_| MALFORMED)?;
    let capsules = (HeaderName::from_static("capsule-protocol"), HeaderValue::from_static("?1"));
    let request = Request::builder().method(Method::CONNECT).uri(uri).header(capsules.0, capsules.1);
    request.extension(Protocol::from_static("connect-udp")).body(()).map_err(|_| MALFORMED)
}

/// What is asked for to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listening {
    /// A listener; by the token, the one that was there.
    Listener(Wish, Option<Id>),
    /// A connection that waits at one.
    Connection(Id),
}

/// What [`crate::relay::listen`] serves, asked for at `relay`.
pub(super) fn listening(relay: &Destination, asked: &Listening) -> Result<Request<()>, Failure> {
    let (protocol, path, token) = match *asked {
        Listening::Listener(wish, token) => (LISTEN, listen_path(wish), token),
        Listening::Connection(id) => (ACCEPT, accept_path(id), None),
    };
    let relay = authority::of(relay)?;
    let uri: Uri = format!("https://{relay}{path}").parse().map_err(|_| MALFORMED)?;
    let mut request = Request::builder().method(Method::CONNECT).uri(uri);
    if let Some(token) = token {
        request = request.header(HeaderName::from_static(RESUME), token.to_string());
    }
    request.extension(Protocol::from_static(protocol)).body(()).map_err(|_| MALFORMED)
}

/// An address that the relay has told.
pub(crate) fn address(said: &HeaderMap, name: &'static str) -> Option<SocketAddr> {
    said.get(name)?.to_str().ok()?.parse().ok()
}

const MALFORMED: Failure = Failure::Request("the name holds a character that no URL has");

/// As the expansion of a template has it (RFC 6570 section 3.2.2).
fn escaped(host: &str) -> String {
    let mut text = String::with_capacity(host.len());
    for byte in host.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, port: u16) -> Destination {
        Destination::Name { host: host.into(), port }
    }

    #[test]
    fn datagrams_are_asked_for_by_the_template() {
        let relay = Destination::Address("[2001:db8::1]:443".parse().unwrap());
        for (destination, path) in [
            (name("a.test", 53), "/.well-known/masque/udp/a.test/53/"),
            (name("a&b.test", 53), "/.well-known/masque/udp/a%26b.test/53/"),
            (Destination::Address(([192, 0, 2, 6], 443).into()), "/.well-known/masque/udp/192.0.2.6/443/"),
            (
                Destination::Address("[2001:db8::42]:443".parse().unwrap()),
                "/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/",
            ),
        ] {
            let request = datagrams(&relay, &destination).unwrap();
            assert_eq!(request.uri().to_string(), format!("https://[2001:db8::1]:443{path}"));
            assert_eq!(request.extensions().get::<Protocol>().map(Protocol::as_str), Some("connect-udp"));
        }
        for host in ["", "a b", "a/b", "a%2fb", "ä.test"] {
            assert!(datagrams(&relay, &name(host, 53)).is_err(), "{host}");
        }
    }

    #[test]
    fn a_connection_is_asked_for_by_its_authority_alone() {
        let request = connection(&name("a.test", 443)).unwrap();
        assert_eq!((request.uri().to_string(), request.uri().path()), ("a.test:443".into(), ""));
    }
}
