//! What a proxy says about the destination beside a status, as an errno.

use sfv::{BareItem, List, ListEntry, Parser};
use underpass_core::failure::errno;

/// Characters of what is said for a person.
const MAX_DETAILS: usize = 200;

/// `Proxy-Status` (RFC 9209) first, since it is the standard; then squid's own header. `values` gives those of
/// each header of a name, which is written in lower case.
pub(crate) fn errno<'a, V: Iterator<Item = &'a str>>(values: impl Fn(&'static str) -> V) -> Option<i32> {
    proxy_status(values("proxy-status")).or_else(|| values("x-squid-error").find_map(squid_error))
}

/// The first error with a meaning: members are in the order in which the answer passed them, so it is
/// that of the proxy nearest to the destination.
fn proxy_status<'a>(lines: impl Iterator<Item = &'a str>) -> Option<i32> {
    // Several lines are one list (RFC 9651 section 4.2).
    let lines: Vec<&str> = lines.collect();
    if lines.is_empty() {
        return None;
    }
    let list = Parser::new(&lines.join(", ")).parse::<List>().ok()?;
    list.iter().find_map(|entry| {
        let ListEntry::Item(item) = entry else { return None };
        match item.params.get("error")? {
            BareItem::Token(error) => error_type(error.as_str()),
            _ => None,
        }
    })
}

/// What it says for a person (RFC 9209 section 2.1.4), which is ASCII (RFC 9651 section 3.3.3), as far as a line has
/// room for it.
pub(crate) fn details<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let lines: Vec<&str> = lines.collect();
    let list = Parser::new(&lines.join(", ")).parse::<List>().ok()?;
    list.iter().find_map(|entry| {
        let ListEntry::Item(item) = entry else { return None };
        match item.params.get("details")? {
            BareItem::String(details) => Some(details.as_str().chars().take(MAX_DETAILS).collect()),
            _ => None,
        }
    })
}

/// RFC 9209 section 2.3. `None` where the status says it as well, or nothing is said about the
/// destination.
fn error_type(error: &str) -> Option<i32> {
    Some(match error {
        "dns_timeout" | "dns_error" | "destination_not_found" | "destination_unavailable" => {
            errno::EHOSTUNREACH
        }
        "destination_ip_prohibited" | "http_request_denied" => errno::EACCES,
        "destination_ip_unroutable" => errno::ENETUNREACH,
        "connection_refused" => errno::ECONNREFUSED,
        "connection_terminated" => errno::ECONNRESET,
        "connection_timeout"
        | "connection_read_timeout"
        | "connection_write_timeout"
        | "http_response_timeout" => errno::ETIMEDOUT,
        // Between this proxy and the next one.
        "tls_protocol_error"
        | "tls_certificate_error"
        | "tls_alert_received"
        | "http_protocol_error"
        | "http_response_incomplete"
        | "http_upgrade_failed" => errno::ECONNRESET,
        // Of the proxy, and not of the destination.
        "connection_limit_reached"
        | "proxy_internal_error"
        | "proxy_configuration_error"
        | "proxy_loop_detected" => errno::ENETUNREACH,
        _ => return None,
    })
}

