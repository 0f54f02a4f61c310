//! A chain in which each machine has cables to its neighbours, and nothing else.

use std::ffi::OsStr;

use underpass_tests::machines::{End, Machine};
use underpass_tests::proxies::{self, Key};
use underpass_tests::servers::port;
use underpass_tests::{Command, Running, World, artifacts};

use crate::relays;

/// The destination's name, which the exit alone can resolve.
pub(crate) const NAME: &str = "hidden-destination.test";
/// What is said to it.
pub(crate) const WORD: &str = "a-word-that-nobody-else-says-4b1d";

/// client, relay 1 to N, destination; the cable behind relay `i` is number `i`, that of the client number 0.
pub(crate) struct Line {
    // Before the world: what runs on machines ends first.
    pub(crate) relays: Vec<Running>,
    servers: Running,
    machines: Vec<Machine>,
    urls: Vec<String>,
    pub(crate) world: World,
}

/// What a relay is called.
pub(crate) fn name(number: usize) -> String {
    format!("relay-{number}.test")
}

impl Line {
    /// So many relays. The client shows a key of its own to each.
    pub(crate) fn new(length: usize) -> Self {
        let world = World::new();
        let address = |number: usize| format!("10.88.{number}.2");
        // Each knows the next one, by its name.
        let neighbour = |number: usize| {
            format!("{} {}\n", address(number), if number == length { NAME.into() } else { name(number + 1) })
        };
        let mut machines: Vec<Machine> = (1..=length)
            .map(|number| world.machine(&format!("machine-{number}"), &neighbour(number)))
            .collect();
        machines.push(world.machine("machine-destination", ""));
        for (number, machine) in machines.iter().enumerate() {
            let left = number.checked_sub(1).map_or(End::Client, |before| End::Machine(&machines[before]));
            world.cable(u8::try_from(number).expect("lines are short"), &left, machine);
        }
        let keys: Vec<(Key, Key)> = (1..=length)
            .map(|n| (proxies::key(&world, &name(n)), proxies::key(&world, &format!("client-{n}"))))
            .collect();
        let mut relays = Vec::new();
        let mut urls = Vec::new();
        for (number, ((own, client), machine)) in (1..).zip(keys.iter().zip(&machines)) {
            relays::configuration(&world, &name(number), port_of(number), own, client);
            relays.push(relays::start(&world, world.on(machine, "sh"), &name(number)));
            machine.wait_listening(port_of(number));
            let host = if number == 1 { address(0) } else { name(number) };
            urls.push(relays::url(&host, port_of(number), own, client));
        }
        let servers = world.on(&machines[length], artifacts::helper("far-server"));
        let mut servers = servers.limit(std::time::Duration::MAX).spawn();
        assert_eq!(servers.next_line(), "ready");
        Self { relays, servers, machines, urls, world }
    }

    /// How many relays there are.
    pub(crate) fn length(&self) -> usize {
        self.relays.len()
    }

    /// The destination's address.
    pub(crate) fn destination(&self) -> [u8; 4] {
        let number = u8::try_from(self.length()).expect("lines are short");
        [10, 88, number, 2]
    }

    /// Something on the machine at the left of this cable.
    pub(crate) fn left_of(&self, cable: usize, program: &str) -> Command {
        match cable.checked_sub(1) {
            None => self.world.client(program),
            Some(machine) => self.world.on(&self.machines[machine], program),
        }
    }

    /// Something on the destination's machine.
    pub(crate) fn at_destination(&self, program: &str) -> Command {
        self.world.on(&self.machines[self.length()], program)
    }

    /// A program on the client side through all relays.
    pub(crate) fn through(&self, program: impl AsRef<OsStr>) -> Command {
        let urls = self.urls.iter().flat_map(|url| ["-x", url]);
        self.world.client(artifacts::underpass()).args(urls).arg("--").arg(program)
    }

    /// A program that has said [`WORD`] to the destination, and keeps its connection until it is told to go on.
    pub(crate) fn carries(&self) -> Running {
        let script = artifacts::workspace().join("tests/programs/carry.py");
        let python = self.through("python3").arg(script);
        let mut program = python.args([NAME, &port::GREETER.to_string(), WORD]).spawn();
        assert_eq!(program.next_line(), "carried");
        program
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.relays));
        if !std::thread::panicking() {
            assert!(self.servers.try_complaint().is_none(), "the destination has trouble");
            assert_eq!(self.world.leaks(), 0, "{:?}", self.world.leaked());
        }
    }
}

/// Where a relay listens.
pub(crate) fn port_of(number: usize) -> u16 {
    4430 + u16::try_from(number).expect("lines are short")
}
