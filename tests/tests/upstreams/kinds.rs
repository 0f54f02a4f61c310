//! Each kind of chain while its hops are killed and revived, one after the other, and 200 connections
//! or more are made: no `connect()` fails that could have been served, and no stream breaks but those that went
//! through a hop when it was killed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use underpass_tests::proxies::script::{self, Protocol, Step};
use underpass_tests::proxies::{self, Real};
use underpass_tests::servers::port;
use underpass_tests::{Finished, PATIENCE, artifacts};

use crate::place::{self, MODES, NAME, Place};

const FIRST_PORT: u16 = 2001;
const PORTS: [u16; 4] = [FIRST_PORT, FIRST_PORT + 1, FIRST_PORT + 2, FIRST_PORT + 3];
const CONNECTIONS: usize = 200;
const SECONDS: f64 = 3.0;
/// So many hops die, one after the other.
const DEATHS: usize = 10;
/// How long a hop stays dead, and all of them stay alive, which is longer where it takes long to revive one.
const DEAD: Duration = Duration::from_millis(120);
const ALIVE: Duration = Duration::from_millis(180);
/// A connection that begins when a hop is just back, or ends when it just dies, may meet it dead: the
/// times are taken by two processes.
const SLACK: f64 = 0.02;

/// Two microsocks, a tinyproxy, and another microsocks.
fn hops(place: &Place) -> Vec<(Real, String)> {
    let start = |port: u16| {
        let (real, scheme) = if port == FIRST_PORT + 2 {
            (proxies::tinyproxy(&place.world, port, None, &PORTS), "http")
        } else {
            (proxies::microsocks_at(&place.world, port, None), "socks5h")
        };
        let url = real.url_as(scheme);
        (real.allowed(&place.world), url)
    };
    PORTS.map(start).into()
}

fn configuration(kind: &str, length: Option<usize>, hops: &[(Real, String)]) -> String {
    let hops: Vec<String> = hops.iter().map(|(_, url)| format!("\"{url}\"")).collect();
    let length = length.map_or(String::new(), |length| format!("length = {length}\n"));
    format!(
        "deadline = 30\ndefault = \"main\"\n[chain.main]\nkind = \"{kind}\"\n{length}hops = [{}]\n",
        hops.join(", ")
    )
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs_f64()
}

/// When a hop was killed, from the order to its end, and when it was back.
type Death = (f64, f64, f64);

/// What `programs/steady.py` says, and when a hop was dead meanwhile.
fn while_hops_die(place: &Place, text: &str, hops: &[(Real, String)]) -> (Finished, Vec<Death>) {
    let script = artifacts::workspace().join("tests/programs/steady.py").display().to_string();
    let arguments =
        [script, NAME.into(), port::GREETER.to_string(), CONNECTIONS.to_string(), SECONDS.to_string()];
    let mut running = place.configured("kind.toml", text, "python3").args(arguments).spawn();
    assert_eq!(running.next_line(), "begins");
    let mut deaths = Vec::new();
    std::thread::sleep(ALIVE);
    for (hop, _) in hops.iter().cycle().take(DEATHS) {
        let (start, began) = (now(), Instant::now());
        hop.kill();
        let killed = now();
        std::thread::sleep(DEAD);
        hop.revive(&place.world);
        deaths.push((start, killed, now()));
        std::thread::sleep(ALIVE.max(began.elapsed()));
    }
    running.close_input();
    (running.wait(), deaths)
}

/// What is not as it should be. `needs_all` is for chains in which no hop can be done without.
fn judge(done: &Finished, deaths: &[Death], needs_all: bool) -> Vec<String> {
    let mut served = 0;
    let mut wrong = Vec::new();
    let mut lines = 0;
    for line in done.stdout.lines().skip(1) {
        lines += 1;
        let (start, rest) = line.split_once(' ').expect("three words");
        let (end, what) = rest.split_once(' ').expect("three words");
        let (start, end): (f64, f64) = (start.parse().expect("a time"), end.parse().expect("a time"));
        let overlaps = |(from, _, to): &Death| start <= to + SLACK && end >= from - SLACK;
        let met_a_kill = |(from, killed, _): &Death| start <= killed + SLACK && end >= from - SLACK;
        let excused = match what {
            "greeted" => {
                served += 1;
                continue;
            }
            "connect ENETUNREACH" | "connect ECONNRESET" => needs_all && deaths.iter().any(overlaps),
            _ if what.starts_with("connect") => false,
            _ => deaths.iter().any(met_a_kill),
        };
        if !excused {
            wrong.push(line.to_owned());
        }
    }
    if lines < CONNECTIONS || served < lines / 3 {
        wrong.push(format!("{served} of {lines} served"));
    }
    wrong
}

