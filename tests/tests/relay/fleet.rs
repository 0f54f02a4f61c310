//! A fleet: relays with one key, the same clients and the same rules, and HAProxy before them, which passes bytes on.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::servers::port;
use underpass_tests::{PATIENCE, Running, artifacts};

use crate::place::{EVERYTHING_HERE, Place, banner};

const RELAYS: [u16; 2] = [4434, 4435];
const BEFORE: u16 = 4436;

const HAPROXY: &str = "
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen relays
    bind 10.77.0.1:4436
    balance roundrobin
    server one 10.77.0.1:4434
    server two 10.77.0.1:4435
";

/// Connects all the time, and has one connection from the beginning to the end. Says how often all was well.
const STEADY: &str = r#"
import select, socket, sys
def connect():
    return socket.create_connection(("10.99.0.1", int(sys.argv[1])), 30)
def echoes(s):
    s.sendall(b"x")
    return s.recv(1) == b"x"
first, good, bad = connect(), 0, []
print("connected", echoes(first), flush=True)
while not select.select([sys.stdin], [], [], 0.002)[0]:
    try:
        with connect() as s:
            assert echoes(s) and echoes(first)
        good += 1
    except (OSError, AssertionError) as error:
        bad.append(repr(error))
print(good, *bad, flush=True)
"#;

struct Fleet {
    place: Place,
    relays: Vec<Running>,
    lines: [String; 2],
    url: String,
}

impl Fleet {
    fn new() -> Self {
        let place = Place::without_relay("authorized-keys = \"authorized\"\n");
        let said = place.keygen(&["--relay", "--name", "10.77.0.1", "--out", "fleet.key"]);
        let pin = said.lines().find_map(|line| line.strip_prefix("Pin:")).expect("it says the pin").trim();
        let key = place.world.directory().join("client.key");
        let pin = pin.replace('+', "%2B");
        let url = format!("relay://10.77.0.1:{BEFORE}?pin={pin}&key={}", key.display());
        let known = std::fs::read_to_string(place.world.directory().join("authorized")).expect("it is there");
        let lines = [known, place.key("guest.key", "guest")];
        RELAYS.iter().chain([&BEFORE]).for_each(|port| place.world.allow_proxy(*port));
        let mut fleet = Self { place, relays: Vec::new(), lines, url };
        fleet.write(false);
        for port in RELAYS {
            let relay = fleet.place.world.far(artifacts::agent()).args(["relay", "--config"]);
            let relay = relay.arg(format!("relay-{port}.toml")).limit(Duration::MAX);
            fleet.relays.push(relay.spawn());
            fleet.place.world.wait_listening(port);
        }
        fleet
    }

    /// The files of all, by which the guest is served and the banner may be visited, or not.
    fn write(&self, is_open: bool) {
        let [known, guest] = &self.lines;
        self.place
            .write("authorized", &if is_open { [known.as_str(), guest].concat() } else { known.clone() });
        let banner = port::BANNER;
        let denied = format!("[[rule]]\nname = \"closed\"\nport = {banner}\nverdict = \"deny\"\n");
        let rules = [if is_open { "" } else { &denied }, EVERYTHING_HERE].concat();
        for port in RELAYS {
            let settings = format!(
                "listen = \"10.77.0.1:{port}\"\nkey = \"fleet.key\"\nauthorized-keys = \"authorized\"\n{rules}\
                 [audit]\nto = \"./audit-{port}\"\n"
            );
            self.place.write(&format!("relay-{port}.toml"), &settings);
        }
    }

    /// Whether this client may visit the banner by the relay at this port.
    fn serves(&self, port: u16, key: &str) -> bool {
        let curl = self.place.curl_with(key).args(["--proxy-cacert", "fleet.key.crt"]);
        let done = curl.args(["-x", &format!("https://10.77.0.1:{port}")]).arg(banner()).run();
        done.status.success() && done.stdout == "hello\n"
    }

    /// How many of the connections that have ended the relay at this port had.
    fn carried(&self, port: u16) -> usize {
        let audit = self.place.world.directory().join(format!("audit-{port}"));
        let audit = std::fs::read_to_string(audit).unwrap_or_default();
        let line = format!("\"port\":{},\"protocol\":\"tcp\"", port::ECHO);
        audit.lines().filter(|audited| audited.contains(&line)).count()
    }
}

#[test]
fn files_that_all_relays_share_are_read_again_while_connections_go_on() {
    let fleet = Fleet::new();
    let world = &fleet.place.world;
    fleet.place.write("haproxy.cfg", HAPROXY);
    let _haproxy = world.far("haproxy").args(["-db", "-f", "haproxy.cfg"]).limit(Duration::MAX).spawn();
    world.wait_listening(BEFORE);
    // Each has chains, and so connections with the relays, of its own.
    let steady = |isolate: &str| {
        let url = [&fleet.url, isolate].concat();
        let program = world.wrapped(&url, "python3").args(["-c", STEADY, &port::ECHO.to_string()]);
        let mut program = program.spawn();
        assert_eq!(program.next_line(), "connected True");
        program
    };
    let mut programs: Vec<_> = ["", "&isolate=program", "&isolate=destination"].map(steady).into();
    for is_open in [true, false, true] {
        fleet.write(is_open);
        fleet.relays.iter().for_each(|relay| relay.signal(Signal::HUP));
        let limit = Instant::now() + PATIENCE;
        for relay in RELAYS {
            for key in ["guest.key", "client.key"] {
                while fleet.serves(relay, key) != is_open {
                    assert!(Instant::now() < limit, "{relay} for {key}: not {is_open}");
                }
            }
        }
    }
    for program in &mut programs {
        program.say("");
        let said = program.next_line();
        assert!(said.parse::<u32>().is_ok_and(|good| good > 3), "{said}");
    }
    drop(programs);
    // Each had a part of it.
    let limit = Instant::now() + PATIENCE;
    while RELAYS.iter().any(|relay| fleet.carried(*relay) < 4) {
        assert!(Instant::now() < limit, "{:?}", RELAYS.map(|relay| fleet.carried(relay)));
        std::thread::sleep(Duration::from_millis(20));
    }
}
