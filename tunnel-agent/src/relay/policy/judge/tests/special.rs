//! Addresses that must be named, and those of the relay.

use std::net::SocketAddr;

use super::{ask, client, judge, table};

/// The table of `special` says which addresses these are, in all their forms.
#[test]
fn no_rule_for_everything_opens_special_addresses() {
    let judge = judge("[[rule]]\nverdict = 'permit'");
    let ann = client("");
    for ip in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.1.2.3",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::10.0.0.1]",
        "[2001::1]",
        "[2002:a00:1::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
        "[2600::7]",
    ] {
        for text in [format!("{ip}:80"), format!("rebound.example={ip}:80")] {
            let answer = ask(&judge, &ann, &text);
            assert!(
                answer.starts_with("no: ") && answer.ends_with(" that no rule names"),
                "{text}: {answer}"
            );
        }
    }
    table(
        &judge,
        &ann,
        &[
            ("a.example=1.1.1.1:80", "1"),
            ("[2600::8]:80", "1"),
            ("10.0.0.7:443", "no: the relay itself"),
            ("127.0.0.1:443", "no: the relay itself"),
            ("[64:ff9b::10.0.0.7]:443", "no: the relay itself"),
            ("1.1.1.1:443", "1"),
        ],
    );
}

#[test]
fn special_addresses_are_opened_by_a_range_inside_of_their_own() {
    for (range, yes, no) in [
        ("10.0.0.0/8", "10.1.2.3", "11.0.0.1 172.16.0.1 64:ff9b::10.1.2.3"),
        ("10.1.0.0/16", "10.1.2.3 ::ffff:10.1.2.3", "10.2.0.1"),
        ("8.0.0.0/6", "8.8.8.8 11.0.0.1", "10.1.2.3"),
        ("0.0.0.0/0", "8.8.8.8", "10.1.2.3 127.0.0.1 0.0.0.0 224.0.0.1"),
        ("127.0.0.0/8", "127.0.0.1 127.2.3.4", "8.8.8.8"),
        ("0.0.0.0/8", "", "0.0.0.0 0.0.0.1"),
        ("224.0.0.0/4", "", "224.0.0.1 239.1.1.1"),
        ("169.254.0.0/16", "169.254.1.1", "169.254.169.254 169.254.170.2"),
        ("169.254.169.254", "169.254.169.254", "169.254.1.1"),
        ("100.64.0.0/10", "100.64.0.1", "100.100.100.200"),
        ("192.0.2.0/24", "192.0.2.1", "192.0.3.1"),
        ("::/0", "2600::1", "::1 fc00::1 fe80::1 64:ff9b::10.0.0.1 4000::1"),
        ("::1", "::1", "::2"),
        ("fc00::/7", "fd12::1", "fd00:ec2::254 fe80::1"),
        ("fd12::/16", "fd12::1", "fd13::1"),
        ("64:ff9b::/96", "64:ff9b::10.1.2.3 64:ff9b::8.8.8.8", "10.1.2.3"),
        ("64:ff9b:1::/48", "64:ff9b:1::1", "64:ff9b::1"),
        ("2002::/16", "2002:a00:1::1", "2003::1"),
        ("8.8.8.0/24", "64:ff9b::8.8.8.8 8.8.8.8", "64:ff9b::8.8.4.4"),
        // Of the relay: one address alone.
        ("198.51.100.7", "198.51.100.7", "198.51.100.8"),
        ("198.51.100.0/24", "198.51.100.8", "198.51.100.7"),
        ("10.0.0.0/24", "10.0.0.8", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
        ("2600::7", "2600::7", ""),
        ("2600::/32", "2600::8", "2600::7"),
    ] {
        let judge = judge(&format!("[[rule]]\nname = 'it'\naddress = '{range}'\nverdict = 'permit'"));
        let ann = client("");
        let place = |ip: &str| SocketAddr::new(ip.parse().expect(ip), 80).to_string();
        for ip in yes.split(' ').filter(|ip| !ip.is_empty()) {
            assert_eq!(ask(&judge, &ann, &place(ip)), "it", "{range} opens {ip}");
        }
        for ip in no.split(' ').filter(|ip| !ip.is_empty()) {
            assert_ne!(ask(&judge, &ann, &place(ip)), "it", "{range} does not open {ip}");
        }
    }
}

#[test]
fn private_opens_private_addresses_alone() {
    let judge = judge("[[rule]]\nname = 'it'\nprivate = true\nverdict = 'permit'");
    let ann = client("");
    for ip in ["10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fd12::1]", "8.8.8.8"] {
        assert_eq!(ask(&judge, &ann, &format!("{ip}:80")), "it", "{ip}");
    }
    for ip in [
        "127.0.0.1",
        "[::1]",
        "169.254.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[64:ff9b::10.1.2.3]",
        "10.0.0.7",
        "0.0.0.0",
        "192.0.2.1",
    ] {
        assert_ne!(ask(&judge, &ann, &format!("{ip}:80")), "it", "{ip}");
    }
    // It is the last hurdle that is told, whatever other rules stop at.
    let judge =
        super::judge("[[rule]]\nprivate = true\nverdict = 'permit'\n[[rule]]\nport = 80\nverdict = 'permit'");
    assert_eq!(ask(&judge, &ann, "10.0.0.7:80"), "no: an address of the relay that no rule names");
}

#[test]
fn a_rule_that_does_not_name_an_address_leaves_it_to_those_behind_it() {
    let judge = judge(
        "
        [[rule]]
        name = 'internet'
        verdict = 'permit'
        [[rule]]
        name = 'lan'
        address = '192.168.0.0/16'
        verdict = 'permit'
        [[rule]]
        name = 'rest'
        address = '10.0.0.0/8'
        verdict = 'deny'",
    );
    table(
        &judge,
        &client(""),
        &[
            ("192.168.1.1:80", "lan"),
            ("8.8.8.8:80", "internet"),
            ("10.1.1.1:80", "no: rest"),
            ("172.16.1.1:80", "no: a private address (RFC 1918) that no rule names"),
        ],
    );
}
