//! Any text is a relay's configuration or an error with its place. A relay serves nobody whom it does not know but on
//! loopback, dials nothing that it has not judged, and nothing special unless an address of a rule or `private` says
//! so.
#![no_main]

#[path = "../../src/relay/policy/mod.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod policy;

use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use policy::client::Client;
use policy::host::Host;
use policy::judge::Judge;
use policy::own::Own;
use policy::rules::{Asked, Protocol};
use policy::settings::{Listen, parse};

/// What rules are made of: by chance alone a fuzzer seldom writes a file that is one.
const PIECES: [&str; 16] = [
    "[[rule]]\nverdict = 'permit'\n",
    "[[rule]]\nverdict = 'deny'\n",
    "client = 'anonymous'\n",
    "domain = '*'\n",
    "domain = '.a'\n",
    "address = '0.0.0.0/0'\n",
    "address = '::/0'\n",
    "address = '127.0.0.0/8'\n",
    "address = '169.254.0.0/16'\n",
    "address = ['224.0.0.0/4', '0.0.0.0/8']\n",
    "address = ['ff00::/8', '::']\n",
    "address = ['8.8.4.4', '8.8.4.0/24']\n",
    "port = '1-65535'\n",
    "port = 25\n",
    "protocol = 'udp'\n",
    "private = true\n",
];
const HEAD: &str = "listen = '127.0.0.1:1'\nkey = 'k'\nauthorized-keys = 'a'\nallow-udp = true\n";

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, [u8; 16], &str, &str)| {
    let (pieces, octets, host, text) = input;
    let rules: String = pieces.iter().map(|piece| PIECES[usize::from(*piece) % PIECES.len()]).collect();
    check(&format!("{HEAD}{rules}"), host, octets);
    check(text, host, octets);
});

fn check(text: &str, host: &str, octets: [u8; 16]) {
    let host = Host::parse(host);
    if let Some(Host::Name(name)) = &host {
        assert!(name.parse::<IpAddr>().is_err() && Host::parse(name) == host);
    }
    let settings = match parse(text, "f", Path::new("/")) {
        Ok(settings) => settings,
        Err(error) => return assert!(error.to_string().starts_with("f:") && !error.message.contains('\n')),
    };
    let nobody = settings.authorized_keys.is_empty() && settings.tokens.is_empty();
    assert_eq!(nobody, settings.anonymous);
    for listen in &settings.listen {
        let loopback = matches!(listen, Listen::Address(at) if at.ip().to_canonical().is_loopback());
        assert!(loopback || !nobody);
    }
    let names_addresses = settings.rules.iter().any(|rule| !rule.addresses.is_empty() || rule.private);
    let own: IpAddr = [8, 8, 4, 4].into();
    let judge = Judge { rules: settings.rules, udp: settings.udp, own: Own::new([own], []) };
    let client = Client::anonymous(settings.limits.client);
    let now = SystemTime::UNIX_EPOCH;
    let v6 = IpAddr::from(octets);
    let v4 = IpAddr::from([octets[0], octets[1], octets[2], octets[3]]);
    let forbidden = ["0.0.0.0", "224.0.0.1", "::", "ff02::1", "127.0.0.1", "169.254.169.254"];
    let forbidden = forbidden.into_iter().filter_map(|ip| ip.parse().ok());
    for ip in [v4, v6, own].into_iter().chain(forbidden) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let port = u16::from_be_bytes([octets[14], octets[15]]);
            let asked = Asked { name: host.as_ref().and_then(Host::name), port, protocol };
            let looked_up = judge.name(&client, &asked, now).is_ok();
            if let Ok(permitted) = judge.address(&client, &asked, ip, now) {
                let at = permitted.address();
                assert!(at.ip() == ip.to_canonical() && at.port() == port && port != 0);
                assert!(looked_up && (protocol == Protocol::Tcp || judge.udp));
                let ip = at.ip();
                assert!(!ip.is_unspecified() && !ip.is_multicast());
                let special = ip.is_loopback() || ip == own || ip == IpAddr::from([169, 254, 169, 254]);
                assert!(names_addresses || !special);
            }
        }
    }
}
