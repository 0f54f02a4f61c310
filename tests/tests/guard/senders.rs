//! Routes by program, of datagrams: who sends them, when whoever has made the socket has ended or runs something else.

use underpass_tests::proxies::datagrams;
use underpass_tests::{Command, World, artifacts, wait};

use crate::TIER;

/// A world in which a copy of the program goes to a proxy, by its name, and all else is direct.
fn place() -> (World, datagrams::Relay) {
    let world = World::new();
    for name in ["sender", "stranger"] {
        let copied = std::fs::copy(artifacts::program("sends"), world.directory().join(name));
        copied.expect("the directory is ours");
    }
    let relay = datagrams::start(&world, 1085);
    let chain = format!("[chain.main]\nhops = '{}'\n", relay.url());
    let text = format!("default = 'direct'\n{chain}[[route]]\nprogram = 'sender'\nto = 'main'\n");
    std::fs::write(world.directory().join("routes.toml"), text).expect("the directory is ours");
    (world, relay)
}

fn line(world: &World, program: &str, what: &str) -> Command {
    let options = ["-f", "routes.toml", "--tier", TIER, "--"];
    let other = if what == "hands" { "./sender" } else { "./stranger" };
    let line = [program, what, "10.99.0.1", "7007", other];
    world.client(artifacts::underpass()).args(options).args(line)
}

/// What left by another way was counted, and lost.
#[test]
fn datagrams_are_of_whoever_sends_them_when_the_maker_of_their_socket_is_gone() {
    let (world, relay) = place();
    let sent = |program, what| line(&world, program, what).run().success();
    let mut ways = Vec::new();
    for (what, program) in
        [("alone", "./sender"), ("daemon", "./sender"), ("thread", "./sender"), ("by", "./stranger")]
    {
        let before = world.leaks();
        sent(program, if what == "by" { "hands" } else { what });
        let comes = format!("10.99.0.1:7007 {what}");
        wait("a datagram", || relay.datagrams().contains(&comes) || world.leaks() > before);
        ways.push((what, world.leaks() - before));
    }
    assert_eq!(ways, [("alone", 0), ("daemon", 0), ("thread", 0), ("by", 0)], "{:?}", world.leaked());
    // So much is seen of one that is direct.
    sent("./stranger", "daemon");
    wait("a datagram", || world.leaks() == 1);
    assert_eq!(world.leaked(), ["10.99.0.1 . udp . 7007"]);
    assert_eq!(relay.datagrams().len(), ways.len());
}

#[test]
fn a_socket_is_known_however_many_are_made_after_it() {
    let (world, relay) = place();
    for (sent, what) in (1..).zip(["long", "past"]) {
        line(&world, "./sender", what).run().success();
        wait("a datagram", || relay.datagrams().len() + world.leaks() as usize >= sent);
    }
    let ways = ["10.99.0.1:7007 long", "10.99.0.1:7007 past"].map(str::to_owned);
    assert_eq!((world.leaks(), relay.datagrams()), (0, ways.to_vec()));
}
