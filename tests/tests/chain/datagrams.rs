//! Datagrams by the relay at the end of a chain (connect-udp).

use std::time::{Duration, Instant};

use underpass_tests::servers::{self, port};
use underpass_tests::{PATIENCE, proxies};

use crate::place::{ADDRESS, DENIED, NAME};
use crate::relays::{Row, row};

/// A name server beyond the relays. What is sent to port 53, the agent answers by itself.
const DNS: u16 = 5300;

/// What every program here begins with.
const ASK: &str = r#"
import errno, socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# A time-out of Python's would make it non-blocking.
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 60, 0))
def say(*words):
    print(*words, flush=True)
def name(error):
    return errno.errorcode.get(error.errno, str(error))
def to(target):
    host, port = target.rsplit(":", 1)
    return (socket.gethostbyname(host), int(port))
"#;

impl Row {
    fn python(&self, script: &str, arguments: &[&str]) -> underpass_tests::Command {
        self.place.through(&self.urls(), "python3").args(["-c", &[ASK, script].concat()]).args(arguments)
    }

    /// Waits until the exit has written down so many streams to this place that have ended regularly.
    #[track_caller]
    fn exit_has_carried(&self, host: &str, port: u16, times: usize) {
        self.exit_has_ended(&format!("\"host\":\"{host}\",\"port\":{port},\"protocol\":\"udp\""), times);
    }

    /// The same for what has this in its line.
    #[track_caller]
    fn exit_has_ended(&self, part: &str, times: usize) {
        let exit = &self.relays.last().expect("it has relays").real;
        let ended = || {
            let log = exit.log();
            log.lines().filter(|line| line.contains(part) && line.contains("\"reason\":\"closed\"")).count()
        };
        let limit = Instant::now() + PATIENCE;
        while ended() < times && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(ended(), times, "{part} in {}", exit.log());
    }
}

fn dig_through(length: u16) {
    let row = row(length);
    let resolver = servers::resolver_at(&row.place.world, DNS);
    let port = DNS.to_string();
    for server in ["10.99.0.1", "fd99::1", NAME] {
        let server = format!("@{server}");
        // The client's resolv.conf gives it a second, and the chain is not there yet.
        let args = ["+short", "+notcp", "+timeout=30", "-p", &port, &server, "text.test", "TXT"];
        let said = row.place.through(&row.urls(), "dig").args(args).run().success();
        assert_eq!(said, "\"v=spf1 -all\"\n", "{server}");
    }
    assert_eq!(resolver.questions(), ["TXT text.test"; 3]);
    // The name was resolved by the exit.
    for host in ["10.99.0.1", "fd99::1", NAME] {
        row.exit_has_carried(host, DNS, 1);
    }
    let log = row.relays.last().expect("it has relays").real.log();
    assert!(!log.contains("10.77.0.2"), "{log}");
    row.end_agents();
    row.knows_neighbours_alone(&[DNS]);
}

#[test]
fn dig_through_one_relay() {
    dig_through(1);
}

#[test]
fn dig_through_two_relays() {
    dig_through(2);
}

#[test]
fn dig_through_three_relays() {
    dig_through(3);
}

/// Names, addresses and ports side by side; each answer is shown as from where the program has sent to.
#[test]
fn one_socket_has_many_correspondents() {
    let row = row(2);
    let script = r#"
places = [to(target) for target in sys.argv[1:]]
assert len(set(places)) == len(places), places
for turn in range(3):
    for place in places:
        s.sendto(repr(place).encode(), place)
    got = dict(s.recvfrom(100) for _ in places)
    assert got == {repr(place).encode(): place for place in places}, got
say("good")
"#;
    let (echo, too) = (port::ECHO, port::ECHO_TOO);
    let targets =
        ["web.test", "echo.test", ADDRESS].map(|host| [echo, too].map(|port| format!("{host}:{port}")));
    let targets: Vec<&str> = targets.iter().flatten().map(String::as_str).collect();
    assert_eq!(row.python(script, &targets).run().success(), "good\n");
    // They end with the socket.
    for (host, port) in [("web.test", echo), ("echo.test", echo), (ADDRESS, too)] {
        row.exit_has_carried(host, port, 1);
    }
}

