use underpass_core::config::Config;
use underpass_core::config::format::Format;

use super::*;
use crate::configuration::{self, Origin};

const HERE: Here<'_> = Here { hosts: "127.0.1.1 box # web\n# 1.1.1.1 no\n10.0.0.9 db.lan Web\n", user: 1000 };

fn by(urls: &[&str]) -> Found {
    Found::new(Config::strict(urls.iter().map(|url| url.parse().unwrap()).collect()), Origin::Options)
}

fn file(text: &str) -> Found {
    configuration::parse("/f/config.toml".into(), text.to_owned(), Some(Format::Underpass)).unwrap()
}

#[test]
fn each_route_is_said() {
    let proxy = by(&["socks5h://10.0.0.1:1080"]);
    let table = [
        ("db.internal:5432", "carried by socks5h://10.0.0.1:1080, name resolved there"),
        ("db.internal", "carried by socks5h://10.0.0.1:1080, name resolved there"),
        ("10.1.2.3:80", "carried by socks5h://10.0.0.1:1080"),
        ("10.1.2.3", "carried by socks5h://10.0.0.1:1080"),
        ("[2001:db8::1]:80", "carried by socks5h://10.0.0.1:1080"),
        ("[2001:db8::1]", "carried by socks5h://10.0.0.1:1080"),
        ("2001:db8::1", "carried by socks5h://10.0.0.1:1080"),
        (
            "8.8.8.8:53",
            "DNS, answered by the agent, and what it does not know carried by socks5h://10.0.0.1:1080",
        ),
        ("127.0.0.1:80", "direct, loopback"),
        ("[::ffff:127.0.0.1]:80", "direct, loopback"),
        ("localhost:80", "direct, loopback"),
        ("localhost", "direct, loopback; port 53 answered by the agent, DNS never leaves directly"),
        ("a.LOCALHOST.:80", "direct, loopback"),
        ("BOX:80", "direct, loopback (127.0.1.1 by the hosts file)"),
        ("web.:80", "carried by socks5h://10.0.0.1:1080 (10.0.0.9 by the hosts file)"),
        ("no:80", "carried by socks5h://10.0.0.1:1080, name resolved there"),
        ("127.0.0.1:53", "answered by the agent, DNS never leaves directly"),
        ("[::1]:53", "answered by the agent, DNS never leaves directly"),
    ];
    for (destination, route) in table {
        assert_eq!(why(destination, &proxy, HERE), Ok(format!("{destination}: {route}\n")));
    }
    let local = why("a.example:1", &by(&["local:"]), HERE).unwrap();
    assert_eq!(local, "a.example:1: carried by local:, name resolved by the agent\n");
    let mut exit = by(&["local:"]);
    exit.config.dns = "exit".parse().unwrap();
    let local = why("a.example:1", &exit, HERE).unwrap();
    assert_eq!(local, "a.example:1: carried by local:, unless a route is for its address (--dns exit)\n");
    let chain = why("a.example:1", &by(&["socks5://u:hunter2@a:1", "http://b:2"]), HERE).unwrap();
    assert_eq!(chain, "a.example:1: carried by socks5h://a:1, http://b:2, name resolved there\n");
}

#[test]
fn the_route_is_shown_with_its_text_and_what_else_it_depends_on() {
    let found = file(
        "default = \"far\"\nno-proxy = \".lan\"\n[chain.far]\nkind = \"failover\"\n\
         hops = [\"http://a:1\", \"http://b:2\"]\n\
         [[route]]\nport = [443]\nto = \"refuse\"\n[[route]]\nprogram = [\"curl\"]\ndomain = [\".internal\"]\nto = \"direct\"\n\
         [[route]]\ndomain = [\".internal\"]\nto = \"direct\"\n",
    );
    let far = "carried by chain far, failover: http://a:1, http://b:2";
    for (destination, answer) in [
        (
            "x.lan:1",
            "x.lan:1: direct, name resolved here\n  route 1 of 4, /f/config.toml: names .lan\n".to_owned(),
        ),
        (
            "example:443",
            "example:443: refused, permission denied\n  route 2 of 4, /f/config.toml:6\n    [[route]]\n    \
             port = [443]\n    to = \"refuse\"\n"
                .to_owned(),
        ),
        (
            "example:80",
            format!("example:80: {far}, name resolved there\n  no route matches, so by default\n"),
        ),
        (
            "example",
            format!(
                "example: {far}, name resolved there\n  no route matches, so by default\nbut on port 443: \
                 refused, permission denied\n  route 2 of 4, /f/config.toml:6\n    [[route]]\n    port = \
                 [443]\n    to = \"refuse\"\n"
            ),
        ),
    ] {
        assert_eq!(why(destination, &found, HERE), Ok(answer));
    }
    let text = why("db.internal:80", &found, HERE).unwrap();
    assert!(text.starts_with("db.internal:80: direct, name resolved here\n  route 4 of 4, "), "{text}");
    assert!(text.contains("but by the program curl: direct\n  route 3 of 4, "), "{text}");
}

#[test]
fn loopback_has_the_route_that_names_it() {
    let found = file(
        "proxy = \"http://a:1\"\n[[route]]\naddress = \"0.0.0.0/0\"\nto = \"refuse\"\n\
         [[route]]\ndomain = \"localhost\"\nport = 5432\nto = \"main\"\n",
    );
    let route = "  route 2 of 2, /f/config.toml:5\n    [[route]]\n    domain = \"localhost\"\n    port = 5432\n    to = \"main\"\n";
    for (destination, answer) in [
        ("localhost:5432", format!("carried by http://a:1\n{route}")),
        ("127.0.0.9:5432", format!("carried by http://a:1\n{route}")),
        ("localhost:80", "direct, loopback\n".to_owned()),
        ("127.0.0.1:53", "answered by the agent, DNS never leaves directly\n".to_owned()),
        (
            "127.0.0.1",
            format!(
                "direct, loopback; port 53 answered by the agent, DNS never leaves directly\nbut on port 5432: carried by \
                 http://a:1\n{route}"
            ),
        ),
    ] {
        assert_eq!(why(destination, &found, HERE), Ok(format!("{destination}: {answer}")));
    }
}

#[test]
fn what_is_not_host_and_port_is_a_failure() {
    for destination in [
        "",
        ":",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:x",
        "::1:80x",
        "[::1",
        "[::1:80",
        "[::1]80",
        "[a]:1",
        "a b:1",
        "http://a:1",
        "u@h",
    ] {
        let failed = why(destination, &by(&["local:"]), HERE).unwrap_err();
        assert_eq!(failed.status, 125, "{destination}");
    }
}

#[test]
fn a_connection_to_the_first_hop_is_noticed() {
    let note = "  that is the first hop itself: a program that connects there goes through it twice\n";
    let chain = by(&["socks5h://proxy.test:1080", "http://10.0.0.2:3128"]);
    let spare =
        file("[chain.spare]\nkind = \"failover\"\nhops = [\"http://a:1\", \"http://10.0.0.2:3128\"]\n");
    for (found, destination, noticed) in [
        (&chain, "Proxy.test:1080", true),
        (&chain, "proxy.test:1081", false),
        (&chain, "10.0.0.2:3128", false),
        (&chain, "proxy.test", false),
        (&spare, "[::ffff:10.0.0.2]:3128", true),
    ] {
        assert_eq!(why(destination, found, HERE).unwrap().contains(note), noticed, "{destination}");
    }
}
