use std::path::Path;
use std::time::Duration;

use super::super::audit::{Names, To};
use super::super::limits::Limits;
use super::*;

const LEAST: &str = "listen = '0.0.0.0:443'\nkey = 'relay.key'\nauthorized-keys = 'keys'\n";

fn read(text: &str) -> Result<Settings, ConfigError> {
    parse(text, "relay.toml", Path::new("/etc/underpass"))
}

#[test]
fn the_shortest_file_has_safe_defaults() {
    let settings = read(LEAST).expect("read");
    assert_eq!(settings.listen, [Listen::Address("0.0.0.0:443".parse().unwrap())]);
    assert_eq!(settings.key, Path::new("/etc/underpass/relay.key"));
    assert_eq!(settings.certificate, Path::new("/etc/underpass/relay.key.crt"));
    assert_eq!(settings.authorized_keys, [Path::new("/etc/underpass/keys")]);
    assert!(settings.tokens.is_empty() && !settings.anonymous && !settings.udp && settings.rules.is_empty());
    assert_eq!(settings.limits, RelayLimits::default());
    assert_eq!(settings.audit, Audit { to: To::Journal, names: Names::Plain, neighbour: false });
}

#[test]
fn everything_can_be_said() {
    let settings = read(include_str!("../../../../../docs/relay.toml")).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(settings.listen.len(), 3);
    assert!(settings.listen.contains(&Listen::Inherited));
    assert!(!settings.tokens.is_empty() && !settings.own.is_empty() && settings.rules.len() > 3);
    assert!(settings.limits != RelayLimits::default() && settings.limits.client != Limits::default());
    assert!(matches!(settings.audit.to, To::File { .. }) && settings.audit.names != Names::Plain);
}

#[test]
fn nobody_is_served_who_is_not_known() {
    let anonymous = |listen: &str| read(&format!("listen = {listen}\nkey = 'k'\nanonymous = true"));
    for listen in ["'127.0.0.1:1'", "['127.9.9.9:1', '[::1]:1']", "'[::ffff:127.0.0.1]:1'"] {
        assert!(anonymous(listen).is_ok_and(|settings| settings.anonymous), "{listen}");
    }
    for listen in ["'0.0.0.0:1'", "'[::]:1'", "['127.0.0.1:1', '192.0.2.1:1']", "'systemd'"] {
        let error = anonymous(listen).expect_err(listen).to_string();
        let expected = "relay.toml:3:1: anonymous is for a relay that listens on loopback addresses alone";
        assert_eq!(error, expected, "{listen}");
    }
    for text in ["listen = '127.0.0.1:1'\nkey = 'k'", "listen = '127.0.0.1:1'\nkey = 'k'\nanonymous = false"]
    {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains("no client is known"), "{error}");
    }
}

#[test]
fn who_may_listen_is_said_by_a_table() {
    let exposing =
        |table: &str| read(&format!("{LEAST}[[expose]]\n{table}")).map(|settings| settings.exposing);
    let [rule] = &exposing("").unwrap()[..] else { panic!("one table") };
    assert_eq!((&*rule.label, rule.most, rule.age, rule.grace), ("1", 16, None, Duration::ZERO));
    assert!(rule.clients.is_empty() && rule.addresses.is_empty() && rule.ports.is_empty());

    let all = "name = 'web'\nclient = 'ann'\naddress = '192.0.2.0/24'\nport = ['80', '8000-8010']\nmost = 2\nage = 60\ngrace = 5";
    let [rule] = &exposing(all).unwrap()[..] else { panic!("one table") };
    assert_eq!((&*rule.label, rule.most), ("web", 2));
    assert_eq!((rule.age, rule.grace), (Some(Duration::from_secs(60)), Duration::from_secs(5)));
    assert!(rule.is_for_client("ann") && !rule.is_for_client("bob"));
    assert_eq!(rule.ports().count(), 12);

    assert_eq!(exposing("\n[[expose]]\nname = 'b'").unwrap().len(), 2);
    for (table, why) in [
        ("clients = 'a'", ":5:1: unknown key \"clients\" (did you mean \"client\"?)"),
        ("most = 0", ":5:8: \"most\" is a whole number from 1 to 31622400"),
        ("port = 0", ":5:8: port is not from 1 to 65535"),
    ] {
        assert_eq!(exposing(table).unwrap_err().to_string(), format!("relay.toml{why}"), "{table}");
    }
}

#[test]
fn a_credential_has_a_plain_name() {
    for name in ["", ".", "../key", "a/b"] {
        let error =
            read(&format!("listen = '[::]:1'\nkey = 'credential:{name}'")).expect_err(name).to_string();
        assert_eq!(error, "relay.toml:2:7: key is credential:NAME, as credential:relay.key", "{name}");
    }
    // Nothing passes any to the tests.
    let error =
        read("listen = '[::]:1'\nkey = 'credential:relay.key'").expect_err("none were passed").to_string();
    assert!(error.contains("the unit needs LoadCredential=relay.key:PATH"), "{error}");
}

