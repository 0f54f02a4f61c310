//! Two relays that are one to their clients: one key, one list of clients, and HAProxy before them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::servers::{self, port};
use underpass_tests::{PATIENCE, Running, World, artifacts, proxies};

use crate::relays;

const BALANCER: u16 = 4430;

/// Health is asked for seldom: a relay that has been killed is found out by who is sent to it.
const HAPROXY: &str = "
global
  log stderr format raw local0 warning
  stats socket unix@haproxy.sock
defaults
  mode tcp
  timeout connect 20s
  timeout client 60s
  timeout server 60s
  retries 3
  option redispatch 1
listen relays
  bind 10.77.0.1:4430
  balance roundrobin
  server one 127.0.0.1:4431 check inter 1s fall 1 rise 1
  server two 127.0.0.1:4432 check inter 1s fall 1 rise 1
";

/// The relays, and the world in which they are.
struct Pair {
    // Before the world: they end first.
    relays: Vec<Running>,
    world: World,
}

const NAMES: [&str; 2] = ["one", "two"];

impl Pair {
    fn start(world: &World, number: usize) -> Running {
        let relay = relays::start(world, world.far("sh"), NAMES[number]);
        world.wait_listening(4431 + u16::try_from(number).expect("there are two"));
        relay
    }

    /// Whether HAProxy gives new connections to both, as far as it knows.
    fn are_taken(&self) -> bool {
        let mut asked = UnixStream::connect(self.world.directory().join("haproxy.sock")).expect("it runs");
        asked.write_all(b"show stat\n").expect("it listens");
        let mut table = String::new();
        asked.read_to_string(&mut table).expect("it answers");
        let is_up = |name| table.lines().any(|line| line.starts_with(name) && line.contains(",UP,"));
        is_up("relays,one,") && is_up("relays,two,")
    }

    /// Whether there is a connection to this one.
    fn carries(&self, number: usize) -> bool {
        let pid = self.relays[number].pid();
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/tcp6")).expect("it runs");
        let port = format!(":{:04X}", 4431 + number);
        text.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next().is_some_and(|local| local.ends_with(&port)) && fields.nth(1) == Some("01")
        })
    }
}

#[test]
fn a_relay_that_is_killed_under_load_costs_no_new_connection() {
    let world = World::new();
    servers::start(&world);
    let (own, client) = (proxies::key(&world, "relays"), proxies::key(&world, "client"));
    for (name, port) in NAMES.into_iter().zip(4431..) {
        relays::configuration(&world, name, port, &own, &client);
    }
    let relays = vec![Pair::start(&world, 0), Pair::start(&world, 1)];
    let mut pair = Pair { world, relays };
    let world = &pair.world;
    std::fs::write(world.directory().join("haproxy.cfg"), HAPROXY).expect("the directory is ours");
    let haproxy = world.far("haproxy").args(["-db", "-f", "haproxy.cfg"]).limit(Duration::MAX).spawn();
    world.wait_listening(BALANCER);
    world.allow_proxy(BALANCER);

    let script = artifacts::workspace().join("tests/programs/failing_over.py");
    let url = relays::url("10.77.0.1", BALANCER, &own, &client);
    let program = world.wrapped(&url, "python3").arg(script).args(["web.test", &port::ECHO.to_string()]);
    let mut program = program.limit(Duration::from_secs(300)).spawn();
    for round in 0..4 {
        // One is killed, and not the one while the other has not been taken back yet.
        let limit = Instant::now() + PATIENCE;
        while !pair.are_taken() {
            assert!(Instant::now() < limit, "round {round}: one is not taken back");
            std::thread::sleep(Duration::from_millis(10));
        }
        program.say("");
        assert_eq!(program.next_line(), "stay", "round {round}");
        // All share one session. A look of HAProxy's own is over at once.
        let limit = Instant::now() + PATIENCE;
        let number = loop {
            match (pair.carries(0), pair.carries(1)) {
                (true, false) => break 0,
                (false, true) => break 1,
                both => assert!(Instant::now() < limit, "round {round}: {both:?}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        pair.relays[number].signal(Signal::KILL);
        program.say("");
        assert_eq!(program.next_line(), "('reset', 8)", "round {round}");
        assert_eq!(program.next_line(), "no other was lost", "round {round}");
        pair.relays[number] = Pair::start(&pair.world, number);
    }
    assert_eq!(pair.world.leaks(), 0, "{:?}", pair.world.leaked());
    drop(haproxy);
}
