use super::*;

#[test]
fn keys_are_read_and_the_rest_is_tor_s_default() {
    for (text, url, warns) in [
        ("", "socks5h://127.0.0.1:9050", 0),
        ("# x\n\nTorAddress 192.0.2.1\nTorPort\t9150\n", "socks5h://192.0.2.1:9150", 0),
        ("TorAddress ::1\n", "socks5h://[::1]:9050", 0),
        ("SOCKS5Username u\nSOCKS5Password p#:@\n", "socks5h://u:p%23%3A%40@127.0.0.1:9050", 0),
        ("IsolatePID 1\n", "socks5h://127.0.0.1:9050?isolate=program", 1),
        ("IsolatePID 0\n", "socks5h://127.0.0.1:9050", 0),
        (
            "OnionAddrRange 127.42.42.0/24\nAllowInbound 1\nAllowOutboundLocalhost 2\n",
            "socks5h://127.0.0.1:9050",
            0,
        ),
        ("OnionAddrRange 127.43.0.0/16\n", "socks5h://127.0.0.1:9050", 1),
        ("OnionAddrRange 10.192.0.0/10\n", "socks5h://127.0.0.1:9050", 0),
        ("AllowInbound 0\nAllowOutboundLocalhost 0\n", "socks5h://127.0.0.1:9050", 2),
        ("AllowOutboundLocalhost 1\n", "socks5h://127.0.0.1:9050", 1),
        ("torport 1\n", "socks5h://127.0.0.1:9050", 1),
        ("TorPort 1 # x\n", "socks5h://127.0.0.1:1", 1),
        ("TorPort 9150", "socks5h://127.0.0.1:9150", 0),
    ] {
        let parsed = parse(text, "t").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(String::from(parsed.config.chains["main"].hops[0].clone()), url, "{text}");
        assert_eq!(parsed.warnings.len(), warns, "{text}: {:?}", parsed.warnings);
    }
    let unknown = parse("TorPrt 1\n", "t").expect("read").warnings;
    assert_eq!(
        unknown[0].to_string(),
        "t:1: unknown key \"TorPrt\" has no effect; did you mean \"TorPort\"?"
    );
}

#[test]
fn what_torsocks_rejects_is_an_error() {
    for text in [
        "TorPort\n",
        "TorPort 0\n",
        "TorPort 65536\n",
        "TorAddress localhost\n",
        "AllowInbound 2\n",
        "AllowOutboundLocalhost 3\n",
        "IsolatePID yes\n",
        "OnionAddrRange 127.0.0.0\n",
        "OnionAddrRange ::1/8\n",
        "a b c d e f\n",
        "SOCKS5Username hunter2\n",
        "SOCKS5Password hunter2\n",
        " # x\n",
        "SOCKS5Username u\nSOCKS5Password hunter2\nIsolatePID 1\n",
        "AllowInbound +1\n",
    ] {
        // The line with a blank before the # is a key with a value, unknown to torsocks.
        let Err(error) = parse(text, "t") else {
            assert_eq!(text, " # x\n");
            continue;
        };
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert!(parse(&format!("SOCKS5Username {}\nSOCKS5Password p\n", "u".repeat(256)), "t").is_err());
}
