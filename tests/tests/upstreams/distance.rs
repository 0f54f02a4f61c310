//! A chain of kind `nearest` whose hops are truly near and far: `programs/distance.py` delays what goes to
//! some of them. What each proxy wrote down says which one was used.

use std::time::{Duration, Instant};

use underpass_tests::proxies::{self, Real, datagrams};
use underpass_tests::servers::port;
use underpass_tests::{PATIENCE, Running, artifacts};

use crate::place::{self, MODES, NAME, Place};

const PORTS: [u16; 3] = [2001, 2002, 2003];
/// Round trips are measured anew some seconds after they were measured last.
const LIMIT: Duration = Duration::from_secs(120);

struct Distances(Running);

impl Distances {
    fn start(place: &Place) -> Self {
        let script = artifacts::workspace().join("tests/programs/distance.py");
        let mut running = place.world.far("python3").arg(script).limit(Duration::MAX).spawn();
        assert_eq!(running.next_line(), "ready");
        Self(running)
    }

    /// From now on these are far, and all others near.
    fn far(&mut self, ports: &[u16]) {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        self.0.say(&ports.join(" "));
        assert_eq!(self.0.next_line(), "ok");
    }
}

fn microsocks(place: &Place) -> [Real; 3] {
    PORTS.map(|port| proxies::microsocks_at(&place.world, port, None).allowed(&place.world))
}

fn configuration(hops: &[Real], handoff: &str) -> String {
    let hops: Vec<String> = hops.iter().map(|hop| format!("\"{}\"", hop.url())).collect();
    format!("handoff = \"{handoff}\"\n[chain.main]\nkind = \"nearest\"\nhops = [{}]\n", hops.join(", "))
}

/// Which hop makes each of so many connections in turn: how many each.
fn spread(place: &Place, hops: &[Real], text: &str, mode: &str, times: usize) -> Vec<usize> {
    let count = || hops.iter().map(|hop| hop.served(NAME, port::GREETER)).collect::<Vec<_>>();
    let before = count();
    let target = place::greeter();
    let arguments = place::visit(mode, std::iter::repeat_n(target.as_str(), times));
    let done = place.configured("nearest.toml", text, "python3").args(arguments).run();
    assert_eq!(done.stdout, "greeted\n".repeat(times), "{done}");
    let limit = Instant::now() + PATIENCE;
    loop {
        let spread: Vec<usize> = count().iter().zip(&before).map(|(now, before)| now - before).collect();
        if spread.iter().sum::<usize>() >= times || Instant::now() > limit {
            return spread;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn follows(modes: &[&str], handoff: &str) {
    let place = Place::new();
    let hops = microsocks(&place);
    let mut distances = Distances::start(&place);
    distances.far(&[PORTS[0], PORTS[2]]);
    let text = configuration(&hops, handoff);
    let spread = |mode: &str, times| spread(&place, &hops, &text, mode, times);
    for mode in modes {
        assert_eq!(spread(mode, 6), [0, 6, 0], "{mode}");
    }
    // The last of them becomes the near one, and the one that was near becomes far.
    distances.far(&PORTS[..2]);
    let limit = Instant::now() + LIMIT;
    let mut mode = modes.iter().cycle();
    while spread(mode.next().expect("it goes round"), 1) != [0, 0, 1] {
        assert!(Instant::now() < limit, "the near one is never found");
        std::thread::sleep(Duration::from_millis(200));
    }
    for mode in modes {
        assert_eq!(spread(mode, 6), [0, 0, 6], "{mode}");
    }
}

#[test]
fn nearest_is_the_near_one_and_follows_it() {
    follows(&MODES, "auto");
}

/// No connection of the agent's own tells it of the hops that it does not use.
#[test]
fn nearest_is_the_near_one_for_sockets_that_are_handed_off_wherever_it_can_be() {
    follows(&MODES[..1], "always");
}

/// A near hop that dies is followed by the next nearest, and a far one is used while it alone lives.
#[test]
fn the_next_nearest_takes_over() {
    let place = Place::new();
    let hops = microsocks(&place);
    let mut distances = Distances::start(&place);
    distances.far(&PORTS[..1]);
    let text = configuration(&hops, "auto");
    let spread = |times| spread(&place, &hops, &text, "nonblocking", times);
    let near = spread(6);
    assert_eq!((near[0], near[1] + near[2]), (0, 6), "{near:?}");
    hops[1].kill();
    assert_eq!(spread(4), [0, 0, 4]);
    hops[2].kill();
    assert_eq!(spread(2), [2, 0, 0]);
}

/// What listens for datagrams is chosen as what carries connections is, though there was no connection before.
#[test]
fn datagrams_go_by_the_nearest_too() {
    let place = Place::new();
    let hops = [PORTS[0], PORTS[1]].map(|port| datagrams::start(&place.world, port));
    let mut distances = Distances::start(&place);
    distances.far(&PORTS[..1]);
    let urls = hops.each_ref().map(|hop| hop.url());
    let text = format!("[chain.main]\nkind = 'nearest'\nhops = {urls:?}\n");
    let script =
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('10.99.0.1', 7007)); input()";
    let mut program = place.configured("nearest.toml", &text, "python3").args(["-c", script]).spawn();
    let limit = Instant::now() + PATIENCE;
    while hops[1].datagrams().is_empty() {
        assert!(Instant::now() < limit, "nothing came");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(hops.each_ref().map(|hop| hop.associations()), [0, 1]);
    program.say("");
}
