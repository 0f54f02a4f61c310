//! One way out under one tier: its packets are counted at the dead end.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::proxies::Real;
use underpass_tests::{Finished, World, proxies, servers};

use crate::cases::Case;
use crate::place;
use crate::tiers::Tier;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A packet came by another way than the proxy.
    Leaks,
    /// None, and what the program wanted was had.
    Carried,
    /// None, and it was not.
    Held,
    /// There is no such way here.
    Nowhere,
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Leaks => "**leaks**",
            Self::Carried => "carried",
            Self::Held => "held",
            Self::Nowhere => "",
        }
    }
}

/// Nothing takes longer, but on a machine that is very slow.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a packet that was sent may be on its way to the counter.
const ON_THE_WAY: Duration = Duration::from_millis(100);
/// How often the counter is looked at while the program runs, which takes two processes.
const NOW_AND_THEN: Duration = Duration::from_millis(200);
/// Of the program, where the kernel or the user has no such way.
const CANNOT: i32 = 77;

/// A case in a world of its own.
pub(crate) struct Trial<'a> {
    case: &'a Case,
    world: World,
    proxy: Real,
    /// What belongs to the world, and not to a program that was tried.
    own: Vec<u32>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(case: &'a Case) -> Self {
        let world = World::new();
        servers::start(&world);
        let proxy = proxies::dante(&world);
        if let Some(prepare) = case.prepare {
            prepare(&world);
        }
        let own = world.processes();
        Self { case, world, proxy, own }
    }

    /// Tries it, and says what the program said.
    pub(crate) fn under(&self, tier: Tier) -> (Outcome, Finished) {
        let before = self.world.leaks();
        let leaked = || self.world.leaks() > before;
        let wrapper = tier.wrapper(&self.world, self.proxy.port());
        let words = place::words(&self.world, self.case.line, &wrapper);
        let mut program = self.world.client(&words[0]).args(&words[1..]).limit(LIMIT).spawn();
        if let Some(during) = self.case.during {
            during(&self.world, &mut program, tier);
        }
        let limit = Instant::now() + LIMIT;
        let mut looked = Instant::now();
        // What it leaves behind has a limit of its own.
        while Instant::now() < limit && (!program.has_ended() || !self.left_behind().is_empty()) {
            std::thread::sleep(Duration::from_millis(10));
            if looked.elapsed() > NOW_AND_THEN {
                if leaked() {
                    break;
                }
                looked = Instant::now();
            }
        }
        let done = program.end();
        self.clear();
        std::thread::sleep(ON_THE_WAY);
        let had = ["through", "found"].iter().any(|word| done.stdout.lines().any(|line| line == *word))
            || ["[200]", "ANSWER: 1,"].iter().any(|text| done.stdout.contains(text));
        let outcome = match (leaked(), had) {
            (true, _) => Outcome::Leaks,
            (false, true) => Outcome::Carried,
            (false, false) if tier == Tier::Control && done.code() == CANNOT => Outcome::Nowhere,
            (false, false) => Outcome::Held,
        };
        (outcome, done)
    }

    /// Processes of what was tried that have not ended. The proxy has processes as it needs them, and the agent stays.
    fn left_behind(&self) -> Vec<u32> {
        let agents = self.world.agents();
        let is_proxy = |pid: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "danted\n")
        };
        let mut left = self.world.processes();
        left.retain(|pid| !self.own.contains(pid) && !agents.contains(pid) && !is_proxy(pid));
        left
    }

    fn clear(&self) {
        let limit = Instant::now() + LIMIT;
        loop {
            let left = self.left_behind();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < limit, "{left:?} do not end");
            for pid in left {
                self.world.signal(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
