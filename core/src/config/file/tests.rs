use std::num::NonZeroUsize;

use super::super::route::{Asked, Route};
use super::*;

fn read(text: &str) -> Result<Parsed, ConfigError> {
    parse(text, "f.toml", |name| match name {
        "ann" => Some(1000),
        "root" => Some(0),
        _ => None,
    })
}

fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}\n{text}")).config
}

fn shown(chain: &Chain) -> Vec<String> {
    chain.hops.iter().map(ToString::to_string).collect()
}

#[test]
fn a_proxy_alone_is_a_strict_chain_for_everything() {
    assert_eq!(config("proxy = 'http://h:1'"), Config::strict(vec!["http://h:1".parse().expect("a URL")]));
    let two = config("proxy = ['http://h:1', 'local:']");
    assert_eq!(shown(&two.chains["main"]), ["http://h:1", "local:"]);
}

#[test]
fn all_keys_are_read() {
    let config = config(
        r#"
        deadline = 7
        handoff = "never"
        warm = false
        udp = "refuse"
        foreign-sockets = "refuse"
        default = "refuse"
        no-proxy = "localhost"
        dns = "exit:9.9.9.9"
        fake-pool = "10.64.0.0/16"
        fake-pool6 = "fd01::/64"

        [chain.any]
        kind = "random"
        length = 2
        hops = ["http://a:1", "http://b:2"]

        [chain.one]
        kind = "round-robin"
        hops = "local:"

        [[route]]
        domain = [".internal", "x.example"]
        port = [443, "1-1024"]
        to = "any"

        [[route]]
        address = "10.0.0.0/8"
        program = "curl"
        user = ["ann", 7, "8"]
        to = "one"

        [[route]]
        port = 25
        to = "refuse"
        errno = "ECONNREFUSED"

        [[route]]
        user = "ann"
        to = "refuse"
        "#,
    );
    assert_eq!((config.deadline, config.handoff, config.warm), (7, Handoff::Never, false));
    assert_eq!(config.udp, Udp::Refuse);
    assert_eq!(config.foreign_sockets, ForeignSockets::Refuse);
    assert_eq!(config.dns.to_string(), "exit:9.9.9.9:53");
    assert_eq!(config.pool.to_string(), "10.64.0.0/16 and fd01::/64");
    assert_eq!(config.otherwise, To::Refuse(errno::EACCES));
    assert_eq!(config.chains["any"].length, NonZeroUsize::new(2));
    assert_eq!(
        (config.chains["one"].kind, config.chains["one"].length),
        (Kind::RoundRobin, NonZeroUsize::new(1))
    );
    assert_eq!(config.routes.len(), 5);
    assert_eq!(config.routes[0].to, To::Direct, "no-proxy comes first");
    assert_eq!(config.routes[2].users, [1000, 7, 8]);
    assert_eq!(config.routes[3].to, To::Refuse(errno::ECONNREFUSED));
    assert_eq!(config.routes[4].to, To::Refuse(errno::EACCES));
    let asked = Asked { name: Some("db.internal"), port: Some(443), ..Asked::default() };
    assert_eq!(config.decide(&asked), (Some(1), &To::Chain("any".into())));
    let json = serde_json::to_string(&config).expect("json");
    assert_eq!(serde_json::from_str::<Config>(&json).expect("a configuration"), config);
}

