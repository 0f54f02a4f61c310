//! The authority form of a destination (RFC 9112 section 3.2.3), and the names that have none.

use std::net::IpAddr;

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

/// The longest name, in bytes (RFC 1035 section 2.3.4).
const LONGEST: usize = 255;

/// `HOST:PORT`, an IPv6 address in brackets. A name goes out as it is or not at all.
pub(crate) fn of(destination: &Destination) -> Result<String, Failure> {
    match destination {
        Destination::Address(address) => Ok(match address.ip().to_canonical() {
            IpAddr::V4(v4) => format!("{v4}:{}", address.port()),
            // Without the scope, which means nothing on another machine.
            IpAddr::V6(v6) => format!("[{v6}]:{}", address.port()),
        }),
        Destination::Name { host, port } => {
            if host.is_empty() || host.len() > LONGEST {
                return Err(Failure::Request("the name is empty or longer than 255 bytes"));
            }
            if !host.is_ascii() {
                return Err(Failure::Request("the name is not ASCII; its xn-- form is"));
            }
            if !host.bytes().all(is_of_name) {
                return Err(Failure::Request("the name holds a character that no name has in a URL"));
            }
            Ok(format!("{host}:{port}"))
        }
    }
}

/// `unreserved` and `sub-delims` of RFC 3986 section 3.2.2: neither white space nor control
/// characters, nothing that ends a host (`:`, `/`, `?`, `#`) or begins one (`@`, `[`), no escapes.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}
