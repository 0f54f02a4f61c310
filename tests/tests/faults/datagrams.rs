//! Datagrams, when what carries them ends in the middle.

use underpass_tests::proxies::{self, Real};
use underpass_tests::servers;
use underpass_tests::{Running, World};

use crate::agent_killed::kill_agent;

/// Sends a word and says what came back; for each line of its input once more.
const PROGRAM: &str = r#"
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
if "connected" in sys.argv:
    s.connect(("10.99.0.1", 7007))
def again(word):
    s.send(word) if "connected" in sys.argv else s.sendto(word, ("10.99.0.1", 7007))
    return s.recv(100)
for line in sys.stdin:
    word, tries = line.strip().encode(), 0
    while True:
        tries += 1
        try:
            if again(word) == word:
                break
        except OSError as error:
            last = error
            time.sleep(0.4)
        if tries == 60:
            sys.exit(f"{last}")
    print(word.decode(), flush=True)
"#;

fn world() -> (World, Real) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::dante(&world);
    (world, proxy)
}

fn start(world: &World, proxy: &Real, how: &str) -> Running {
    world.wrapped(proxy.url(), "python3").args(["-c", PROGRAM, how]).spawn()
}

#[track_caller]
fn echoes(program: &mut Running, word: &str) {
    program.say(word);
    assert_eq!(program.next_line(), word);
}

/// A program that goes on to send has the next agent's answers, once there is one.
#[test]
fn the_agent_is_killed_and_another_one_started() {
    let (world, proxy) = world();
    let mut program = start(&world, &proxy, "unconnected");
    echoes(&mut program, "one");
    kill_agent(&world);
    world.wrapped(proxy.url(), "true").run().success();
    echoes(&mut program, "two");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// The association ends with its control connection, and the next datagram makes another; also for a
/// connected socket, which asks the agent nothing.
#[test]
fn the_proxy_is_killed_and_started_again() {
    for how in ["unconnected", "connected"] {
        let (world, proxy) = world();
        let mut program = start(&world, &proxy, how);
        echoes(&mut program, "one");
        proxy.kill();
        proxy.revive(&world);
        echoes(&mut program, "two");
        assert_eq!(world.leaks(), 0, "{how}: {:?}", world.leaked());
    }
}

/// While there is no agent nothing leaves.
#[test]
fn without_an_agent_datagrams_are_refused() {
    let (world, proxy) = world();
    let script = r#"
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.sendto(b"x", ("10.99.0.1", 7007))
print(s.recv(9).decode(), flush=True)
sys.stdin.readline()
for address in (("10.99.0.1", 7009), ("10.99.0.1", 53), ("127.0.0.1", 53)):
    try:
        s.sendto(b"x", address)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"#;
    let mut program = world.wrapped(proxy.url(), "python3").args(["-c", script]).spawn();
    assert_eq!(program.next_line(), "x");
    kill_agent(&world);
    program.say("go on");
    for _ in 0..3 {
        assert_eq!(program.next_line(), "ENETUNREACH");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
