use super::super::super::route::Asked;
use super::*;

fn read(text: &str) -> Parsed {
    parse(text, "p").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn list(line: &str) -> String {
    format!("strict_chain\nproxy_dns\n[ProxyList]\nsocks5 192.0.2.1 1\n{line}\n")
}

fn warnings(parsed: &Parsed) -> Vec<String> {
    parsed.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_file_that_is_installed_is_read_without_a_warning() {
    let parsed = read(
        "# comment\n\n  dynamic_chain\n#random_chain\n  #chain_len = 2\nquiet_mode\nproxy_dns\n\
         remote_dns_subnet 224\ntcp_read_time_out 15000\ntcp_connect_time_out 8000\n\
         localnet 127.0.0.0/255.0.0.0\r\n[ProxyList]\n# meanwhile\nsocks4 \t127.0.0.1 9050\n",
    );
    assert_eq!(warnings(&parsed), [""; 0]);
    let other = read("remote_dns_subnet 10\n[ProxyList]\nsocks5 192.0.2.1 1\n");
    assert_eq!(other.config.pool.ranges().0.to_string(), "10.0.0.0/8");
    let loopback = read("remote_dns_subnet 127\n[ProxyList]\nsocks5 192.0.2.1 1\n");
    let warning = "p:1: remote_dns_subnet has no effect: it has addresses of loopback, link-local, multicast or none; \
                   names stand for addresses of 198.18.0.0/15";
    assert_eq!((warnings(&other), warnings(&loopback)), (vec![], vec![warning.to_owned()]));
    let chain = &parsed.config.chains["main"];
    assert_eq!((chain.kind, chain.length), (Kind::Dynamic, None));
    assert_eq!(chain.hops[0].to_string(), "socks4a://127.0.0.1:9050");
    assert_eq!(parsed.config.deadline, 23);
}

#[test]
fn the_last_kind_is_meant_and_none_is_dynamic() {
    for (text, kind, length, warns) in [
        ("", Kind::Dynamic, None, 0),
        ("strict_chain\n", Kind::Strict, None, 0),
        ("strict_chain\nrandom_chain\n", Kind::Random, Some(1), 1),
        ("random_chain\nchain_len = 2\n", Kind::Random, Some(2), 0),
        ("round_robin_chain\nchain_len=0\n", Kind::RoundRobin, Some(1), 0),
        ("random_chain\nchain_len is = 2 # two\n", Kind::Random, Some(2), 1),
        ("chain_len = 2\nstrict_chain\n", Kind::Strict, None, 1),
        ("strict_chain # not alone\n", Kind::Dynamic, None, 1),
        ("proxydns\nStrict_chain\n", Kind::Dynamic, None, 2),
    ] {
        let parsed = read(&format!("{text}[ProxyList]\nhttp 192.0.2.1 1\nhttp 192.0.2.2 1\n"));
        let chain = &parsed.config.chains["main"];
        assert_eq!((chain.kind, chain.length.map(NonZeroUsize::get)), (kind, length), "{text}");
        assert_eq!(parsed.warnings.len(), warns, "{text}: {:?}", parsed.warnings);
    }
}

#[test]
fn what_is_ignored_is_a_warning_with_the_word_that_was_meant() {
    let parsed = read(
        "proxydns\nsocks5 1.2.3.4 1 u hunter2\n[proxylist]\nproxy_dns on\n[ProxyList]\nhttp 192.0.2.1 1\n",
    );
    assert_eq!(
        warnings(&parsed),
        [
            "p:1: \"proxydns\" is no directive, and has no effect; did you mean \"proxy_dns\"?",
            "p:2: \"socks5\" is no directive, and has no effect; proxies are listed below [ProxyList]",
            "p:3: \"[proxylist]\" is no directive, and has no effect; did you mean \"[ProxyList]\"?",
            "p:4: \"proxy_dns\" is no directive, and has no effect; it stands alone on its line",
        ]
    );
}

#[test]
fn proxies_have_two_forms() {
    for (line, url, warns) in [
        ("socks5 192.0.2.2 1080", "socks5h://192.0.2.2:1080", 0),
        ("socks5 192.0.2.2 1080 u p", "socks5h://u:p@192.0.2.2:1080", 0),
        ("http 192.0.2.2 3128 u p@:/%41", "http://u:p%40%3A%2F%2541@192.0.2.2:3128", 0),
        ("http ::1 3128", "http://[::1]:3128", 0),
        ("socks4 192.0.2.2 1080 u", "socks4a://u@192.0.2.2:1080", 0),
        ("socks4 192.0.2.2 1080 u p", "socks4a://u@192.0.2.2:1080", 1),
        ("socks5 192.0.2.2 1080 u p more", "socks5h://u:p@192.0.2.2:1080", 1),
        ("socks5 192.0.2.2 1080 # x", "socks5h://%23:x@192.0.2.2:1080", 1),
        ("socks5://192.0.2.2:1080", "socks5h://192.0.2.2:1080", 0),
        ("http://u:p:q@r@192.0.2.2:1080", "http://u:p%3Aq%40r@192.0.2.2:1080", 0),
        ("socks5://u:%41@192.0.2.2:1080", "socks5h://u:%2541@192.0.2.2:1080", 0),
        ("socks4://192.0.2.2:1080/x", "socks4a://192.0.2.2:1080", 1),
        ("http://192.0.2.2:1080 # x", "http://192.0.2.2:1080", 1),
        ("socks5 hop.example 1080", "socks5h://hop.example:1080", 0),
        ("http://hop.example:8080", "http://hop.example:8080", 0),
    ] {
        let parsed = read(&list(line));
        assert_eq!(String::from(parsed.config.chains["main"].hops[1].clone()), url, "{line}");
        assert_eq!(parsed.warnings.len(), warns, "{line}: {:?}", parsed.warnings);
    }
    let parsed = read(&list("http 192.0.2.2 0"));
    assert_eq!((parsed.config.chains["main"].hops.len(), parsed.warnings.len()), (1, 1));
}

#[test]
fn what_proxychains_rejects_or_would_send_elsewhere_is_an_error() {
    for line in [
        "socks4a 192.0.2.2 1",
        "socks5h 192.0.2.2 1",
        "https 192.0.2.2 1",
        "raw 192.0.2.2 1",
        "http 192.0.2.2",
        "http 192.0.2.2 65536",
        "http 192.0.2.2 x",
        "http",
        "proxy_dns",
        "[ProxyList]",
        "http://192.0.2.2",
        "http://[::1]:1",
        "socks4://u:p@192.0.2.2:1",
        "http://u@192.0.2.2:1",
        "socks5://192.0.2.2:",
        "socks5 a@b 1",
        "socks5 192.0.2.2 1 hunter2",
        "https://u:hunter2@192.0.2.2:1",
    ] {
        let error = parse(&list(line), "p").expect_err(line).to_string();
        assert!(error.starts_with("p:5: ") && !error.contains("hunter2"), "{error}");
    }
    for directive in [
        "dnat 192.0.2.1 192.0.2.2",
        "chain_len 2",
        "chain_len = x",
        "chain_len = 3",
        "remote_dns_subnet 256",
        "remote_dns_subnet",
        "proxy_dns_daemon x",
        "proxy_dns_daemon 127.0.0.1",
        "tcp_read_time_out",
        "tcp_connect_time_out -1",
        "tcp_read_time_out 0",
        "localnet",
        "localnet 10.0.0.0",
        "localnet 10.0.0.0/33",
        "localnet 10.0.0.0/255.0.255.0",
        "localnet 10.0.0.0:x/8",
        "localnet fd00::/129",
        "localnet [fd00::/8",
        "localnet example/8",
    ] {
        let text = format!("random_chain\n{directive}\n[ProxyList]\nhttp 192.0.2.1 1\n");
        let error = parse(&text, "p").expect_err(directive).to_string();
        assert!(error.starts_with("p:2: "), "{error}");
    }
    let first = "strict_chain\nproxy_dns\n[ProxyList]\nhttp hop.example 1\n";
    let dynamic = "proxy_dns\n[ProxyList]\nhttp 192.0.2.1 1\nhttp hop.example 1\n";
    let local = "strict_chain\n[ProxyList]\nhttp 192.0.2.1 1\nhttp hop.example 1\n";
    for text in [first, dynamic, local, "", "[ProxyList]\n", "http 192.0.2.1 1\n"] {
        assert!(parse(text, "p").is_err(), "{text}");
    }
    let long = format!("#{}\n[ProxyList]\nhttp 192.0.2.1 1\n", "x".repeat(1023));
    assert!(parse(&long, "p").is_err());
}

#[test]
fn local_networks_are_direct_for_addresses_and_not_for_names() {
    for (localnet, yes, no) in [
        ("127.0.0.0/255.0.0.0", "127.9.9.9 1", "128.0.0.1 1"),
        ("10.0.0.0:80/8", "10.1.1.1 80", "10.1.1.1 81"),
        ("10.0.0.0:0/8", "10.1.1.1 81", "11.0.0.1 81"),
        ("fd00::/8", "fd00::1 80", "fe80::1 80"),
        ("[fd00::]/8", "fd00::1 80", "fe80::1 80"),
        ("[fd00::]:80/8", "fd00::1 80", "fd00::1 81"),
        ("0.0.0.0/0.0.0.0", "9.9.9.9 1", "db.internal 1"),
    ] {
        let config = read(&format!("localnet {localnet}\n[ProxyList]\nhttp 192.0.2.1 1\n")).config;
        for (text, direct) in [(yes, true), (no, false)] {
            let (host, port) = text.split_once(' ').expect(text);
            let ip = host.parse().ok();
            let name = ip.is_none().then_some(host);
            let asked = Asked { name, ip, port: port.parse().ok(), ..Asked::default() };
            assert_eq!(*config.decide(&asked).1 == To::Direct, direct, "{localnet}: {text}");
        }
    }
}

#[test]
fn the_deadline_is_the_sum_of_both_time_outs() {
    for (text, seconds) in [
        ("", 14),
        ("tcp_read_time_out 15000\n", 25),
        ("tcp_connect_time_out 500\n", 5),
        ("tcp_read_time_out 1\ntcp_connect_time_out 1\n", 1),
    ] {
        assert_eq!(
            read(&format!("{text}[ProxyList]\nhttp 192.0.2.1 1\n")).config.deadline,
            seconds,
            "{text}"
        );
    }
}
