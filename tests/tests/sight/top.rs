//! `underpass-agent top` on a terminal whose screen is read.

use std::path::PathBuf;

use rustix::process::Signal;
use underpass_tests::proxies;
use underpass_tests::{Running, World, artifacts, wait};

use crate::{STAYS, ask, connected, file, script, world};

/// A terminal in which `underpass-agent top` runs.
struct Screen {
    running: Running,
    rows: usize,
}

impl Screen {
    fn of(world: &World, columns: usize, rows: usize) -> Self {
        Self::with(world, columns, rows, artifacts::agent(), &["top"])
    }

    /// With another command.
    fn with(world: &World, columns: usize, rows: usize, program: PathBuf, words: &[&str]) -> Self {
        let size = [columns.to_string(), rows.to_string()];
        let python = world.client("python3").args(["-c", include_str!("screen.py")]).args(size);
        Self { running: python.arg(program).args(words).spawn(), rows }
    }

    /// What it answers to a command.
    fn say(&mut self, line: &str) -> String {
        self.running.say(line);
        self.running.next_line()
    }

    fn lines(&mut self) -> Vec<String> {
        self.running.say("show");
        (0..self.rows).map(|_| self.running.next_line()).collect()
    }

    /// Waits until the screen has this text.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let found = self.say(&format!("wait {text}"));
        assert_eq!(found, "yes", "no {text:?}:\n{}", self.lines().join("\n"));
    }

    /// Waits until it has not.
    #[track_caller]
    fn hides(&mut self, text: &str) {
        let gone = self.say(&format!("gone {text}"));
        assert_eq!(gone, "yes", "still {text:?}:\n{}", self.lines().join("\n"));
    }
}

/// Two connections by a chain whose first hop is down, and one that failed.
fn carried() -> (World, Vec<Running>) {
    let (world, proxy) = world();
    let dead = proxies::down(&world);
    let text = format!("[chain.spare]\nkind = 'failover'\nhops = ['{dead}', '{}']\n", proxy.url());
    let settings = file(&world, "c.toml", &text);
    let programs = (0..2).map(|_| connected(script(&world, &settings, STAYS))).collect();
    assert_ne!(script(&world, &settings, "exec 3<>/dev/tcp/far.test/1").run().code(), 0);
    (world, programs)
}

