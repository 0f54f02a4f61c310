use super::*;

fn proxy(url: &str) -> Proxy {
    match url.parse() {
        Ok(Upstream::Proxy(proxy)) => *proxy,
        other => panic!("{url}: {other:?}"),
    }
}

fn given(user: &str, password: &str) -> Login {
    Login::Given(Credentials { user: user.into(), password: password.into() })
}

#[test]
fn curls_spellings_are_read() {
    let name = |n: &str| HopHost::Name(n.into());
    assert_eq!("local:".parse(), Ok(Upstream::Local));
    let read = |url| {
        let proxy = proxy(url);
        (proxy.protocol, proxy.host, proxy.port, proxy.login)
    };
    let nobody = || Login::Nobody;
    let address = |ip: &str| HopHost::Address(ip.parse().unwrap());
    use Protocol::*;
    assert_eq!(read("socks5h://proxy.example:9050"), (Socks5, name("proxy.example"), 9050, nobody()));
    assert_eq!(read("SOCKS5://10.0.0.1"), (Socks5, address("10.0.0.1"), 1080, nobody()));
    assert_eq!(read("socks5h://[fd00::1]:1081/"), (Socks5, address("fd00::1"), 1081, nobody()));
    assert_eq!(read("socks5h://us%40er:p%3ass%20@h:1"), (Socks5, name("h"), 1, given("us@er", "p:ss ")));
    assert_eq!(read("socks4://joe@h"), (Socks4, name("h"), 1080, given("joe", "")));
    assert_eq!(read("socks4a://h:9"), (Socks4a, name("h"), 9, nobody()));
    assert_eq!(read("http://u:@h:3128"), (Http, name("h"), 3128, given("u", "")));
    assert_eq!(read("http://h"), (Http, name("h"), 1080, nobody()));
    assert_eq!(read("https://h"), (Https, name("h"), 443, nobody()));
    assert_eq!(read("relay://h?ca=/x"), (Relay, name("h"), 443, nobody()));
    assert_eq!(read("relay://10.0.0.1:4433?ca=/x"), (Relay, address("10.0.0.1"), 4433, nobody()));
    let ssh = |user: Option<&str>, port| {
        Ok(Upstream::Ssh(Ssh { user: user.map(Into::into), host: name("h"), port }))
    };
    assert_eq!("ssh://h".parse(), ssh(None, None));
    assert_eq!("ssh://me@h:2222".parse(), ssh(Some("me"), Some(2222)));
}

#[test]
fn parameters_belong_to_their_scheme() {
    assert_eq!(proxy("http://h?login-file=/a%20b").login, Login::File("/a b".into()));
    assert_eq!(proxy("socks5://h?login-env=X").login, Login::Environment("X".into()));
    assert_eq!(proxy("https://h?ca=/ca.pem").trust, Trust::Authority("/ca.pem".into()));
    let pin = format!("https://h?pin=sha256//{}", "A".repeat(43) + "=");
    assert_eq!(proxy(&pin).trust, Trust::Pin([0; 32]));
    assert_eq!(proxy("socks5h://h?isolate=program").isolation, Isolation::Program);
    let relay = proxy(&pin.replace("https://h?", "relay://h?key=%2Fk&isolate=destination&"));
    assert_eq!((relay.trust, relay.key), (Trust::Pin([0; 32]), Some("/k".into())));
    assert_eq!(relay.isolation, Isolation::Destination);
    for (flights, known) in
        [("", Flights::Probed), ("&flights=one", Flights::One), ("&flights=two", Flights::Two)]
    {
        assert_eq!(proxy(&format!("socks5h://h?isolate=destination{flights}")).flights, known);
    }
}

#[test]
fn each_mistake_has_its_own_error() {
    let parameter = UpstreamError::Parameter;
    let table = [
        ("", UpstreamError::Syntax),
        ("127.0.0.1:1080", UpstreamError::Syntax),
        ("socks5h:", UpstreamError::NoHost),
        ("socks5h://", UpstreamError::NoHost),
        ("socks5h://:1080", UpstreamError::NoHost),
        ("socks5h://h:0", UpstreamError::Port),
        ("socks5h://h:65536", UpstreamError::Port),
        ("socks5h://h:1/path", UpstreamError::Extra),
        ("socks5h://h:1#x", UpstreamError::Extra),
        ("socks5h://h:1?x", UpstreamError::UnknownParameter),
        ("http://u:12?secret@h", UpstreamError::UnknownParameter),
        ("ssh://h?ca=/x", parameter("ca")),
        ("socks4://h:1?isolate=program", parameter("isolate")),
        ("socks5h://h:1?isolate=program&login-file=/f", UpstreamError::Credentials),
        ("socks5h://h:1?login-env=X&isolate=program", UpstreamError::Credentials),
        ("http://h?pin=sha256//x", parameter("pin")),
        ("https://h?key=/k", parameter("key")),
        ("relay://h?login-file=/x", parameter("login-file")),
        ("relay://u:p@h?ca=/x", UpstreamError::Credentials),
        ("local://h", UpstreamError::Extra),
        ("local:?x", UpstreamError::Extra),
        ("socks5h://user@h", UpstreamError::Credentials),
        ("socks5h://user:@h", UpstreamError::Credentials),
        ("socks4://user:password@h", UpstreamError::Credentials),
        ("http://u%0ar:p@h", UpstreamError::Credentials),
        ("http://u:p@h?login-file=/x", UpstreamError::Credentials),
        ("ssh://u:p@h", UpstreamError::Credentials),
        ("ssh://-oProxyCommand=x@h", UpstreamError::Credentials),
        ("ssh://-oProxyCommand=x", UpstreamError::Syntax),
        ("socks5h://a%0d%0ab", UpstreamError::Syntax),
        ("http://%6002%449", UpstreamError::Syntax),
        ("gopher://h", UpstreamError::Scheme("gopher".into())),
    ];
    for (url, error) in table {
        assert_eq!(url.parse::<Upstream>(), Err(error), "{url}");
    }
    for url in [
        "relay://h",
        "relay://h?key=/k",
        "relay://h?ca=/x&key=",
        "https://h?pin=x",
        "https://h?ca=",
        "https://h?ca=/x&pin=x",
        "socks5://h?flights=3",
    ] {
        assert!(matches!(url.parse::<Upstream>(), Err(UpstreamError::Value(_))), "{url}");
    }
    for (user, password) in [(256, 1), (1, 256), (65_536, 65_536)] {
        let login = format!("{}:{}", "u".repeat(user), "p".repeat(password));
        assert_eq!(Credentials::from_line(&login), Err(UpstreamError::Credentials));
        for scheme in ["socks5h", "socks4a", "http", "https", "relay"] {
            let long = format!("{scheme}://{login}@h");
            assert_eq!(long.parse::<Upstream>(), Err(UpstreamError::Credentials), "{scheme}");
        }
    }
}

