//! The wall clock steps, of the agent, of a relay, or of both, while programs connect: time-outs are of another clock, and
//! what is judged by dates is judged by the one that there is.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use underpass_tests::behaviour::Behaviour;
use underpass_tests::proxies::{self, Squid};
use underpass_tests::servers::{self, port};
use underpass_tests::{Command, Running, World, artifacts, wait};

use crate::{GREETED, agent, no_leaks, serves};

const DAY: i64 = 86_400;
const YEARS: i64 = 10 * 365 * DAY;
/// In seconds, of the agent and of the relay.
const STEPS: [(i64, i64); 8] = [
    (DAY, 0),
    (-DAY, 0),
    (YEARS, -YEARS),
    (-YEARS, YEARS),
    (0, DAY),
    (0, -DAY),
    (YEARS, YEARS),
    (-YEARS, -YEARS),
];

/// Connects again and again from two threads, and keeps two connections; says what went wrong, line by line.
const BUSY: &str = r#"
import socket, sys, threading
wrong, made, ending = [], [0], threading.Event()
def open():
    s = socket.create_connection(("far.test", 7007), 60)
    said(s)
    return s
def said(s):
    s.sendall(b"x")
    if s.recv(1) != b"x": raise OSError("end")
def run():
    while not ending.is_set():
        try:
            open().close()
            made[0] += 1
        except OSError as error: wrong.append(repr(error))
kept = [open(), open()]
threads = [threading.Thread(target=run) for _ in range(2)]
for thread in threads: thread.start()
print("up", flush=True)
for line in sys.stdin:
    before = made[0]
    try:
        for s in kept: said(s)
    except OSError as error: wrong.append("kept " + repr(error))
    while made[0] < before + 5 and not wrong: ending.wait(0.01)
    print("said", wrong, flush=True)
ending.set()
for thread in threads: thread.join()
"#;

/// A wall clock of somebody's own.
struct Clock(PathBuf);

impl Clock {
    fn new(world: &World, name: &str) -> Self {
        let clock = Self(world.directory().join(name));
        std::fs::write(&clock.0, 0_i64.to_ne_bytes()).expect("the directory is ours");
        clock
    }

    /// In the same file, which others have in their memory.
    fn step(&self, seconds: i64) {
        let file = std::fs::File::options().write(true).open(&self.0).expect("it was made");
        file.write_all_at(&seconds.to_ne_bytes(), 0).expect("the disk has room");
    }

    fn of(&self, command: Command) -> Command {
        let command = command.env("LD_PRELOAD", artifacts::shared_library("stepped"));
        command.env("STEPPED", &self.0).env("UNDERPASS_LOG", "info").limit(Duration::MAX)
    }
}

/// Waits until a process says this, and gives the line.
#[track_caller]
fn says(process: &mut Running, text: &str) -> String {
    let mut found = None;
    wait(text, || {
        found = std::iter::from_fn(|| process.try_complaint()).find(|line| line.contains(text));
        found.is_some()
    });
    found.expect("it was waited for")
}

/// A day in so many years, as an expiry is written.
fn in_years(years: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    format!("{}-06-01", 1970 + now.as_secs() / (365 * 86_400 + 86_400 / 4) + years)
}

/// An agent and a relay, each by a clock of its own.
struct Place {
    world: World,
    clocks: [Clock; 2],
    agent: Running,
    relay: Running,
    url: String,
    /// By a key that the relay knows for five years.
    guest: String,
    proxy: proxies::Fake,
}

impl Place {
    fn new() -> Self {
        let world = World::new();
        servers::start(&world);
        let proxy = proxies::fake(&world);
        serves(&world, &proxy);
        let normal = agent(&world);
        let directory = world.agent_directory(normal);
        assert!(world.signal(normal, Signal::KILL));
        let clocks = ["agent.clock", "relay.clock"].map(|name| Clock::new(&world, name));
        let run = world.client(artifacts::agent()).args(["run", "--foreground", "--directory"]);
        let mut agent = clocks[0].of(run.arg(directory)).spawn();
        says(&mut agent, "ready");
        let key = proxies::key(&world, "client");
        let guest = proxies::key(&world, "guest");
        let first = proxies::relay(&world, 4433, &[&key, &guest], 1).allowed(&world);
        first.real.kill();
        let keys = world.directory().join("relay-4433.keys");
        let lines = format!("{} client\nexpiry=\"{}\" {} guest\n", key.pin, in_years(5), guest.pin);
        std::fs::write(&keys, lines).expect("it is ours");
        let config = world.directory().join("relay-4433.toml");
        let relay = world.far(artifacts::agent()).args(["relay", "--config"]).arg(config);
        let mut relay = clocks[1].of(relay).spawn();
        says(&mut relay, "a relay serves");
        let (url, guest) = (first.url(&key), first.url(&guest));
        Self { world, clocks, agent, relay, url, guest, proxy }
    }