#[test]
fn connections_hops_and_errors_are_on_one_screen() {
    let (world, programs) = carried();
    let mut screen = Screen::of(&world, 80, 24);
    screen.shows(" 2 connections, up ");
    // The lowest row: what is above it has been drawn.
    screen.shows(" far.test:1: ");
    let lines = screen.lines();
    for words in [
        &["PROGRAM", "DESTINATION", "DOWN/S"][..],
        &["bash", "far.test:7007", "spare"],
        &["1 of 2", "passed over"],
    ] {
        assert!(
            lines.iter().any(|line| words.iter().all(|word| line.contains(word))),
            "{words:?}: {lines:#?}"
        );
    }
    assert!(
        lines.iter().any(|line| line.starts_with("spare") && line.contains("far.test:1: ")),
        "{lines:#?}"
    );
    // Keys.
    screen.shows("- by rate");
    assert_eq!(screen.say("keys s"), "sent");
    screen.shows("- by bytes");
    screen.say("keys r");
    screen.shows("- by bytes, reversed");
    screen.say("keys /nothing");
    screen.shows(" filter: nothing_");
    screen.shows("none that the filter lets through");
    screen.say("keys \\x1b");
    screen.shows(" far.test:7007 ");
    screen.say("keys p");
    screen.shows("- paused");
    drop(programs);
    screen.say("keys p");
    screen.hides("paused");
    screen.shows(" 0 connections, ");
    // Another size.
    assert_eq!(screen.say("size 60 10"), "resized");
    screen.rows = 10;
    screen.shows("q quit");
    let lines = screen.lines();
    assert!(lines[9].starts_with(" q quit") && lines[0].starts_with(" 0 connections"), "{lines:#?}");
    screen.say("keys q");
    assert_eq!((screen.say("end"), screen.say("mode")), ("yes 0".to_owned(), "as it was".to_owned()));
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// Of an agent of forwards: a listener at a proxy, which then ends.
#[test]
fn listeners_are_on_the_screen() {
    let world = World::new();
    let dante = proxies::dante(&world);
    let place = world.directory().join("forwards");
    std::fs::create_dir(&place).expect("the directory is ours");
    std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("it is ours");
    let place = place.display().to_string();
    let forward = ["forward", "--directory", &place, "-x", &dante.url_as("socks5h"), "-R", "0:localhost:80"];
    let _agent = ask(&world, &forward).limit(std::time::Duration::MAX).spawn();
    wait("it is there", || ask(&world, &["status", "--directory", &place]).run().stdout.contains(" up "));
    let mut screen = Screen::with(&world, 80, 24, artifacts::agent(), &["top", "--directory", &place]);
    screen.shows(" main     up ");
    let row = screen.lines().into_iter().find(|line| line.contains(" main     up "));
    assert!(row.as_ref().is_some_and(|row| row.contains(" localhost:80 ")), "{row:?}");
    dante.kill();
    screen.shows(" asked for ");
    screen.say("keys q");
    assert_eq!(screen.say("end"), "yes 0");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let (world, programs) = carried();
    for (end, status) in [("keys \\x03", "yes 0"), ("signal TERM", "yes 0"), ("signal HUP", "yes 0")] {
        let mut screen = Screen::of(&world, 80, 24);
        screen.shows(" 2 connections, ");
        assert_eq!(screen.say("mode"), "taken");
        screen.say(end);
        assert_eq!((screen.say("end").as_str(), screen.say("mode").as_str()), (status, "as it was"), "{end}");
    }
    // Stopped, it is the shell's; and then its own again.
    let mut screen = Screen::of(&world, 80, 24);
    for stop in ["keys \\x1a", "signal TSTP"] {
        screen.shows(" 2 connections, ");
        screen.say(stop);
        assert_eq!(
            (screen.say("stopped").as_str(), screen.say("mode").as_str()),
            ("yes", "as it was"),
            "{stop}"
        );
        screen.say("signal CONT");
        screen.shows(" q quit");
        assert_eq!(screen.say("mode"), "taken", "{stop}");
    }
    screen.say("keys q");
    assert_eq!(screen.say("end"), "yes 0");
    drop(programs);
}

#[test]
fn without_a_terminal_or_an_agent_it_says_so() {
    let world = World::new();
    let done = ask(&world, &["top"]).run();
    assert_eq!((done.code(), &*done.stdout), (125, ""), "{done}");
    let why = "underpass-agent: standard input is not a terminal\nhint: underpass-agent status prints the same once\n";
    assert_eq!(done.stderr, why);
    let mut screen = Screen::of(&world, 80, 24);
    screen.shows("underpass-agent: no agent is running");
    assert_eq!((screen.say("end"), screen.say("mode")), ("yes 1".to_owned(), "as it was".to_owned()));
}

#[test]
fn what_takes_longer_than_a_second_is_said_on_a_terminal() {
    let (world, programs) = carried();
    let [agent] = world.agents()[..] else { panic!("{:?}", world.agents()) };
    for (program, words, answer) in [
        (artifacts::agent(), &["status"][..], "CHAIN"),
        (artifacts::agent(), &["reload"], "sessions changed"),
        (artifacts::underpass(), &["-x", "socks5h://192.0.2.1:1080", "echo", "is carried"], "is carried"),
    ] {
        assert!(world.signal(agent, Signal::STOP));
        let mut screen = Screen::with(&world, 80, 24, program, words);
        screen.shows("waiting for the agent");
        assert!(world.signal(agent, Signal::CONT));
        screen.shows(answer);
        screen.hides("waiting for the agent");
        assert_eq!(screen.say("end"), "yes 0", "{words:?}");
    }
    // And nowhere else.
    assert!(world.signal(agent, Signal::STOP));
    let asked = ask(&world, &["status"]).spawn();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(world.signal(agent, Signal::CONT));
    let done = asked.wait();
    assert_eq!((done.code(), &*done.stderr), (0, ""), "{done}");
    drop(programs);
}