#[test]
fn a_mistake_has_its_place_and_the_word_that_was_meant() {
    for (text, error) in [
        ("prxy = 'local:'", "1:1: unknown key \"prxy\" (did you mean \"proxy\"?)"),
        (
            "colour = 1",
            "1:1: unknown key \"colour\"; known are proxy, client-key, deadline, handoff, warm, udp, default, chain, route, \
             expose, no-proxy, dns, fake-pool, fake-pool6, inherited, foreign-sockets, tier, listen, let-in, metrics",
        ),
        ("proxy = 'local:'\n\nno_proxy = 'a'", "3:1: unknown key \"no_proxy\" (did you mean \"no-proxy\"?)"),
        ("[chain.a]\nknid = 'strict'\nhops = 'local:'", "2:1: unknown key \"knid\" (did you mean \"kind\"?)"),
        (
            "[chain.a]\nkind = 'strcit'\nhops = 'local:'",
            "2:8: unknown kind \"strcit\" (did you mean \"strict\"?)",
        ),
        ("[chain.a]\nkind = 'strict'", "1:8: chain \"a\" has no hops"),
        ("[chain.a]\nhops = []", "2:8: \"hops\" is an empty list: leave the key out"),
        (
            "[chain.a]\nhops = 'local:'\nlength = 1",
            "3:1: length has a meaning for kind random and round-robin alone",
        ),
        (
            "[chain.a]\nkind = 'random'\nhops = 'local:'\nlength = 2",
            "4:10: length is larger than the number of hops, which is 1",
        ),
        (
            "[chain.a]\nkind = 'random'\nhops = 'local:'\nlength = 0",
            "4:10: \"length\" is a whole number from 1 to 4294967295",
        ),
        ("[chain.a]\nhops = 'local:'\n[chain.a]\nhops = 'local:'", "3:8: duplicate key"),
        (
            "proxy = 'local:'\n[chain.main]\nhops = 'local:'",
            "2:8: duplicate chain \"main\": `proxy` has made it already",
        ),
        (
            "[chain.direct]\nhops = 'local:'",
            "1:8: a chain cannot be called \"direct\": this is a way already",
        ),
        ("[chain.'a b']\nhops = 'local:'", "1:8: a chain's name is 1 to 64 letters, digits, - _ and ."),
        ("chain = 1", "1:9: \"chain\" is a table: write [chain.NAME]"),
        ("proxy = 7", "1:9: \"proxy\" has the wrong type: a string, not integer"),
        (
            "proxy = ['local:', 'sokcs5://h:1']",
            "1:20: unknown scheme \"sokcs5\"; known are socks5h, socks5, socks4a, socks4, http, https, relay, ssh and local",
        ),
        ("proxy = 'http://h:99999'", "1:9: the port is not between 1 and 65535"),
        ("", " no chain: write proxy = \"socks5h://HOST:PORT\""),
        (
            "chain.a.hops = 'local:'\nchain.b.hops = 'local:'",
            " no default: with several chains, write default = \"CHAIN\", \"direct\" or \"refuse\"",
        ),
        ("proxy = 'local:'\ndefault = 'mian'", "2:11: unknown chain \"mian\" (did you mean \"main\"?)"),
        (
            "proxy = 'local:'\ndefault = 'relay'",
            "2:11: unknown chain \"relay\"; known are direct, refuse, main; a chain is made by [chain.NAME]",
        ),
        (
            "proxy = 'local:'\n[[route]]\nport = 1\nto = 'driect'",
            "4:6: unknown chain \"driect\" (did you mean \"direct\"?)",
        ),
        (
            "proxy = 'local:'\n[[route]]\nport = 1",
            "2:1: the route leads nowhere: write to = \"CHAIN\", \"direct\" or \"refuse\"",
        ),
        ("proxy = 'local:'\n[route]\nport = 1", "2:2: route is a list of tables: write [[route]] above each"),
        (
            "proxy = 'local:'\n[[route]]\nto = 'direct'",
            "2:1: an empty route matches everything: write default = … instead, or one of domain, address, port, program and user",
        ),
        ("proxy = 'local:'\n[[route]]\nport = 0\nto = 'direct'", "3:8: port is not from 1 to 65535"),
        (
            "proxy = 'local:'\n[[route]]\nport = [1, '9-8']\nto = 'direct'",
            "3:12: port \"9-8\": not a port from 1 to 65535, nor a range of them as 1-1024",
        ),
        (
            "proxy = 'local:'\n[[route]]\ndomain = '10.0.0.1'\nto = 'direct'",
            "3:10: domain \"10.0.0.1\": this is an address, not a domain: write a range, as 192.0.2.0/24",
        ),
        (
            "proxy = 'local:'\n[[route]]\ndomain = 'a'\naddress = '::1'\nto = 'direct'",
            "4:1: domain and address in one route: no connection matches both, because a name matches before it is resolved",
        ),
        ("proxy = 'local:'\n[[route]]\nuser = 'bob'\nto = 'direct'", "3:8: no user \"bob\" on this system"),
        ("proxy = 'local:'\n[[route]]\nuser = -1\nto = 'direct'", "3:8: no user id: from 0 to 4294967295"),
        (
            "proxy = 'local:'\n[[route]]\nport = 1\nto = 'direct'\nerrno = 'EACCES'",
            "5:1: errno has a meaning with to = \"refuse\" alone",
        ),
        (
            "proxy = 'local:'\n[[route]]\nport = 1\nto = 'refuse'\nerrno = 'ECONREFUSED'",
            "5:9: unknown errno \"ECONREFUSED\" (did you mean \"ECONNREFUSED\"?)",
        ),
        ("proxy = 'local:'\ndeadline = 0", "2:12: \"deadline\" is a whole number from 1 to 3600"),
        ("proxy = 'local:'\nlet-in = ['run/x']", "2:11: let-in is a list of absolute paths"),
        ("proxy = 'local:'\ntier = 'gaurd'", "2:8: unknown tier \"gaurd\" (did you mean \"guard\"?)"),
        ("proxy = 'local:'\ninherited = 'kep'", "2:13: unknown inherited \"kep\" (did you mean \"keep\"?)"),
        ("proxy = 'local:'\nudp = 'cary'", "2:7: unknown udp \"cary\" (did you mean \"carry\"?)"),
        ("proxy = 'local:'\ndns = 'exti'", "2:7: dns: no way to answer names (did you mean \"exit\"?)"),
        (
            "proxy = 'local:'\nfake-pool = '10.0.0.1'",
            "2:13: fake-pool is a range of addresses, as 198.18.0.0/15",
        ),
        ("proxy = 'local:'\nfake-pool6 = 'fd00::/64'", "2:1: fake-pool6 needs fake-pool beside it"),
        (
            "proxy = 'local:'\nfake-pool = '127.0.0.0/8'",
            "2:13: fake-pool: it has addresses of loopback, link-local, multicast or none",
        ),
        (
            "proxy = 'local:'\n[[listen]]\nto = 'a:1'",
            "2:1: a door needs at = \"socks5://127.0.0.1:1080\", or another place",
        ),
        (
            "proxy = 'local:'\n[[listen]]\nat = 'http://0.0.0.0:1'",
            "3:6: at: 0.0.0.0 is not on loopback, and whoever reaches it could use it (login-file)",
        ),
        ("proxy = 'local:'\n[[listen]]\nat = 'tcp://[::1]:1'\nto = 'a'", "4:6: to: \"a\" is not HOST:PORT"),
        (
            "proxy = 'local:'\n[[listen]]\nat = 'any://[::1]:1'\nlogin-file = 'a'\nlogin-env = 'b'",
            "5:1: login-file and login-env in one door",
        ),
        ("proxy = 'local:'\nwarm = 'yes'", "2:8: \"warm\" is true or false"),
        ("proxy = 'local:'\nhandoff = 'alway'", "2:11: unknown handoff \"alway\" (did you mean \"always\"?)"),
        (
            "proxy = 'local:'\nno-proxy = 'a:0'",
            "2:12: no-proxy: entry (not shown): not a port from 1 to 65535",
        ),
    ] {
        let found = read(text).expect_err(text).to_string();
        assert_eq!(found, format!("f.toml:{error}"), "{text}");
    }
}

