use super::*;

fn domain(pattern: &str, name: &str) -> bool {
    pattern.parse::<DomainPattern>().map(|pattern| pattern.matches(name)).expect(pattern)
}

#[test]
fn domains_match_exactly_below_or_by_glob() {
    for (pattern, yes, no) in [
        ("db.internal", "db.internal DB.Internal db.internal.", "xdb.internal a.db.internal internal"),
        ("DB.Internal.", "db.internal", "db.internal.x"),
        (".internal", "internal a.internal b.a.INTERNAL. .internal", "xinternal internal.x i nternal"),
        (".Internal.", "a.internal", "ainternal"),
        ("*.eu-?.example", "a.eu-1.example A.B.EU-2.EXAMPLE.", "eu-1.example a.eu-10.example a.eu-.example"),
        ("*", "a a.b", ""),
        ("a*b?c", "abxc aXXbyc", "abc ac"),
        ("bücher.example", "bücher.example BüCHER.example", "bÜcher.example xn--bcher-kva.example"),
        ("B*Ü.example", "bxÜ.example", "bxü.example"),
    ] {
        for name in yes.split(' ') {
            assert!(domain(pattern, name), "{pattern} is for {name}");
        }
        for name in no.split(' ').filter(|name| !name.is_empty()) {
            assert!(!domain(pattern, name), "{pattern} is not for {name}");
        }
    }
}

#[test]
fn what_is_no_domain_is_refused() {
    for text in [
        "",
        ".",
        "..",
        "..a",
        "a..b",
        "a b",
        "a/b",
        "a:1",
        "[::1]",
        "u@h",
        ".*.a",
        "10.0.0.1",
        "10.0.0.*",
        "1",
        "a.1",
        ".1",
        "192.168.*",
        "a,b",
    ] {
        assert!(text.parse::<DomainPattern>().is_err(), "{text}");
    }
    assert!("a".repeat(256).parse::<DomainPattern>().is_err());
}

#[test]
fn ranges_hold_their_addresses_and_mapped_ones_are_ipv4() {
    for (range, yes, no) in [
        ("10.0.0.0/8", "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3", "11.0.0.0 9.255.255.255 ::10.0.0.1"),
        ("10.1.2.3/8", "10.9.9.9", "11.0.0.0"),
        ("192.0.2.1", "192.0.2.1 ::ffff:192.0.2.1", "192.0.2.2"),
        ("192.0.2.1/32", "192.0.2.1", "192.0.2.0"),
        ("0.0.0.0/0", "0.0.0.0 255.255.255.255 ::ffff:1.2.3.4", "::1"),
        ("fd00::/8", "fd00:: fdff::1", "fe80::1 10.0.0.1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ("::ffff:10.0.0.0/104", "10.2.3.4 ::ffff:10.2.3.4", "11.0.0.0"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("::/0", "::1 2001:db8::1", "1.2.3.4 ::ffff:1.2.3.4"),
    ] {
        let parsed: AddressRange = range.parse().expect(range);
        for ip in yes.split(' ') {
            assert!(parsed.contains(ip.parse().expect(ip)), "{range} holds {ip}");
        }
        for ip in no.split(' ') {
            assert!(!parsed.contains(ip.parse().expect(ip)), "{range} does not hold {ip}");
        }
    }
    for text in [
        "",
        "10.0.0.0/33",
        "fd00::/129",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "a",
        "10.0.0.0/8/8",
        "fe80::1%eth0",
        "010.0.0.1",
        "1.2.3.4/255.0.0.0",
        "1.2.3.4/999",
    ] {
        assert!(text.parse::<AddressRange>().is_err(), "{text}");
    }
}

#[test]
fn ports_and_ranges_of_them_include_both_ends() {
    let range: PortRange = "1-1024".parse().expect("a range");
    assert!(range.contains(1) && range.contains(1024) && !range.contains(1025));
    assert!("443".parse::<PortRange>().is_ok_and(|range| range.contains(443) && !range.contains(442)));
    for text in ["", "0", "0-5", "5-4", "65536", "1-65536", "+1", "1-", "-1", "a", "1-2-3", " 1", "1 - 2"] {
        assert!(text.parse::<PortRange>().is_err(), "{text}");
    }
}

#[test]
fn programs_match_by_path_or_by_file_name() {
    for (pattern, path, matches) in [
        ("curl", "/usr/bin/curl", true),
        ("curl", "/usr/bin/Curl", false),
        ("curl", "curl", true),
        ("python3*", "/opt/v/python3.12", true),
        ("python3*", "/opt/python3/bin/ruby", false),
        ("/usr/bin/*", "/usr/bin/curl", true),
        ("/usr/*", "/usr/local/bin/x", true),
        ("/usr/bin/curl", "/usr/bin/curl2", false),
        ("*/bin/git", "/opt/git/bin/git", true),
        ("a?c", "/x/abc", true),
    ] {
        let parsed: ProgramPattern = pattern.parse().expect(pattern);
        assert_eq!(parsed.matches(path), matches, "{pattern} for {path}");
    }
    for text in ["", "bin/curl", "~/bin/curl", "./curl", "a\0"] {
        assert!(text.parse::<ProgramPattern>().is_err(), "{text}");
    }
}

#[test]
fn patterns_are_written_as_they_are_read() {
    for text in ["db.internal", ".internal", "*.a", "bücher.example"] {
        assert_eq!(text.parse::<DomainPattern>().expect(text).to_string(), text);
    }
    for text in ["10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1", "0.0.0.0/0"] {
        assert_eq!(text.parse::<AddressRange>().expect(text).to_string(), text);
    }
    for text in ["443", "1-1024"] {
        assert_eq!(text.parse::<PortRange>().expect(text).to_string(), text);
    }
}

#[test]
fn a_glob_of_many_stars_takes_no_long_time() {
    let pattern: DomainPattern = "*a".repeat(120).parse().expect("a glob");
    assert!(!pattern.matches(&"a".repeat(119)));
    assert!(pattern.matches(&"a".repeat(253)));
}