#[track_caller]
fn survives(kind: &str, length: Option<usize>, needs_all: bool) {
    let place = Place::new();
    let hops = hops(&place);
    let text = configuration(kind, length, &hops);
    let (done, deaths) = while_hops_die(&place, &text, &hops);
    let wrong = judge(&done, &deaths, needs_all);
    assert!(wrong.is_empty(), "{kind}: {wrong:#?}\ndeaths {deaths:?}\n{done}");
}

#[test]
fn strict_fails_only_while_a_hop_is_dead() {
    survives("strict", None, true);
}

#[test]
fn dynamic_goes_on_without_the_dead() {
    survives("dynamic", None, false);
}

#[test]
fn random_draws_among_the_living() {
    survives("random", Some(2), false);
}

#[test]
fn round_robin_passes_over_the_dead() {
    survives("round-robin", Some(2), false);
}

#[test]
fn nearest_takes_the_next_nearest() {
    survives("nearest", None, false);
}

#[test]
fn failover_takes_the_next_in_order() {
    survives("failover", None, false);
}

const KINDS: [(&str, Option<usize>); 6] = [
    ("strict", None),
    ("dynamic", None),
    ("random", Some(2)),
    ("round-robin", Some(2)),
    ("nearest", None),
    ("failover", None),
];

#[test]
fn no_kind_goes_anywhere_else_when_all_hops_are_dead() {
    let place = Place::new();
    let hops = hops(&place);
    hops.iter().for_each(|(hop, _)| hop.kill());
    let target = place::greeter();
    for (kind, length) in KINDS {
        for mode in MODES {
            let text = configuration(kind, length, &hops);
            let arguments = place::visit(mode, [target.as_str(); 2]);
            let done = place.configured("kind.toml", &text, "python3").args(arguments).run();
            assert_eq!(done.stdout, "ENETUNREACH\nENETUNREACH\n", "{kind}, {mode}\n{done}");
        }
    }
}

/// Hops that take the connection and then fail while it is made, each in its way, before one that is well.
#[test]
fn a_hop_that_fails_while_it_is_dialled_is_answered_by_the_next_within_the_deadline() {
    let place = Place::new();
    let scripted = script::start(&place.world);
    let faults = [
        ("silent", vec![Step::Hold]),
        ("closes", vec![]),
        ("resets", vec![Step::Reset]),
        ("garbage", vec![Step::Greeting, Step::Send(b"HTTP/1.0 400 no\r\n\r\n".to_vec()), Step::Hold]),
        ("no method", vec![Step::Greeting, Step::Send(vec![5, 0xff])]),
        ("closes after the method", vec![Step::Greeting, Step::Send(vec![5, 0])]),
    ];
    let good = proxies::microsocks(&place.world, None);
    let target = place::greeter();
    let ways = [
        ("failover", "blocking"),
        ("failover", "nonblocking"),
        ("dynamic", "blocking"),
        ("dynamic", "nonblocking"),
    ];
    let one = |number: usize| {
        let (name, steps) = &faults[number / ways.len()];
        let (kind, mode) = ways[number % ways.len()];
        // A port that no other case has taught the agent to avoid.
        let port = 3000 + u16::try_from(number).expect("few cases");
        scripted.listen(port, Protocol::Socks5, steps);
        place.world.allow_proxy(port);
        let text = format!(
            "deadline = 10\n[chain.main]\nkind = \"{kind}\"\nhops = [\"socks5h://10.77.0.1:{port}\", \"{}\"]\n",
            good.url()
        );
        let arguments = place::visit(mode, [target.as_str(); 2]);
        let done = place.configured(&format!("{port}.toml"), &text, "python3").args(arguments).run();
        // The second of them may have to wait for the hop again, but not as long.
        let well = done.stdout == "greeted\n".repeat(2) && done.elapsed < PATIENCE;
        if well { String::new() } else { format!("- {name}, {kind}, {mode}\n{done}\n") }
    };
    let report: String = std::thread::scope(|scope| {
        let one = &one;
        let cases: Vec<_> =
            (0..faults.len() * ways.len()).map(|number| scope.spawn(move || one(number))).collect();
        cases.into_iter().map(|case| case.join().expect("it ends")).collect()
    });
    assert!(report.is_empty(), "{report}");
}

