//! Host names that are too long for a request, or that would write a request of their own, for each
//! protocol: from the program, and from URLs and files. No proxy gets to see any of it.

use underpass_tests::artifacts;
use underpass_tests::proxies::script::Step::{self, *};
use underpass_tests::proxies::script::{self, Protocol};

use crate::place::Place;

const PORT: u16 = 2000;

/// For each protocol: the scheme, a script that takes a request and refuses it a byte at a time, and
/// the errno that comes of it.
fn protocols() -> [(&'static str, Protocol, Vec<Step>, &'static str); 3] {
    let socks5 = vec![Greeting, Slowly(vec![5, 0]), Request, Slowly(vec![5, 5, 0, 1, 0, 0, 0, 0, 0, 0])];
    let socks4 = vec![Request, Slowly(vec![0, 91, 0, 0, 0, 0, 0, 0])];
    let http = vec![Request, Slowly(b"HTTP/1.1 502 no\r\n\r\n".to_vec())];
    [
        ("socks5h", Protocol::Socks5, socks5, "ECONNREFUSED"),
        ("socks4a", Protocol::Socks4, socks4, "ENETUNREACH"),
        ("http", Protocol::Http, http, "EHOSTUNREACH"),
    ]
}

/// A name of so many bytes, in labels that DNS would take; whole ones have 253 at most (RFC 1035 section 2.3.4).
fn long(length: usize) -> String {
    let mut name = "abcdefghijklmno.".repeat(length.div_ceil(16));
    name.truncate(length);
    if name.ends_with('.') {
        name.replace_range(length - 1.., "x");
    }
    name
}

/// Names with bytes that end a field or a line somewhere. A byte 0 ends the string before it gets here.
const BREAKING: [&[u8]; 15] = [
    b".",
    b"a b.test",
    b" a.test",
    b"a.test ",
    b"a\rb.test",
    b"a\nb.test",
    b"a.test\r\nX-Injected: 1",
    b"a.test:80 HTTP/1.1\r\nHost: b.test\r\n\r\n",
    b"a\tb.test",
    b"a\x01b.test",
    b"a\x1bb.test",
    b"a\x7fb.test",
    b"a\xffb.test",
    b"a\xc2\x85b.test",
    b"a\xe2\x80\xa8b.test",
];

#[test]
fn no_name_of_a_program_breaks_a_request() {
    let place = Place::new();
    let scripted = script::start(&place.world);
    let program = artifacts::workspace().join("tests/programs/odd.py").display().to_string();
    for (number, (scheme, protocol, steps, errno)) in (PORT..).zip(protocols()) {
        scripted.listen(number, protocol, &steps);
        place.world.allow_proxy(number);
        let whole = [long(64), long(252), long(253)];
        let over = [254, 255, 256, 257, 300, 1000, 4096, 65_535].map(long);
        let broken = over.iter().map(String::as_bytes).chain(BREAKING);
        let names: Vec<&[u8]> = whole.iter().map(String::as_bytes).chain(broken).collect();
        let hexadecimal = |name: &&[u8]| name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let url = format!("{scheme}://10.77.0.1:{number}");
        let arguments = [program.clone(), "443".to_owned()].into_iter().chain(names.iter().map(hexadecimal));
        let done = place.through(&[&url], "python3").args(arguments).run();
        let lines: Vec<&str> = done.stdout.lines().collect();
        assert_eq!(lines.len(), names.len(), "{scheme}: {done}");
        for (name, line) in names.iter().zip(&lines) {
            let is_whole = whole.iter().any(|whole| whole.as_bytes() == *name);
            let expected =
                if is_whole { format!("{errno}, {errno}") } else { "no name -2, no name -2".to_owned() };
            assert_eq!(
                *line,
                expected,
                "{scheme}: {} bytes {:?}",
                name.len(),
                name.escape_ascii().to_string()
            );
        }
        let seen: Vec<String> = whole.iter().flat_map(|name| vec![format!("{name}:443"); 2]).collect();
        assert_eq!(scripted.requests(number), seen, "{scheme}");
    }
}

/// Of a hop, which the hop before it would be asked for. `core/src/upstream/url/tests.rs` has all of them.
#[test]
fn no_url_and_no_file_brings_such_a_name_either() {
    let place = Place::new();
    let scripted = script::start(&place.world);
    let (_, protocol, steps, _) = &protocols()[0];
    scripted.listen(PORT, *protocol, steps);
    place.world.allow_proxy(PORT);
    let good = format!("socks5h://10.77.0.1:{PORT}");
    for (scheme, kind) in [("socks5h", "socks5"), ("socks4a", "socks4"), ("http", "http")] {
        // Each as a URL, and as a word of proxychains.conf, where it can be one.
        for (host, is_word) in [
            (long(256), true),
            (long(65_535), false),
            ("a%0d%0aX-Injected:%201".to_owned(), true),
            ("a%00b".to_owned(), true),
            ("a\r\nb".to_owned(), false),
            ("a\x01b".to_owned(), true),
            ("a b".to_owned(), false),
            ("a\u{85}b".to_owned(), true),
        ] {
            let url = format!("{scheme}://{host}:1");
            let done = place.through(&[&good, &url], "true").run();
            assert_eq!(done.code(), 125, "{url:?}: {done}");
            // As TOML writes any character.
            let escaped: String = url.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
            let text = format!("[chain.main]\nhops = [\"{good}\", \"{escaped}\"]\n");
            let done = place.configured("odd.toml", &text, "true").run();
            assert!(done.code() == 125 && done.stderr.contains("odd.toml:2:"), "{url:?}: {done}");
            if is_word {
                let text = format!("[ProxyList]\nsocks5 10.77.0.1 {PORT}\n{kind} {host} 1\n");
                let done = place.configured("proxychains.conf", &text, "true").run();
                let place = "proxychains.conf:3: ";
                assert!(done.code() == 125 && done.stderr.contains(place), "{text:?}: {done}");
            }
        }
    }
    assert_eq!(scripted.requests(PORT), Vec::<String>::new());
}
