//! A place in one text, for the options of a key: `HOST:PORT[/PROTOCOL]`, where HOST is what a rule has as a
//! domain or an address, or `*` for anything, and PORT a port, a range of them, or `*`.

use super::rules::{Protocol, Rule};

/// The rule with this place.
pub(super) fn rule(text: &str, mut rule: Rule) -> Result<Rule, String> {
    const FORM: &str = "write HOST:PORT, as *.example.org:443, [2001:db8::/32]:* or 192.0.2.0/24:1-1024/udp";
    let mut rest = text;
    for (word, protocol) in Protocol::WORDS {
        if let Some(before) = text.strip_suffix(word).and_then(|before| before.strip_suffix('/')) {
            (rule.protocol, rest) = (Some(protocol), before);
        }
    }
    let (host, port) = rest.rsplit_once(':').ok_or(FORM)?;
    if port != "*" {
        rule.ports.push(port.parse().map_err(|why| format!("{why}"))?);
    }
    if host == "*" {
        return Ok(rule);
    }
    let bare = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']')).ok_or(FORM)?;
    if bare.contains(':') && bare.len() == host.len() {
        return Err(format!("an IPv6 address is in brackets: {FORM}"));
    }
    match bare.parse() {
        Ok(range) => rule.addresses.push(range),
        // What has a slash or brackets was meant to be a range.
        Err(why) if bare.contains('/') || bare.len() < host.len() => return Err(format!("{why}")),
        Err(_) => rule.domains.push(bare.parse().map_err(|why| format!("{why}"))?),
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for (text, domain, address, port, protocol) in [
            ("a.example:443", "a.example", "", "443", None),
            (".example:*", ".example", "", "", None),
            ("*.example:1-1024", "*.example", "", "1-1024", None),
            ("*:443", "", "", "443", None),
            ("*:*/udp", "", "", "", Some(Protocol::Udp)),
            ("192.0.2.1:80/tcp", "", "192.0.2.1", "80", Some(Protocol::Tcp)),
            ("192.0.2.0/24:80", "", "192.0.2.0/24", "80", None),
            ("[2001:db8::/32]:53/udp", "", "2001:db8::/32", "53", Some(Protocol::Udp)),
            ("[::1]:*", "", "::1", "", None),
        ] {
            let rule = rule(text, Rule::all("x", true)).expect(text);
            let one = |list: Vec<String>| list.join(" ");
            assert_eq!(one(rule.domains.iter().map(ToString::to_string).collect()), domain, "{text}");
            assert_eq!(one(rule.addresses.iter().map(ToString::to_string).collect()), address, "{text}");
            assert_eq!(one(rule.ports.iter().map(ToString::to_string).collect()), port, "{text}");
            assert_eq!(rule.protocol, protocol, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "a.example",
            "a.example:",
            ":443",
            "a.example:0",
            "a.example:99999",
            "a.example:443/sctp",
            "::1:443",
            "2001:db8::1",
            "[::1]",
            "[::1",
            "[::1:443",
            "[a.example]:443",
            "10.0.0.0/33:1",
            "10.0.0.*:1",
            "a b:1",
            "**:/tcp",
        ] {
            assert!(rule(text, Rule::all("x", true)).is_err(), "{text}");
        }
    }
}