#[test]
fn no_error_repeats_credentials() {
    let url = "http://ann:hunter2@h:1";
    for text in [
        format!("proxy = '{url}"),
        format!("proxy = {url}"),
        format!("proxy = '{url}/path'"),
        format!("proxy = '{}'", url.replace("h:1", "h:77777")),
        "proxy = 'http://ann:1?hunter2@h:1'".to_owned(),
        "proxy = 'ssh://h?login=hunter2'".to_owned(),
        format!("'{url}' = 1"),
        format!("[chain.'{url}']\nhops = 'local:'"),
        format!("[chain.a]\nkind = '{url}'\nhops='local:'"),
        format!("proxy = 'local:'\ndefault = '{url}'"),
        format!("proxy = 'local:'\nno-proxy = '{url}'"),
        format!("proxy = 'local:'\n[[route]]\nto = '{url}'"),
        format!("proxy = 'local:'\n[[route]]\nto = 'direct'\nprogram = '{}'", &url[4..]),
        format!("proxy = 'local:'\n[[route]]\nto = 'direct'\nuser = '{url}'"),
    ] {
        if let Err(error) = read(&text) {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        } else {
            assert!(text.contains("program"), "{text}");
        }
    }
}

#[test]
fn what_is_not_toml_has_its_place() {
    let text = read("proxy = 'local:'\nwarm = \n").expect_err("no value").to_string();
    assert!(text.starts_with("f.toml:2:"), "{text}");
    assert!(!text.contains('\n'));
}

#[test]
fn a_chain_that_nothing_leads_to_is_a_warning() {
    let parsed = read("proxy = 'local:'\ndefault = 'main'\n[chain.spare]\nhops = 'local:'").expect("read");
    let warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["f.toml:3: chain \"spare\" is used by no route"]);
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused() {
    let text = "#".repeat(MAX_BYTES + 1);
    assert_eq!(
        read(&text).expect_err("large").to_string(),
        "f.toml: longer than 1 MiB: this is no configuration"
    );
}

#[test]
fn a_file_of_nothing_but_brackets_is_an_error() {
    for text in ["a=".to_owned() + &"[".repeat(500_000), "a.".repeat(300_000), "[a]\n".repeat(200_000)] {
        assert!(read(&text).is_err());
    }
}

#[test]
fn the_example_of_the_documentation_is_a_configuration() {
    let parsed =
        read(include_str!("../../../../docs/example.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parsed.warnings, []);
    assert!(
        parsed.config.chains.len() > 2 && parsed.config.routes.iter().all(|route| *route != Route::default())
    );
}

#[test]
fn a_key_for_all_relays_is_shown_where_a_url_names_none() {
    let text = "client-key = 'k'\nproxy = ['relay://a?ca=/x', 'relay://b?ca=/x&key=/own', 'https://c']\n";
    let hops = parse(text, "c", |_| None).unwrap().config.chains["main"].hops.clone();
    let wanted = ["relay://a?ca=/x&key=k", "relay://b?ca=/x&key=/own", "https://c"];
    assert_eq!(hops, wanted.map(|url| url.parse().unwrap()));
    let error = parse("client-key = ''\nproxy = 'local:'\n", "c", |_| None).unwrap_err();
    assert!(error.to_string().starts_with("c:1:14: client-key is the path"), "{error}");
}
