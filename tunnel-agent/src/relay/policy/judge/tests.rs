use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::super::client::{Client, Clients};
use super::super::limits::Limits;
use super::super::{keys, settings};
use super::*;

mod special;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// The judge of `relay.toml` with these rules. The relay is at 198.51.100.7, 10.0.0.7 and 2600::7, and listens at
/// port 443.
fn judge(rules: &str) -> Judge {
    let text = format!("listen = '[::]:443'\nkey = 'k'\nauthorized-keys = 'a'\nallow-udp = true\n{rules}");
    let settings = settings::parse(&text, "relay.toml", Path::new("/")).unwrap_or_else(|why| panic!("{why}"));
    let own = ["198.51.100.7", "10.0.0.7", "2600::7", "127.0.0.1"].map(|ip| ip.parse().unwrap());
    let own = Own::new(own, ["[::]:443".parse().unwrap()]);
    Judge { rules: settings.rules, udp: settings.udp, own }
}

fn client(options: &str) -> Client {
    let digest = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mut clients = Clients::default();
    let line = format!("{options} {digest} ann");
    keys::read(&mut clients, &Clients::default(), &line, "keys", Limits::default()).expect("a client");
    Client::clone(clients.get(&[0; 32], NOW).expect("the client"))
}

/// `name:port`, `address:port`, `name=address:port`, each with `/udp` behind it or not: what the judge says of
/// it, by the rule or the reason.
fn ask(judge: &Judge, client: &Client, text: &str) -> String {
    let (text, protocol) = match text.strip_suffix("/udp") {
        Some(text) => (text, Protocol::Udp),
        None => (text, Protocol::Tcp),
    };
    let (name, address) = match text.split_once('=') {
        Some((name, address)) => (Some(name), Some(address)),
        None if text.parse::<SocketAddr>().is_ok() => (None, Some(text)),
        None => (text.rsplit_once(':').map(|(name, _)| name), None),
    };
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let asked = Asked { name, port, protocol };
    let refused = |refusal: Refusal| match refusal.rule {
        Some(rule) => format!("no: {rule}"),
        None => format!("no: {}", refusal.why),
    };
    let looked_up = name.map_or(Ok(()), |_| judge.name(client, &asked, NOW));
    match (looked_up, address) {
        (Err(refusal), _) => refused(refusal) + " (name)",
        (Ok(()), None) => "look up".to_owned(),
        (Ok(()), Some(address)) => {
            let address: SocketAddr = address.parse().expect("an address");
            match judge.address(client, &asked, address.ip(), NOW) {
                Ok(permitted) => {
                    assert_eq!(permitted.address(), underpass_core::destination::canonical(address));
                    permitted.rule().to_string()
                }
                Err(refusal) => refused(refusal),
            }
        }
    }
}

fn table(judge: &Judge, client: &Client, cases: &[(&str, &str)]) {
    for (asked, answer) in cases {
        assert_eq!(ask(judge, client, asked), *answer, "{asked}");
    }
}

#[test]
fn what_no_rule_permits_is_refused_before_it_is_looked_up() {
    table(
        &judge(""),
        &client(""),
        &[("a.example:443", "no: no rule permits it (name)"), ("1.1.1.1:443", "no: no rule permits it")],
    );
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = "
        [[rule]]
        name = 'no-games'
        domain = ['.games.example', '*.play-?.example']
        verdict = 'deny'
        [[rule]]
        name = 'not-bob'
        client = ['bob', 'bots-*']
        verdict = 'deny'
        [[rule]]
        client = 'a*'
        domain = '.example'
        port = [443, '8000-8100']
        verdict = 'permit'
        [[rule]]
        address = ['1.1.1.0/24', '2606:4700::/32']
        port = 53
        protocol = 'udp'
        verdict = 'permit'";
    let judge = judge(rules);
    let ann = client("");
    table(
        &judge,
        &ann,
        &[
            ("a.games.example:443", "no: no-games (name)"),
            ("GAMES.example.:443", "no: no-games (name)"),
            ("a.play-1.example:443", "no: no-games (name)"),
            ("a.example:443", "look up"),
            ("a.example=8.8.8.8:443", "3"),
            ("a.example=8.8.8.8:8042", "3"),
            ("a.example=8.8.8.8:8101", "no: no rule permits it (name)"),
            ("a.example:443/udp", "look up"),
            ("a.test:443", "no: no rule permits it (name)"),
            // A rule for names is for no address.
            ("8.8.8.8:443", "no: no rule permits it"),
            ("1.1.1.1:53/udp", "4"),
            ("1.1.1.1:53", "no: no rule permits it"),
            ("[2606:4700::1]:53/udp", "4"),
            // It may be at such an address.
            ("any.test:53/udp", "look up"),
            ("any.test=1.1.1.1:53/udp", "4"),
            ("any.test=1.2.1.1:53/udp", "no: no rule permits it"),
        ],
    );
    let named = |name: &str| Client { name: name.into(), ..ann.clone() };
    table(
        &judge,
        &named("bob"),
        &[("a.example:443", "no: not-bob (name)"), ("1.1.1.1:53/udp", "no: not-bob")],
    );
    table(&judge, &named("bots-1"), &[("a.example:443", "no: not-bob (name)")]);
    table(&judge, &named("carl"), &[("a.example:443", "no: no rule permits it (name)")]);
}

/// A rule about a range.
const ENEMY: &str = "[[rule]]\nname = 'enemy'\naddress = '8.8.4.0/24'\nverdict = 'deny'\n";