/// One more ends the stream to the one that was not used for longest.
#[test]
fn one_socket_has_so_many_streams_and_no_more() {
    let row = row(1);
    let script = r#"
for port in range(20000, 20300):
    s.sendto(b"x", ("10.99.0.1", port))
say("sent")
sys.stdin.readline()
s.sendto(b"well", to(sys.argv[1]))
say(s.recv(9).decode())
sys.stdin.readline()
"#;
    let mut program = row.python(script, &[&format!("{NAME}:{}", port::ECHO)]).spawn();
    assert_eq!(program.next_line(), "sent");
    row.exit_has_ended("\"protocol\":\"udp\"", 300 - 256);
    program.say("");
    assert_eq!(program.next_line(), "well");
}

/// What the exit says is what the program gets, and concerns no other destination.
#[test]
fn a_refusal_is_the_errno_of_the_send() {
    let row = row(2);
    let script = r#"
well = to(sys.argv[1])
for target in sys.argv[2:]:
    for what in ("sendto", "connect"):
        try:
            if what == "sendto":
                s.sendto(b"x", to(target))
            else:
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(to(target))
            say(what, target)
        except OSError as error:
            say(what, name(error))
    s.sendto(b"well", well)
    assert s.recvfrom(9) == (b"well", well)
at_once = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at_once.setblocking(False)
try:
    for turn in range(6000):
        at_once.sendto(b"x", to("echo.test:" + sys.argv[2].rsplit(":", 1)[1]))
        time.sleep(0.01)
except OSError as error:
    say("at once", name(error) if turn else "the first")
"#;
    let denied = format!("{NAME}:{DENIED}");
    let well = format!("{NAME}:{}", port::ECHO);
    let unknown = "no-such-name.test:7";
    let (host, network) = ("10.99.0.77:7", "10.99.0.78:7");
    let done = row.python(script, &[&well, &denied, unknown, host, network]).run();
    let both = |errno: &str| format!("sendto {errno}\nconnect {errno}\n");
    let expected = ["EACCES", "EHOSTUNREACH", "EHOSTUNREACH", "ENETUNREACH"].map(both).concat();
    assert_eq!(done.success(), format!("{expected}at once EACCES\n"));
}

/// Sends a word until it comes back, for each line of its input.
const AGAIN: &str = r#"
place = to(sys.argv[1])
s.settimeout(0.5)
connected = sys.argv[2] == "connected"
if connected:
    s.connect(place)
for line in sys.stdin:
    word = line.strip().encode()
    for turn in range(100):
        try:
            s.send(word) if connected else s.sendto(word, place)
            if s.recv(100) == word:
                break
        except OSError as error:
            last = error
            time.sleep(0.3)
    else:
        sys.exit(str(last))
    say(word.decode())
"#;

#[test]
fn a_session_that_is_cut_is_made_again() {
    let row = row(2);
    for how in ["unconnected", "connected"] {
        for host in [NAME, ADDRESS] {
            let target = format!("{host}:{}", port::ECHO);
            let mut program = row.python(AGAIN, &[&target, how]).spawn();
            program.say("one");
            assert_eq!(program.next_line(), "one", "{how}");
            for (dead, word) in [(0, "two"), (1, "three")] {
                row.relays[dead].real.kill();
                row.relays[dead].real.revive(&row.place.world);
                program.say(word);
                assert_eq!(program.next_line(), word, "{how}, relay {dead}");
            }
        }
    }
}

/// The relay ends what nobody uses; the socket that is used again has another stream.
#[test]
fn a_stream_that_has_ended_is_made_again() {
    let row = row(2);
    let last = &row.relays[1].real;
    let file = row.place.world.directory().join(format!("relay-{}.toml", last.port()));
    let text = std::fs::read_to_string(&file).expect("it was written");
    std::fs::write(&file, text + "[limits]\nudp-idle = 1\n").expect("the directory is ours");
    last.kill();
    row.relays[1].real.revive(&row.place.world);
    for (turn, how) in ["unconnected", "connected"].into_iter().enumerate() {
        let mut program = row.python(AGAIN, &[&format!("{NAME}:{}", port::ECHO), how]).spawn();
        for (round, word) in ["one", "two"].into_iter().enumerate() {
            program.say(word);
            assert_eq!(program.next_line(), word, "{how}");
            row.exit_has_carried(NAME, port::ECHO, 2 * turn + round + 1);
        }
    }
}

