//! Any text is a file of keys or an error with its line, and no line of it opens what the relay's rules do not.
#![no_main]

#[path = "../../src/relay/policy/mod.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod policy;

use std::net::SocketAddr;
use std::time::SystemTime;

use policy::client::Clients;
use policy::judge::Judge;
use policy::keys::read;
use policy::limits::Limits;
use policy::own::Own;
use policy::rules::{Asked, Protocol, Rule};
use underpass_core::upstream::pin;

/// What options are made of: by chance alone a fuzzer seldom writes a line that is one.
const PIECES: [&str; 16] = [
    "permit=\"",
    "deny=\"",
    "\",",
    "*:*",
    "*.a:443",
    ".a:25",
    "0.0.0.0/0:*",
    "[::/0]:*",
    "0.0.0.0/8:*",
    "224.0.0.0/4:*",
    "255.255.255.255:*",
    "[ff00::/8]:*",
    "[::]:*",
    "127.0.0.0/8:*",
    "8.8.8.8:*",
    "/udp",
];

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, &str)| {
    let (pieces, text) = input;
    let options: String = pieces.iter().map(|piece| PIECES[usize::from(*piece) % PIECES.len()]).collect();
    let options = options.trim_end_matches(',');
    let line = format!("{options} sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= a\n");
    check(&line);
    check(text);
});

fn check(text: &str) {
    let mut clients = Clients::default();
    if let Err(error) = read(&mut clients, &Clients::default(), text, "f", Limits::default()) {
        return assert!(error.to_string().starts_with("f:") && !error.message.contains('\n'));
    }
    let relay: SocketAddr = ([192, 0, 2, 1], 443).into();
    let all = Rule::all("all", true);
    // Nothing opens the last two.
    let addresses = ["192.0.2.1", "10.0.0.0/8", "0.0.0.0/8", "224.0.0.0/4"];
    let addresses = addresses.into_iter().filter_map(|range| range.parse().ok()).collect();
    let named = Rule { addresses, ..Rule::all("named", true) };
    let judge = Judge { rules: vec![all, named], udp: true, own: Own::new([relay.ip()], [relay]) };
    let now = SystemTime::UNIX_EPOCH;
    for digest in text.split_whitespace().filter_map(pin) {
        let Some(client) = clients.get(&digest, now) else { continue };
        assert!(!client.name.is_empty() && client.fingerprint.len() == 12);
        let name = text.lines().last();
        for (protocol, port) in [(Protocol::Tcp, 443), (Protocol::Udp, 53), (Protocol::Tcp, 25)] {
            let asked = Asked { name, port, protocol };
            let looked_up = judge.name(client, &asked, now).is_ok();
            for ip in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "127.0.0.1", "fd00::1"] {
                assert!(judge.address(client, &asked, ip.parse().expect(ip), now).is_err(), "{ip}");
            }
            if protocol == Protocol::Tcp && port == 443 {
                assert!(judge.address(client, &asked, relay.ip(), now).is_err());
            }
            // What is dialled for a name could be looked up, and is what was judged.
            if let Ok(permitted) = judge.address(client, &asked, [8, 8, 8, 8].into(), now) {
                assert!(looked_up && permitted.address() == ([8, 8, 8, 8], port).into());
            }
        }
    }
}
