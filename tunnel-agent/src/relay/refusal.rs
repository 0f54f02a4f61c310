//! Refusals: a status, and what a `Proxy-Status` field (RFC 9209) says beside it.
//!
//! `upstream/http/told.rs` is the other end of this table.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use rustix::io::Errno;

use super::policy::judge;
use super::policy::limits::Over;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// An error type of RFC 9209 section 2.3.
    pub(crate) error: &'static str,
    /// For a person.
    pub(crate) details: Cow<'static, str>,
    /// What the resolver has answered, where it has.
    pub(crate) rcode: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: u16, error: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error, details: details.into(), rcode: None }
    }

    /// The request itself is wrong.
    pub(crate) fn malformed(details: &'static str) -> Self {
        Self::new(400, "http_request_error", details)
    }

    /// The destination is none.
    pub(crate) fn nowhere() -> Self {
        Self::malformed("the request does not name a host and a port")
    }

    /// A method or protocol that a relay has nothing to do with.
    pub(crate) fn not_served() -> Self {
        Self::new(405, "http_request_denied", "a relay serves CONNECT and nothing else")
    }

    /// Nobody has said who asks.
    pub(crate) fn unauthorized() -> Self {
        Self::new(407, "http_request_denied", "the relay wants to know who asks")
    }

    /// No rule lets the client listen there.
    pub(crate) fn may_not_listen() -> Self {
        Self::new(403, "http_request_denied", "no rule lets the client listen there")
    }

    /// It listens already as often as it may.
    pub(crate) fn listeners_used_up() -> Self {
        Self::new(503, "connection_limit_reached", "the client has as many listeners as it may")
    }

    /// What was asked for is gone, or another's.
    pub(crate) fn no_listener() -> Self {
        Self::new(404, "destination_not_found", "there is no such listener or connection any more")
    }

    /// What `bind(2)` and `listen(2)` say.
    pub(crate) fn bind(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::ADDRINUSE) => Self::new(409, "http_request_denied", "the address is in use"),
            Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => {
                Self::new(422, "http_request_denied", "the relay does not have this address")
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                Self::new(403, "http_request_denied", "the relay itself may not listen there")
            }
            _ => Self::new(503, "proxy_internal_error", "the relay has trouble of its own"),
        }
    }

    /// Nothing came of it in time.
    pub(crate) fn timed_out() -> Self {
        Self::new(504, "connection_timeout", "nothing came of it in time")
    }

    /// What `connect(2)` says.
    pub(crate) fn dial(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::CONNREFUSED) => Self::new(502, "connection_refused", "the destination refuses"),
            Some(Errno::TIMEDOUT) => Self::timed_out(),
            Some(Errno::HOSTUNREACH) => {
                Self::new(502, "destination_unavailable", "the destination is unreachable")
            }
            Some(Errno::CONNRESET | Errno::PIPE) => {
                Self::new(502, "connection_terminated", "the destination has closed the connection")
            }
            Some(
                Errno::NETUNREACH | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::ACCESS | Errno::PERM,
            ) => Self::new(502, "destination_ip_unroutable", "there is no route to the destination"),
            _ => Self::new(503, "proxy_internal_error", "the relay has trouble of its own"),
        }
    }

    /// What there is between the status and the end of the line; a response has a reason, or an empty one.
    pub(crate) fn reason(&self) -> &'static str {
        match self.status {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            409 => "Conflict",
            422 => "Unprocessable Content",
            407 => "Proxy Authentication Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "",
        }
    }

    /// The value of the field: `NAME; error=TOKEN; details="…"`.
    pub(crate) fn proxy_status(&self, name: &str) -> String {
        let mut value = String::new();
        // A token begins with a letter (RFC 8941 section 3.3.4).
        let is_token = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_token {
            value.push_str(name);
        } else {
            quote(&mut value, name);
        }
        let _ = write!(value, "; error={}", self.error);
        if let Some(rcode) = self.rcode {
            value.push_str("; rcode=");
            quote(&mut value, rcode);
        }
        value.push_str("; details=");
        quote(&mut value, &self.details);
        value
    }
}

/// As RFC 8941 section 3.3.3 has strings; what is not ASCII has no place in one.
fn quote(value: &mut String, text: &str) {
    value.push('"');
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value.push('"');
}

impl From<&judge::Refusal> for Refusal {
    fn from(refusal: &judge::Refusal) -> Self {
        Self::new(403, refusal.why.error_type(), refusal.why.to_string())
    }
}

impl From<Over> for Refusal {
    fn from(over: Over) -> Self {
        Self::new(over.status(), "connection_limit_reached", over.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfv::{BareItem, List, ListEntry, Parser};

    /// What a parser of structured fields makes of it.
    fn parsed(value: &str) -> (String, String, String) {
        let list = Parser::new(value).parse::<List>().unwrap();
        let [ListEntry::Item(item)] = &list[..] else { panic!("{value}") };
        let name = match &item.bare_item {
            BareItem::Token(token) => token.as_str().to_owned(),
            BareItem::String(string) => string.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        let text = |key| match &item.params.get(key).unwrap() {
            BareItem::Token(token) => token.as_str().to_owned(),
            BareItem::String(string) => string.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        (name, text("error"), text("details"))
    }

    #[test]
    fn the_field_is_one_that_others_can_read() {
        for name in ["underpass", "exit-1.example", "9to5"] {
            let refusal = Refusal::new(403, "http_request_denied", "a \"rule\" \\ ü says so");
            let (read, error, details) = parsed(&refusal.proxy_status(name));
            assert_eq!((&*read, &*error), (name, "http_request_denied"));
            assert_eq!(details, "a \"rule\" \\  says so");
        }
    }

    #[test]
    fn each_errno_of_a_dial_has_its_word() {
        for (errno, status, error) in [
            (libc::ECONNREFUSED, 502, "connection_refused"),
            (libc::ETIMEDOUT, 504, "connection_timeout"),
            (libc::EHOSTUNREACH, 502, "destination_unavailable"),
            (libc::ENETUNREACH, 502, "destination_ip_unroutable"),
            (libc::ECONNRESET, 502, "connection_terminated"),
            (libc::EMFILE, 503, "proxy_internal_error"),
        ] {
            let refusal = Refusal::dial(&io::Error::from_raw_os_error(errno));
            assert_eq!((refusal.status, refusal.error), (status, error));
        }
    }
}