#[test]
fn a_host_that_would_break_a_request_is_none() {
    let long = |length: usize| "h".repeat(length);
    let odd = [
        "a b",
        "a\rb",
        "a\nb",
        "a\r\nX: y",
        "a\tb",
        "a\0b",
        "a\x7fb",
        "a\u{85}b",
        "b\u{fc}cher",
        "a\u{2028}b",
    ];
    let encoded = odd.map(|host| host.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>());
    let too_long = [256, 257, 65_535].map(long);
    for scheme in ["socks4", "socks4a", "socks5", "socks5h", "http", "https", "ssh", "relay"] {
        for host in odd.iter().copied().chain(encoded.iter().chain(&too_long).map(String::as_str)) {
            let url = format!("{scheme}://{host}:1");
            assert_eq!(url.parse::<Upstream>(), Err(UpstreamError::Syntax), "{url:?}");
        }
        let query = if scheme == "relay" { "?ca=/x" } else { "" };
        assert!(format!("{scheme}://{}:1{query}", long(255)).parse::<Upstream>().is_ok());
    }
}

#[test]
fn what_is_written_reads_the_same() {
    let pin = format!("https://u:p@h:1?pin=sha256//{}", "A".repeat(43) + "=");
    let relay = pin.replace("https://u:p@h:1?", "relay://h:4433?key=/a%20b&");
    let urls = [
        "local:",
        "socks5h://us%40er:p%3ass%20@[fd00::1]:1",
        "socks4://joe@h",
        "http://h?login-file=/a%20b%26c",
        "https://h?ca=/x",
        "relay://h?ca=/x&isolate=program&flights=two",
        &relay,
        &pin,
        "socks5h://h?isolate=destination&flights=one",
        "socks5h://h?flights=two",
        "ssh://me@h:1",
    ];
    for url in urls {
        let upstream: Upstream = url.parse().unwrap();
        assert_eq!(String::from(upstream.clone()).parse(), Ok(upstream), "{url}");
    }
}

#[test]
fn nothing_prints_a_credential() {
    let upstream: Upstream = "socks5h://alice:hunter2@h:1".parse().unwrap();
    assert!(!format!("{upstream} {upstream:?}").contains("hunter2"));
    assert!(!format!("{upstream} {upstream:?}").contains("alice"));
    let relay: Upstream = "relay://h:1?ca=/x&key=/home/alice/k".parse().unwrap();
    assert_eq!(relay.to_string(), "relay://h:1");
}

#[test]
fn credentials_from_elsewhere_are_judged_by_the_protocol() {
    for (url, line, good) in [
        ("socks5h://h", "ann:pass", true),
        ("socks5h://h", "ann:", false),
        ("socks4a://h", "ann:", true),
        ("socks4a://h", "ann:pass", false),
        ("http://h", "ann:", true),
        ("https://h", "a\tnn:pass", false),
    ] {
        let mut upstream: Upstream = format!("{url}?login-file=f").parse().unwrap();
        let fetched = upstream.fetch_login(|_| Ok(line.to_owned()));
        assert_eq!(fetched.is_ok(), good, "{url} {line}: {fetched:?}");
    }
}

#[test]
fn credentials_are_kept_as_a_line_and_not_shown() {
    let credentials = Credentials::from_line("ann:pass:word").unwrap();
    assert_eq!((&*credentials.user, &*credentials.password), (&b"ann"[..], &b"pass:word"[..]));
    assert_eq!(credentials.to_line(), "ann:pass:word");
    assert_eq!(format!("{credentials:?}"), "Credentials(…)");
}

#[test]
fn a_proxy_is_known_by_its_place() {
    let by_name: Upstream = "socks5h://Proxy.example:1080".parse().unwrap();
    let by_address: Upstream = "http://[::ffff:192.0.2.1]:3128".parse().unwrap();
    let ip = |text: &str| Some(text.parse().unwrap());
    assert!(by_name.is_at(Some("proxy.EXAMPLE"), None, 1080));
    assert!(by_address.is_at(None, ip("192.0.2.1"), 3128));
    for (upstream, name, ip, port) in [
        (&by_name, Some("proxy.example"), None, 1081),
        (&by_name, Some("other.example"), ip("192.0.2.1"), 1080),
        (&by_address, Some("proxy.example"), ip("192.0.2.2"), 3128),
        (&by_address, None, None, 3128),
        (&"local:".parse().unwrap(), Some("proxy.example"), ip("192.0.2.1"), 1080),
    ] {
        assert!(!upstream.is_at(name, ip, port), "{upstream:?} {name:?} {ip:?} {port}");
    }
}
