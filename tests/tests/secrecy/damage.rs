//! One bit is changed on the way between the client and a relay, or between two relays: the program gets an error,
//! never other bytes, never an end before the end; and the relay serves the next.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use underpass_tests::servers::{self, port};
use underpass_tests::{PATIENCE, Running, World, artifacts, proxies};

use crate::relays;

const BOX: u16 = 4440;

/// What is said and comes back.
const LENGTH: usize = 48 << 10;

struct Damaged {
    // Before the world: they end first.
    middle: Running,
    program: Running,
    relays: Vec<Running>,
    world: World,
}

impl Damaged {
    /// One relay behind a box, or two with the box between them.
    fn new(count: usize) -> Self {
        let world = World::new();
        servers::start(&world);
        let client = proxies::key(&world, "client");
        let mut urls = Vec::new();
        let mut relays = Vec::new();
        for (name, port) in ["one", "two"].into_iter().zip(4431..).take(count) {
            let own = proxies::key(&world, name);
            relays::configuration(&world, name, port, &own, &client);
            relays.push(relays::start(&world, world.far("sh"), name));
            world.wait_listening(port);
            let is_last = relays.len() == count;
            let host = if relays.len() == 1 { "10.77.0.1" } else { "web.test" };
            urls.push(relays::url(host, if is_last { BOX } else { port }, &own, &client));
        }
        world.allow_proxy(if count == 1 { BOX } else { 4431 });
        let target = format!("127.0.0.1:{}", 4430 + count);
        let middle = world.far(artifacts::helper("bit-flipper")).arg(BOX.to_string()).arg(target);
        let mut middle = middle.limit(Duration::MAX).spawn();
        assert_eq!(middle.next_line(), "ready");
        let script = artifacts::workspace().join("tests/programs/damaged.py");
        let urls = urls.iter().flat_map(|url| ["-x", url]);
        let program = world.client(artifacts::underpass()).args(urls).args(["--", "python3"]).arg(script);
        let program = program.args(["web.test", &port::ECHO.to_string()]).limit(Duration::MAX).spawn();
        Self { middle, program, relays, world }
    }

    /// What comes of saying so many bytes under this order, and what the box has counted.
    fn attempt(&mut self, order: &str, length: usize) -> (String, [u64; 4]) {
        self.middle.say(order);
        assert_eq!(self.middle.next_line(), "ok");
        self.program.say(&length.to_string());
        let outcome = self.program.next_line();
        self.middle.say("count");
        let counts: Vec<u64> =
            self.middle.next_line().split(' ').map(|n| n.parse().expect("a number")).collect();
        (outcome, counts.try_into().expect("four of them"))
    }

    #[track_caller]
    fn is_well(&mut self) -> [u64; 4] {
        let (outcome, counts) = self.attempt("none", LENGTH);
        assert_eq!((&*outcome, counts[2]), ("right", 0));
        counts
    }

    /// So many offsets in each direction, half of them in the first 4 KiB, where hands are shaken.
    fn at_offsets(&mut self, count: u64) {
        let processes: Vec<u32> = self.relays.iter().map(Running::pid).collect();
        let [forth, back, ..] = self.is_well();
        let mut outcomes = BTreeMap::new();
        for (way, length) in [("forth", forth), ("back", back)] {
            // What follows is there to complete a record whose length was changed.
            let needed = length.min(LENGTH as u64);
            let early = (0..count / 2).map(|number| number * 4096 / (count / 2));
            let late = (0..count / 2).map(|number| 4096 + number * (needed - 4096) / (count / 2));
            for (number, offset) in early.chain(late).enumerate() {
                let order = format!("{way} {offset} {}", number % 8);
                let (outcome, [_, _, changed, ignored]) = self.attempt(&order, 2 * LENGTH);
                assert!(changed > 0, "{order}: nothing was changed: {outcome}");
                // A session that nothing happens to is made anew: one of those that were changed may have served.
                let is_error = outcome.starts_with("cut: ECONN") || outcome.starts_with("no connection: E");
                assert!(
                    is_error || ignored > 0 && outcome == "right",
                    "{order}: {outcome}, {ignored} of {changed} changes are nothing to TLS"
                );
                *outcomes.entry(outcome).or_insert(0) += 1;
            }
            self.is_well();
        }
        // And no destination has been told of an end but of those that went well, three of them undamaged.
        let well = 3 + outcomes.get("right").unwrap_or(&0);
        let record = if self.relays.len() == 1 { "one" } else { "two" };
        let ends = || relays::written(&self.world, record, "audit").matches(r#""reason":"closed""#).count();
        let limit = Instant::now() + PATIENCE;
        while ends() < well && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(ends(), well, "{outcomes:?}");
        // Both have been seen, so that the offsets are where they were meant to be.
        assert!(outcomes.len() >= 2, "{outcomes:?}");
        assert_eq!(self.relays.iter().map(Running::pid).collect::<Vec<_>>(), processes);
        assert_eq!(self.world.leaks(), 0, "{:?}", self.world.leaked());
    }
}

#[test]
fn before_the_relay() {
    Damaged::new(1).at_offsets(1000);
}

#[test]
fn between_relays() {
    Damaged::new(2).at_offsets(100);
}