/// `NAME ERRNO`, where the number is of the system that squid runs on: Linux is taken, and a number
/// that connect(2) does not have means nothing there.
fn squid_error(value: &str) -> Option<i32> {
    let (name, number) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    Some(match name {
        "ERR_CONNECT_FAIL" => number.trim().parse().ok().filter(|errno| (1..=133).contains(errno))?,
        "ERR_DNS_FAIL" => errno::EHOSTUNREACH,
        "ERR_ACCESS_DENIED" | "ERR_CACHE_ACCESS_DENIED" | "ERR_FORWARDING_DENIED" => errno::EACCES,
        "ERR_READ_TIMEOUT" | "ERR_LIFETIME_EXP" => errno::ETIMEDOUT,
        "ERR_CANNOT_FORWARD" => errno::ENETUNREACH,
        "ERR_SECURE_CONNECT_FAIL" => errno::ECONNRESET,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::response::{self, Response};
    use super::*;

    fn told(headers: &str) -> Option<i32> {
        let head = format!("HTTP/1.1 502 Bad Gateway\r\n{headers}\r\n");
        let mut room = response::EMPTY;
        let response = Response::parse(head.as_bytes(), &mut room).unwrap();
        errno(|name| response.values(name))
    }

    #[test]
    fn each_error_type_of_rfc_9209_has_its_errno_or_leaves_it_to_the_status() {
        let table = [
            ("dns_timeout", Some(errno::EHOSTUNREACH)),
            ("dns_error", Some(errno::EHOSTUNREACH)),
            ("destination_not_found", Some(errno::EHOSTUNREACH)),
            ("destination_unavailable", Some(errno::EHOSTUNREACH)),
            ("destination_ip_prohibited", Some(errno::EACCES)),
            ("destination_ip_unroutable", Some(errno::ENETUNREACH)),
            ("connection_refused", Some(errno::ECONNREFUSED)),
            ("connection_terminated", Some(errno::ECONNRESET)),
            ("connection_timeout", Some(errno::ETIMEDOUT)),
            ("connection_read_timeout", Some(errno::ETIMEDOUT)),
            ("connection_write_timeout", Some(errno::ETIMEDOUT)),
            ("connection_limit_reached", Some(errno::ENETUNREACH)),
            ("tls_protocol_error", Some(errno::ECONNRESET)),
            ("tls_certificate_error", Some(errno::ECONNRESET)),
            ("tls_alert_received", Some(errno::ECONNRESET)),
            ("http_request_error", None),
            ("http_request_denied", Some(errno::EACCES)),
            ("http_response_incomplete", Some(errno::ECONNRESET)),
            ("http_response_header_section_size", None),
            ("http_response_header_size", None),
            ("http_response_body_size", None),
            ("http_response_trailer_section_size", None),
            ("http_response_trailer_size", None),
            ("http_response_transfer_coding", None),
            ("http_response_content_coding", None),
            ("http_response_timeout", Some(errno::ETIMEDOUT)),
            ("http_upgrade_failed", Some(errno::ECONNRESET)),
            ("http_protocol_error", Some(errno::ECONNRESET)),
            ("proxy_internal_response", None),
            ("proxy_internal_error", Some(errno::ENETUNREACH)),
            ("proxy_configuration_error", Some(errno::ENETUNREACH)),
            ("proxy_loop_detected", Some(errno::ENETUNREACH)),
            ("of_tomorrow", None),
        ];
        for (error, errno) in table {
            assert_eq!(told(&format!("Proxy-Status: a.test; error={error}\r\n")), errno, "{error}");
        }
    }

    #[test]
    fn the_error_nearest_to_the_destination_counts() {
        let two = "Proxy-Status: far; error=connection_refused; details=\"x, y\"\r\n\
                   proxy-status: \"near\"; error=connection_terminated\r\n";
        assert_eq!(told(two), Some(errno::ECONNREFUSED));
        let passed_on = "Proxy-Status: far; next-hop=\"192.0.2.1\", near; error=dns_error\r\n";
        assert_eq!(told(passed_on), Some(errno::EHOSTUNREACH));
    }

    #[test]
    fn what_is_said_for_a_person_has_an_end() {
        let said = |value: &str| details([value].into_iter());
        assert_eq!(said("a; error=x; details=\"no \\\"rule\\\"\"").as_deref(), Some("no \"rule\""));
        let long = format!("a; details=\"{}\"", "x".repeat(500));
        assert_eq!(said(&long).map(|text| text.len()), Some(MAX_DETAILS));
        for value in ["", "a", "a; details=token", "a; details=\"\x1b\"", "(a);details=\"x\""] {
            assert_eq!(said(value), None, "{value}");
        }
    }

    #[test]
    fn what_squid_says_has_its_errno() {
        let table = [
            ("ERR_CONNECT_FAIL 111", Some(111)),
            ("ERR_CONNECT_FAIL 110", Some(110)),
            ("ERR_CONNECT_FAIL 113", Some(113)),
            ("ERR_CONNECT_FAIL 0", None),
            ("ERR_CONNECT_FAIL -5", None),
            ("ERR_CONNECT_FAIL 99999999999999", None),
            ("ERR_CONNECT_FAIL", None),
            ("ERR_DNS_FAIL 0", Some(errno::EHOSTUNREACH)),
            ("ERR_ACCESS_DENIED 0", Some(errno::EACCES)),
            ("ERR_CACHE_ACCESS_DENIED 0", Some(errno::EACCES)),
            ("ERR_FORWARDING_DENIED 0", Some(errno::EACCES)),
            ("ERR_READ_TIMEOUT 0", Some(errno::ETIMEDOUT)),
            ("ERR_LIFETIME_EXP 0", Some(errno::ETIMEDOUT)),
            ("ERR_CANNOT_FORWARD 0", Some(errno::ENETUNREACH)),
            ("ERR_SECURE_CONNECT_FAIL 71", Some(errno::ECONNRESET)),
            ("ERR_INVALID_URL 0", None),
            ("", None),
        ];
        for (value, errno) in table {
            assert_eq!(told(&format!("X-Squid-Error: {value}\r\n")), errno, "{value}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_says_nothing() {
        for value in ["", ";", "a;error=", "a;error=\"connection_refused\"", "a;error=1", "(a);error=x", "é"]
        {
            assert_eq!(told(&format!("Proxy-Status: {value}\r\n")), None, "{value}");
        }
        let both = "Proxy-Status: ;;;\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n";
        assert_eq!(told(both), Some(errno::ECONNREFUSED));
    }
}