    fn step(&self, (agent, relay): (i64, i64)) {
        self.clocks[0].step(agent);
        self.clocks[1].step(relay);
    }

    /// By a configuration that no launch has had: all connections on the way are new ones.
    fn greets(&self, number: usize, hops: &str, mode: &str, port: u16) -> String {
        let file = self.world.directory().join(format!("{number}.toml"));
        let text = format!("{hops}\ndeadline = {}\n", 30 + number);
        std::fs::write(&file, text).expect("the directory is ours");
        let underpass = self.world.client(artifacts::underpass()).arg("-f").arg(file).arg("--");
        let arguments = ["v4", mode, "1", &port.to_string()];
        underpass.arg(artifacts::program("greeting")).args(arguments).run().stdout
    }
}

/// What is open goes on, what connects does so, and so does who makes sessions anew, whichever clock steps and where to.
#[test]
fn programs_see_no_step() {
    let mut place = Place::new();
    let relayed = place.world.wrapped(&place.url, "python3").args(["-c", BUSY]).spawn();
    let handed = place.world.wrapped(place.proxy.url(), "python3").args(["-c", BUSY]).spawn();
    let mut busy = [relayed, handed];
    busy.iter_mut().for_each(|program| assert_eq!(program.next_line(), "up"));
    for (number, step) in STEPS.into_iter().enumerate() {
        place.step(step);
        for program in &mut busy {
            program.say("now");
            assert_eq!(program.next_line(), "said []", "{step:?}");
        }
        let hops = format!("proxy = '{}'", place.guest);
        let mode = ["blocking", "nonblocking"][number % 2];
        let said = place.greets(number, &hops, mode, port::GREETER);
        // By the relay's clock this client is not to be served any more.
        let expected = if step.1 == YEARS { "EACCES\n" } else { GREETED };
        assert_eq!(said, expected, "{step:?}");
    }
    busy.iter_mut().for_each(Running::close_input);
    busy.into_iter().for_each(|program| assert_eq!(program.wait().code(), 0));
    assert!(!place.agent.has_ended() && !place.relay.has_ended());
    // What they wrote down meanwhile has the same clocks.
    let years = |lines: &str| -> BTreeSet<i32> {
        lines.lines().filter_map(|line| line.get(..4)?.parse().ok()).collect()
    };
    let log: String = std::iter::from_fn(|| place.agent.try_complaint()).map(|line| line + "\n").collect();
    let (first, last) = (years(&log).first().copied(), years(&log).last().copied());
    assert!(first.zip(last).is_some_and(|(first, last)| (19..22).contains(&(last - first))), "{log}");
    no_leaks(&place.world);
}

/// A deadline is so many seconds, and not the hour at which they are over.
#[test]
fn deadlines_are_no_dates() {
    let place = Place::new();
    let configuration = place.world.directory().join("short.toml");
    let text = format!("proxy = '{}'\ndeadline = 3\n", place.proxy.url());
    std::fs::write(&configuration, text).expect("the directory is ours");
    place.proxy.on(port::REFUSED, Behaviour::SilentReply);
    for offset in [YEARS, -YEARS] {
        for (port, expected) in [(port::late(port::GREETER), GREETED), (port::REFUSED, "ETIMEDOUT\n")] {
            place.step((0, 0));
            let before = place.proxy.requests().len();
            let underpass =
                place.world.client(artifacts::underpass()).arg("-f").arg(&configuration).arg("--");
            let arguments = ["v4", "nonblocking", "1", &port.to_string()];
            let greeting = underpass.arg(artifacts::program("greeting")).args(arguments).spawn();
            wait("it is asked for", || place.proxy.requests().len() > before);
            place.step((offset, 0));
            assert_eq!(greeting.wait().stdout, expected, "{offset}");
        }
    }
    no_leaks(&place.world);
}

/// Who vouches for a proxy does so until a day, and a program is told when it is over, or has not come yet.
#[test]
fn certificates_are_judged_by_the_clock_that_there_is() {
    let mut place = Place::new();
    let certificate = proxies::certificate(&place.world, "good");
    let squid = proxies::squid(&place.world, 3130, Squid::Tls(&certificate), 1).allowed(&place.world);
    let url = format!("{}?ca={}", squid.url_as("https"), certificate.authority.display());
    let hops = format!("proxy = '{url}'");
    let steps = [(0, ""), (YEARS, "expired"), (DAY, ""), (-YEARS, "not valid yet"), (0, "")];
    for (number, (offset, why)) in steps.into_iter().enumerate() {
        place.step((offset, 0));
        let said = place.greets(number, &hops, "blocking", port::GREETER);
        let expected = if why.is_empty() { GREETED } else { "EACCES\n" };
        assert_eq!(said, expected, "{offset}");
        if !why.is_empty() {
            let line = says(&mut place.agent, why);
            assert!(line.contains("failed"), "{line}");
        }
    }
    no_leaks(&place.world);
}
