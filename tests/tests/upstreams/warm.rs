//! Connections that are kept ready, at a proxy that gives up those that ask for nothing: none of the program's is lost.

use std::time::{Duration, Instant};

use underpass_tests::{PATIENCE, artifacts, proxies};

use crate::place::{ADDRESS, NAME, Place};

const PORT: u16 = 1085;
/// How long the proxy waits for a request, in seconds.
const LIMIT: &str = "0.3";
/// Before one connection and the next: ready ones are still there, or have just been given up, or long ago.
const PAUSES: [u64; 4] = [50, 250, 300, 500];
/// So many of each kind are waited for.
const SEEN: usize = 6;

/// For each line of its input: greeted and heard, or what went wrong.
const STEADY: &str = r#"
import socket, sys
for line in sys.stdin:
    try:
        with socket.create_connection((sys.argv[1], 7006)) as stream:
            file = stream.makefile("rwb")
            greeting = file.readline()
            file.write(b"word\n")
            file.flush()
            print("served" if (greeting, file.readline()) == (b"hello\n", b"word\n") else "cut", flush=True)
    except OSError as error:
        print(error, flush=True)
"#;

#[test]
fn no_connection_is_lost_when_a_proxy_closes_idle_ones() {
    let place = Place::new();
    let first = proxies::microsocks(&place.world, None);
    let script = artifacts::workspace().join("tests/programs/idle.py");
    let last = place.world.far("python3").arg(script).args([&PORT.to_string(), LIMIT]);
    let mut last = last.limit(Duration::MAX).spawn();
    assert_eq!(last.next_line(), "ready");
    let text =
        format!("handoff = \"never\"\nproxy = [\"{}\", \"socks5h://{ADDRESS}:{PORT}\"]\n", first.url());
    let program = place.configured("warm.toml", &text, "python3").args(["-c", STEADY, NAME]);
    let mut program = program.limit(Duration::MAX).spawn();
    let (mut closed, mut kept) = (0, 0);
    let limit = Instant::now() + PATIENCE;
    for pause in PAUSES.into_iter().cycle() {
        program.say("");
        assert_eq!(program.next_line(), "served", "{closed} were closed, {kept} were kept before");
        std::thread::sleep(Duration::from_millis(pause));
        while let Some(line) = last.try_line() {
            *(if line == "closed" { &mut closed } else { &mut kept }) += 1;
        }
        if closed >= SEEN && kept >= SEEN {
            return;
        }
        assert!(Instant::now() < limit, "{closed} were closed, {kept} were kept");
    }
}