#[test]
fn a_mistake_has_its_place() {
    for (text, error) in [
        ("key = 'k'", ": no listen: write listen = \"ADDRESS:PORT\""),
        ("listen = '[::]:1'", ": no key: write key = \"PATH\"; underpass-agent keygen makes one"),
        ("lisen = '[::]:1'", ":1:1: unknown key \"lisen\" (did you mean \"listen\"?)"),
        ("listen = 'systmd'\nkey = 'k'", ":1:10: unknown listen \"systmd\" (did you mean \"systemd\"?)"),
        ("listen = 'a:1'\nkey = 'k'", ":1:10: listen is ADDRESS:PORT, as 192.0.2.1:443 or [::]:443"),
        ("listen = []\nkey = 'k'", ":1:10: \"listen\" is an empty list: leave the key out"),
        ("listen = '[::]:1'\nkey = ''", ":2:7: key is a path"),
        ("+name = 'a b'", ":4:8: a name is 1 to 64 letters, digits, - _ and ."),
        ("+resolver = 'sytem'", ":4:12: unknown resolver \"sytem\" (did you mean \"system\"?)"),
        ("+own-addresses = 'a'", ":4:17: own-addresses is an address, as 192.0.2.1"),
        ("+allow-udp = 1", ":4:13: \"allow-udp\" is true or false"),
        ("+anonymous = true", ":4:1: anonymous, and clients that are known: nobody is asked for a key"),
        ("+limits = 1", ":4:10: \"limits\" is a table: write [limits]"),
        ("+[limits]\nstream = 1", ":5:1: unknown key \"stream\" (did you mean \"streams\"?)"),
        ("+[limits]\nstreams = 0", ":5:11: \"streams\" is a whole number from 1 to 4294967295"),
        ("+[limits]\nudp-idle = 0", ":5:12: \"udp-idle\" is a whole number from 1 to 86400"),
        ("+[limits]\nrate = 0", ":5:8: rate is not a number of bytes: write \"10G\""),
        (
            "+[limits]\nrate = '1Q'",
            ":5:8: rate \"1Q\": not a number of bytes: write 4096, 64K, 10M, 1G or 2T",
        ),
        ("+[audit]\nto = 'jornal'", ":5:6: unknown to \"jornal\" (did you mean \"journal\"?)"),
        ("+[audit]\nkeep = 1", ":5:1: keep has a meaning with a file alone"),
        ("+[audit]\nnames = 'hash'", ":5:9: unknown names \"hash\" (did you mean \"hashed\"?)"),
        ("+[audit]\nnames-key = 'k'", ":5:1: names-key has a meaning with names = \"hashed\" alone"),
        ("+[rule]\nverdict = 'deny'", ":4:2: rule is a list of tables: write [[rule]] above each"),
        ("+[[rule]]\nport = 1", ":4:1: the rule says nothing: write verdict = \"permit\" or \"deny\""),
        ("+[[rule]]\nverdict = 'alow'", ":5:11: unknown verdict \"alow\"; known are permit, deny"),
        ("+[[rule]]\nverdict = 'permitt'", ":5:11: unknown verdict \"permitt\" (did you mean \"permit\"?)"),
        (
            "+[[rule]]\nverdict = 'deny'\nadress = '::1'",
            ":6:1: unknown key \"adress\" (did you mean \"address\"?)",
        ),
        ("+[[rule]]\nverdict = 'deny'\nport = 0", ":6:8: port is not from 1 to 65535"),
        (
            "+[[rule]]\nverdict = 'deny'\nprivate = true",
            ":6:1: private has a meaning with verdict = \"permit\" alone",
        ),
        (
            "+[[rule]]\nverdict = 'deny'\ndomain = '10.0.0.1'",
            ":6:10: domain \"10.0.0.1\": this is an address, not a domain: write a range, as 192.0.2.0/24",
        ),
        (
            "+[[rule]]\nverdict = 'deny'\nprotocol = 'sctp'",
            ":6:12: unknown protocol \"sctp\"; known are tcp, udp",
        ),
        (
            "+[[rule]]\nverdict = 'deny'\nclient = ''",
            ":6:10: client is a client's name, or a glob of such names, as build-*",
        ),
    ] {
        let text = text.strip_prefix('+').map_or_else(|| text.to_owned(), |rest| format!("{LEAST}{rest}"));
        let found = read(&text).expect_err(&text).to_string();
        assert_eq!(found, format!("relay.toml{error}"), "{text}");
    }
}
