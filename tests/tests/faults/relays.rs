//! Datagrams through a relay that is late, refuses, or sends what nobody asked for; and the bounds of what the
//! agent keeps of them.

use std::time::Duration;

use underpass_tests::proxies::datagrams::{self, Relay};
use underpass_tests::{Command, PATIENCE, World, artifacts};

use crate::{agent, descriptors, no_descriptor_is_kept, no_leaks};

/// What every program here begins with.
const BEGIN: &str = r#"
import errno, resource, socket, sys, time
FAR = ("10.50.0.1", 77)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def say(*words):
    print(*words, flush=True)
def name(error):
    return errno.errorcode.get(error.errno, str(error))
def answers(number):
    to = (f"10.50.{number // 250}.{number % 250 + 1}", 77)
    s.sendto(b"x", to)
    return s.recvfrom(9)[1] == to
"#;

fn place() -> (World, Relay) {
    let world = World::new();
    let relay = datagrams::start(&world, 1085);
    (world, relay)
}

fn python(world: &World, relay: &Relay, script: &str, arguments: &[&str]) -> Command {
    world.wrapped(relay.url(), "python3").args(["-c", &[BEGIN, script].concat()]).args(arguments)
}

/// A call that must not wait does not, and nothing of what it has sent is lost.
#[test]
fn at_once_means_before_there_is_an_association() {
    let script = r#"
if sys.argv[1] == "non-blocking":
    s.setblocking(False)
flags = 0 if sys.argv[1] == "non-blocking" else socket.MSG_DONTWAIT
for n in range(3):
    s.sendto(b"%d" % n, flags, FAR)
s.sendmsg([b"3"], [], flags, FAR)
say("sent")
s.settimeout(60)
say(*sorted(s.recvfrom(9) for _ in range(4)))
"#;
    let (world, relay) = place();
    for how in ["non-blocking", "MSG_DONTWAIT"] {
        relay.hold();
        let mut program = python(&world, &relay, script, &[how]).spawn();
        assert_eq!(program.next_line(), "sent", "{how}");
        relay.answer(0);
        let from = "('10.50.0.1', 77)";
        let all = format!("(b'0', {from}) (b'1', {from}) (b'2', {from}) (b'3', {from})");
        assert_eq!(program.next_line(), all, "{how}");
    }
    assert_eq!(relay.associations(), 2);
    no_leaks(&world);
}

/// An association that is refused after a send is told by a later one.
#[test]
fn what_is_refused_later_is_told_with_a_later_send() {
    let script = r#"
s.setblocking(False)
connected = sys.argv[1] == "connected"
if connected:
    s.connect(FAR)
def send():
    s.send(b"x") if connected else s.sendto(b"x", FAR)
send()
say("sent")
try:
    while True:
        time.sleep(0.01)
        send()
except OSError as error:
    say(name(error))
"#;
    for (how, error) in [("connected", "ECONNREFUSED"), ("unconnected", "EACCES")] {
        let (world, relay) = place();
        relay.hold();
        let mut program = python(&world, &relay, script, &[how]).spawn();
        assert_eq!(program.next_line(), "sent");
        relay.answer(2);
        assert_eq!(program.next_line(), error);
        assert_eq!(relay.associations(), 0);
        no_leaks(&world);
    }
}

/// Dante lets no such answers in; other proxies do.
#[test]
fn an_answer_from_an_address_that_was_not_asked_is_shown_as_from_there() {
    let script = r#"
s.settimeout(60)
def ask(word, to):
    s.sendto(word, to)
    return s.recvfrom(100)[1]
say(*ask(b"from 10.60.0.1:78 x", FAR))
say(*ask(b"back", ("10.60.0.1", 78)))
stands = (socket.gethostbyname("far.test"), 79)
say(ask(b"from 10.60.0.1:79 the first address is the name's", stands) == stands)
say(*ask(b"from 10.60.0.2:79 the second is not", stands))
s.connect(FAR)
s.send(b"from 10.60.0.3:78 x")
s.send(b"own")
say(s.recv(100).decode(), *s.getpeername())
"#;
    let (world, relay) = place();
    let done = python(&world, &relay, script, &[]).run().success();
    assert_eq!(done, "10.60.0.1 78\n10.60.0.1 78\nTrue\n10.60.0.2 79\nown 10.50.0.1 77\n");
    let came = relay.datagrams();
    assert!(came.contains(&"10.60.0.1:78 back".to_owned()), "{came:?}");
    assert!(came.contains(&"far.test:79 from 10.60.0.1:79 the first address is the name's".to_owned()));
    no_leaks(&world);
}