#[test]
fn an_address_is_denied_by_whatever_name_it_is_asked_for() {
    let judge = judge(&format!("{ENEMY}[[rule]]\nname = 'all'\nverdict = 'permit'"));
    table(
        &judge,
        &client(""),
        &[
            ("a.example:80", "look up"),
            ("a.example=8.8.4.4:80", "no: enemy"),
            ("a.example=8.8.8.8:80", "all"),
            ("8.8.4.4:80", "no: enemy"),
            ("[::ffff:8.8.4.4]:80", "no: enemy"),
            // A translator would dial it.
            ("[64:ff9b::8.8.4.4]:80", "no: enemy"),
            ("[64:ff9b::8.8.8.8]:80", "all"),
        ],
    );
}

#[test]
fn a_rule_with_both_wants_the_name_to_be_there() {
    let judge = judge(
        "
        [[rule]]
        domain = '.corp.example'
        address = '10.0.0.0/8'
        verdict = 'permit'",
    );
    table(
        &judge,
        &client(""),
        &[
            ("db.corp.example=10.1.2.3:5432", "1"),
            ("db.corp.example=8.8.8.8:5432", "no: no rule permits it"),
            ("db.test:5432", "no: no rule permits it (name)"),
            ("10.1.2.3:5432", "no: no rule permits it"),
        ],
    );
}

#[test]
fn mail_is_refused_unless_a_rule_names_its_port() {
    let all = judge("[[rule]]\nverdict = 'permit'\n[[rule]]\nport = '1-1024'\nverdict = 'permit'");
    let mail = judge("[[rule]]\nverdict = 'permit'\n[[rule]]\nport = [80, 25]\nverdict = 'permit'");
    let ann = client("");
    table(&all, &ann, &[("8.8.8.8:25", "no: no rule permits it"), ("8.8.8.8:26", "1")]);
    table(&all, &ann, &[("mx.example:25", "no: no rule permits it (name)")]);
    table(&mail, &ann, &[("8.8.8.8:25", "2"), ("8.8.8.8:80", "1"), ("mx.example:25", "look up")]);
}

#[test]
fn the_own_rules_of_a_client_restrict_and_open_nothing() {
    let judge = judge(&format!(
        "{ENEMY}
        [[rule]]
        name = 'lan'
        address = '10.1.0.0/16'
        verdict = 'permit'
        [[rule]]
        name = 'web'
        port = [443, 22, 80]
        verdict = 'permit'"
    ));
    table(
        &judge,
        &client("deny=\"a.example:22\",permit=\"*.example:*\",permit=\"10.0.0.0/8:22/tcp\""),
        &[
            ("a.example=8.8.8.8:443", "web"),
            ("a.example:22", "no: ann 1 (name)"),
            ("a.example=8.8.4.4:443", "no: enemy"),
            ("a.example=10.2.1.1:443", "no: a private address (RFC 1918) that no rule names"),
            ("a.example:444", "look up"),
            ("a.example=8.8.8.8:444", "no: no rule permits it"),
            ("a.test:80", "no: no rule of the client's own permits it (name)"),
            // It may be in 10.0.0.0/8.
            ("a.test:22", "look up"),
            ("a.test=8.8.8.8:22", "no: no rule of the client's own permits it"),
            ("a.test=10.1.1.1:22", "lan"),
            ("10.1.1.1:22", "lan"),
            ("10.2.1.1:22", "no: a private address (RFC 1918) that no rule names"),
            ("10.1.1.1:22/udp", "no: no rule of the client's own permits it"),
            ("8.8.8.8:443", "no: no rule of the client's own permits it"),
        ],
    );
    table(
        &judge,
        &client("deny=\".games.example:*\",deny=\"*:22\""),
        &[
            ("a.games.example:443", "no: ann 1 (name)"),
            ("8.8.8.8:22", "no: ann 2"),
            ("8.8.8.8:443", "web"),
            ("8.8.8.8:444", "no: no rule permits it"),
        ],
    );
}

#[test]
fn neither_an_expired_key_nor_port_zero_nor_datagrams_are_served() {
    let mut judge = judge("[[rule]]\nverdict = 'permit'");
    let ann = client("expiry=\"2027-01-01\"");
    let asked = Asked { name: None, port: 443, protocol: Protocol::Tcp };
    let ip = "8.8.8.8".parse().unwrap();
    let last = ann.expiry.expect("a day");
    assert!(judge.address(&ann, &asked, ip, last - Duration::from_secs(1)).is_ok());
    let refusal = judge.address(&ann, &asked, ip, last).expect_err("expired");
    assert_eq!(refusal.why.to_string(), "the client's key has expired");
    assert!(judge.name(&ann, &Asked { name: Some("a"), ..asked }, last).is_err());
    table(&judge, &ann, &[("8.8.8.8:0", "no: port 0 is none"), ("8.8.8.8:53/udp", "1")]);
    judge.udp = false;
    table(&judge, &ann, &[("8.8.8.8:53/udp", "no: datagrams are not carried"), ("8.8.8.8:53", "1")]);
}

#[test]
fn each_refusal_has_an_error_type_of_rfc_9209() {
    let judge = judge("[[rule]]\nverdict = 'permit'");
    let ann = client("");
    for (address, error) in [
        ("10.0.0.1:80", "destination_ip_prohibited"),
        ("198.51.100.7:80", "destination_ip_prohibited"),
        ("198.51.100.7:443", "destination_ip_prohibited"),
        ("8.8.8.8:25", "http_request_denied"),
        ("8.8.8.8:0", "http_request_denied"),
    ] {
        let address: SocketAddr = address.parse().unwrap();
        let asked = Asked { name: None, port: address.port(), protocol: Protocol::Tcp };
        let refusal = judge.address(&ann, &asked, address.ip(), NOW).expect_err("refused");
        assert_eq!(refusal.why.error_type(), error, "{address}");
    }
}