/// While a relay is down nothing leaves by any other way.
#[test]
fn without_a_relay_there_is_no_other_way() {
    let row = row(2);
    let script = r#"
for target in sys.argv[1:]:
    try:
        s.sendto(b"x", to(target))
        say(target)
    except OSError as error:
        say(name(error))
"#;
    let targets = [NAME, ADDRESS].map(|host| format!("{host}:{}", port::ECHO));
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    for dead in [1, 0] {
        row.relays[dead].real.kill();
        let done = row.python(script, &targets).run();
        assert_eq!(done.success(), "ENETUNREACH\nENETUNREACH\n", "relay {dead}");
    }
}

/// A relay says whether it carries datagrams before it is asked for any.
#[test]
fn a_relay_that_allows_none_is_asked_for_none() {
    let row = row(1);
    let world = &row.place.world;
    let file = world.directory().join(format!("relay-{}.toml", row.relays[0].real.port()));
    let text = std::fs::read_to_string(&file).expect("it was written");
    std::fs::write(&file, text.replace("allow-udp = true\n", "")).expect("the directory is ours");
    row.relays[0].real.kill();
    row.relays[0].real.revive(world);
    let script = r#"
try:
    s.sendto(b"x", to(sys.argv[1]))
except OSError as error:
    say(name(error))
"#;
    let target = format!("{NAME}:{}", port::ECHO);
    assert_eq!(row.python(script, &[&target]).run().success(), "ENETUNREACH\n");
    assert!(!row.relays[0].real.log().contains("udp"), "{}", row.relays[0].real.log());
    row.place.visit(&row.urls(), &[(&crate::place::greeter(), crate::place::GREETED)]);
}

/// Whatever is before the relay carries bytes, and what comes behind it ends the way of datagrams.
#[test]
fn the_relay_has_to_be_the_last_hop() {
    let row = row(1);
    let world = &row.place.world;
    let squid = proxies::squid(world, 3128, proxies::Squid::Open, DENIED).allowed(world);
    let dante =
        proxies::dante_with(world, proxies::Dante { port: 1085, ..Default::default() }).allowed(world);
    let sshd = proxies::sshd(world, 2222);
    sshd.configure_client(world);
    world.allow_proxy(2222);
    let ssh = "ssh://far@10.77.0.1:2222".to_owned();
    let relay = row.relays[0].url_at(NAME, &row.keys[0]);
    let script = r#"
try:
    place = to(sys.argv[1])
    s.sendto(b"x", place)
    say(s.recvfrom(9) == (b"x", place))
except OSError as error:
    say(name(error))
"#;
    let target = format!("{NAME}:{}", port::ECHO);
    let (http, socks) = (squid.url_as("http"), dante.url_at("socks5h", "10.77.0.1"));
    let (first, behind) = (row.urls[0].clone(), dante.url_at("socks5h", NAME));
    for (urls, said) in [
        ([&http, &relay], "True\n"),
        ([&socks, &relay], "True\n"),
        ([&ssh, &relay], "True\n"),
        ([&first, &behind], "ENETUNREACH\n"),
    ] {
        let urls = urls.map(String::as_str);
        let script = [ASK, script].concat();
        let done = row.place.through(&urls, "python3").args(["-c", &script, &target]).run();
        assert_eq!(done.success(), said, "{urls:?}");
    }
    row.exit_has_carried(NAME, port::ECHO, 3);
}

/// A proxy that asks first who we are has not failed: it is asked again, and nothing goes past it.
#[test]
fn a_proxy_before_the_relay_may_ask_who_we_are() {
    let row = row(1);
    let world = &row.place.world;
    let squid = proxies::squid(world, 3128, proxies::Squid::Digest("me", "pw"), DENIED).allowed(world);
    let urls = [squid.url_as("http"), row.urls[0].clone()];
    let target = format!("{NAME}:{}", port::ECHO);
    let script =
        [ASK, "place = to(sys.argv[1])\ns.sendto(b\"x\", place)\nsay(s.recvfrom(9) == (b\"x\", place))"];
    for kind in ["strict", "dynamic"] {
        let text = format!("[chain.main]\nkind = '{kind}'\nhops = {urls:?}\n");
        let program = row.place.configured(&format!("{kind}.toml"), &text, "python3");
        let done = program.args(["-c", &script.concat(), &target]).run();
        assert_eq!(done.success(), "True\n", "{kind}");
    }
    row.exit_has_carried(NAME, port::ECHO, 2);
    row.end_agents();
    squid.wait_served("10.77.0.1", row.relays[0].real.port(), 2);
}