/// As RFC 1928 allows: an implementation that does not put fragments together drops them.
#[test]
fn fragments_are_dropped() {
    let script = "s.sendto(b'fragment', FAR)\nsay(s.recv(100).decode())";
    let (world, relay) = place();
    assert_eq!(python(&world, &relay, script, &[]).run().success(), "fragment\n");
    no_leaks(&world);
}

/// The agent has 256 sockets at most for one of a program's, and the ones that were used last.
#[test]
fn a_socket_may_have_more_correspondents_than_the_agent_keeps() {
    let script = r#"
s.settimeout(60)
for number in range(400):
    assert answers(number)
say("all")
sys.stdin.readline()
# What the library knows of the first is too old by now.
for number in range(100):
    assert answers(number)
say("again")
sys.stdin.readline()
"#;
    let (world, relay) = place();
    let mut keeper = world.wrapped(relay.url(), "cat").spawn();
    keeper.say("up");
    assert_eq!(keeper.next_line(), "up");
    let before = descriptors(agent(&world));
    let mut program = python(&world, &relay, script, &[]).spawn();
    assert_eq!(program.next_line(), "all");
    // And two of the association, and one of the program.
    let limit = std::time::Instant::now() + PATIENCE;
    while descriptors(agent(&world)).len() > before.len() + 256 + 3 {
        let now = descriptors(agent(&world));
        assert!(std::time::Instant::now() < limit, "{before:?} before, {now:?} now");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(descriptors(agent(&world)).len() > before.len() + 200);
    program.say("");
    assert_eq!(program.next_line(), "again");
    assert_eq!(relay.associations(), 1);
    program.say("");
    assert_eq!(program.wait().code(), 0);
    no_descriptor_is_kept(agent(&world), &before);
    no_leaks(&world);
    drop(keeper);
}

/// An eighth of its limit on descriptors is for datagrams; what is beyond is refused, and the rest goes on.
#[test]
fn beyond_the_share_of_descriptors_datagrams_are_refused() {
    let script = r#"
s.settimeout(60)
def tried(number):
    try:
        return answers(number)
    except OSError as error:
        return name(error)
results = [tried(number) for number in range(40)]
good = results.count(True)
say(good, results.count("ENETUNREACH"), results[:good] == [True] * good, tried(0))
s.close()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# What is sent before there is room again is lost.
s.settimeout(2)
until = time.monotonic() + 60
while tried(50) is not True and time.monotonic() < until:
    time.sleep(0.1)
say(tried(50))
"#;
    let (world, relay) = place();
    let underpass =
        world.client("sh").env("UNDERPASS_LOG", "info").args(["-c", "ulimit -n 128; exec \"$@\"", "limited"]);
    let underpass = underpass.arg(artifacts::underpass()).args(["-x", relay.url(), "--", "python3"]);
    let mut program = underpass.args(["-c", &[BEGIN, script].concat()]).spawn();
    // 128 / 8, less the relay and its control connection.
    assert_eq!(program.next_line(), "14 26 True True");
    assert_eq!(program.next_line(), "True");
    let log = world.client("sh").args(["-c", "cat $(find /run /tmp -name agent.log)"]).run().stdout;
    assert!(log.contains("there are as many datagram sockets as the limit on open files allows"), "{log}");
    no_leaks(&world);
}