/// Makes so many connections in turn, and says how many of them each hop made to the destination.
fn spread(place: &Place, text: &str, hops: &[(Real, String)], times: usize) -> Vec<usize> {
    let count = || hops.iter().map(|(hop, _)| hop.served(NAME, port::GREETER)).collect::<Vec<_>>();
    let before = count();
    let target = place::greeter();
    let arguments = place::visit("blocking", std::iter::repeat_n(target.as_str(), times));
    let done = place.configured("kind.toml", text, "python3").args(arguments).run();
    assert_eq!(done.stdout, "greeted\n".repeat(times), "{done}");
    // Each has its line in the log of the hop that has made it, some time after that.
    let limit = Instant::now() + PATIENCE;
    loop {
        let spread: Vec<_> = count().iter().zip(&before).map(|(now, before)| now - before).collect();
        if spread.iter().sum::<usize>() >= times || Instant::now() > limit {
            return spread;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn each_kind_spreads_connections_as_it_says() {
    const TIMES: usize = 24;
    let place = Place::new();
    let hops = hops(&place);
    let spread = |kind, length| spread(&place, &configuration(kind, length, &hops), &hops, TIMES);

    assert_eq!(spread("strict", None), [0, 0, 0, TIMES]);
    assert_eq!(spread("dynamic", None), [0, 0, 0, TIMES]);
    assert_eq!(spread("failover", None), [TIMES, 0, 0, 0]);
    assert_eq!(spread("round-robin", Some(1)), [TIMES / 4; 4]);
    let random = spread("random", Some(1));
    assert!(
        random.iter().sum::<usize>() == TIMES && random.iter().filter(|n| **n > 0).count() > 1,
        "{random:?}"
    );
    let nearest = spread("nearest", None);
    assert_eq!(nearest.iter().sum::<usize>(), TIMES, "{nearest:?}");

    hops[3].0.kill();
    assert_eq!(spread("dynamic", None), [0, 0, TIMES, 0]);
    hops[0].0.kill();
    assert_eq!(spread("failover", None), [0, TIMES, 0, 0]);
    hops[0].0.revive(&place.world);
    hops[3].0.revive(&place.world);
}

/// A hop whose connections are all relayed, as the program's socket cannot reach it by itself, has its turn as the
/// others have.
#[test]
fn each_hop_has_its_turn_however_it_is_reached() {
    const TIMES: usize = 24;
    let place = Place::new();
    let mut hops = hops(&place);
    let [.., (_, last)] = &mut hops[..] else { panic!("there are four") };
    *last = last.replace("10.77.0.1", "[fd77::1]");
    assert_eq!(spread(&place, &configuration("round-robin", Some(1), &hops), &hops, TIMES), [TIMES / 4; 4]);
}

/// Where no socket can be held the program's own goes along one path after the other, and along none twice.
#[test]
fn a_socket_that_cannot_be_held_tries_each_path_once() {
    let place = Place::new();
    let hops = hops(&place);
    hops.iter().for_each(|(hop, _)| hop.kill());
    // What completes a held socket is dropped.
    let rules = "
        counter tried {
        }
        chain in {
            type filter hook input priority 0
            iif lo ip ttl 255 tcp flags syn drop
        }
        chain out {
            type filter hook output priority 0
            tcp dport 2001-2004 tcp flags & (syn | ack) == syn counter name tried
        }";
    place.world.client("nft").arg(format!("table inet unheld {{{rules}\n}}")).run().success();
    let text = configuration("failover", None, &hops);
    let arguments = place::visit("blocking", [place::greeter().as_str()]);
    let done = place.configured("kind.toml", &text, "python3").args(arguments).run();
    assert_eq!(done.stdout, "ENETUNREACH\n", "{done}");
    let tried =
        place.world.client("nft").args(["list", "counter", "inet", "unheld", "tried"]).run().success();
    assert!(tried.contains("packets 4 "), "{tried}");
}

/// A hop is tried again after a while, which nobody waits for longer than this.
#[test]
fn failover_returns_to_a_hop_that_is_back() {
    let place = Place::new();
    let hops = hops(&place);
    let text = configuration("failover", None, &hops);
    hops[0].0.kill();
    assert_eq!(spread(&place, &text, &hops, 4), [0, 4, 0, 0]);
    hops[0].0.revive(&place.world);
    let limit = Instant::now() + PATIENCE;
    while spread(&place, &text, &hops, 1) != [1, 0, 0, 0] {
        assert!(Instant::now() < limit, "it never returns");
        std::thread::sleep(Duration::from_millis(250));
    }
}
