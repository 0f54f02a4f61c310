//! The protocols of the doors: every version, every split, logins, ends and resets.

use std::fmt::Write;
use std::time::Duration;

use underpass_tests::{World, artifacts, proxies, servers, wait};

use crate::place::{no_leaks, python, start, wait_here, world};

/// What every program here begins with.
const ASK: &str = r#"
import socket, struct
def door(port):
    s = socket.socket(socket.AF_UNIX) if isinstance(port, str) else socket.socket()
    s.settimeout(60)
    s.connect(port if isinstance(port, str) else ("127.0.0.1", port))
    return s
def rest(s):
    answer = b""
    try:
        while piece := s.recv(65536):
            answer += piece
    except ConnectionResetError:
        answer += b"<reset>"
    return answer
def say(port, *pieces):
    s = door(port)
    for piece in pieces:
        s.sendall(piece)
    return rest(s)
HOST, ADDRESS = b"far.test", socket.inet_aton("10.99.0.1")
def four(port, name=None):
    return b"\x04\x01" + struct.pack("!H", port) + (ADDRESS + b"me\0" if name is None else b"\0\0\0\x01me\0" + name + b"\0")
GREETING = b"\x05\x01\x00"
def five(port):
    return b"\x05\x01\x00\x03" + bytes([len(HOST)]) + HOST + struct.pack("!H", port)
def head(port, more=b""):
    return b"CONNECT far.test:%d HTTP/1.1\r\nHost: far.test\r\n%s\r\n" % (port, more)
GOOD4, GOOD5 = b"\0\x5a" + bytes(6), b"\x05\0\0\x01\xc0\0\x02\x01\x124"
GOOD = b"HTTP/1.1 200 Connection established\r\n\r\n"
"#;

fn ask(world: &World, script: &str) -> String {
    python(world, &[ASK, script].concat())
}

/// One port takes all; each handshake is cut in two at every byte, and sent in one piece with what is for the far end.
#[test]
fn every_version_is_taken_at_every_split() {
    let (world, proxy) = world();
    let front = start(&world, &["forward", "-D", "1083", "-x", proxy.url()]);
    wait_here(&world, 1083);
    let script = r#"
import time
messages = [
    (four(7007), GOOD4), (four(7007, HOST), GOOD4), (GREETING + five(7007), b"\x05\0" + GOOD5), (head(7007), GOOD),
]
count = 0
for message, good in messages:
    for cut in range(len(message) + 1):
        s = door(1083)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(message[:cut])
        # The first piece is read by itself where it can be, and both are right.
        time.sleep(0.002)
        s.sendall(message[cut:] + b"early")
        s.shutdown(socket.SHUT_WR)
        answer = rest(s)
        assert answer == good + b"early", (message, cut, answer)
        count += 1
print(count)
"#;
    let count = ask(&world, script);
    assert!(count.trim().parse::<usize>().is_ok_and(|count| count > 100), "{count}");
    no_leaks(&world);
    drop(front);
}

/// Half of a connection ends without the other, and a reset arrives as one, both ways.
#[test]
fn ends_and_resets_pass() {
    let (world, proxy) = world();
    let front = start(&world, &["forward", "-D", "1083", "-x", proxy.url()]);
    wait_here(&world, 1083);
    let script = r#"
for open, good in [
    (lambda port: four(port), GOOD4), (lambda port: GREETING + five(port), b"\x05\0" + GOOD5), (lambda port: head(port), GOOD),
]:
    # Reads to the end, then answers.
    s = door(1083)
    s.sendall(open(7005) + b"x" * 1000000)
    s.shutdown(socket.SHUT_WR)
    assert rest(s) == good + b"1000000\n" + b"x" * 100000
    # Resets after the first byte.
    assert say(1083, open(7002) + b"x") == good + b"<reset>"
    # The client's reset ends the far end.
    s = door(1083)
    s.sendall(open(7008))
    while len(good):
        good = good[len(s.recv(len(good))):]
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
# What was refused is answered, and ends.
assert say(1083, four(7099)) == b"\0\x5b" + bytes(6)
assert say(1083, b"\x04\x02" + four(7099)[2:]) == b"\0\x5b" + bytes(6)
print("good")
"#;
    assert_eq!(ask(&world, script), "good\n");
    no_leaks(&world);
    drop(front);
}

/// Beyond loopback a login is asked for, in every protocol that has one, and the others are refused.
#[test]
fn a_door_with_a_login_lets_nobody_else_in() {
    let (world, proxy) = world();
    let login = world.directory().join("login");
    std::fs::write(&login, "ann:hunter:2\n").expect("the directory is ours");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&login, mode).expect("the directory is ours");
    let file = world.directory().join("doors.toml");
    let mut text = format!("proxy = '{}'\n", proxy.url());
    write!(text, "[[listen]]\nat = 'any://0.0.0.0:1083'\nlogin-file = 'login'\n").expect("it is a text");
    std::fs::write(&file, text).expect("the directory is ours");
    let front = start(&world, &["run", "-f", file.to_str().unwrap()]);
    wait_here(&world, 1083);
    let script = r#"
def login(user, password):
    return b"\x05\x02\x00\x02" + b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password
assert say(1083, login(b"ann", b"hunter:2") + five(7001)) == b"\x05\x02\x01\x00" + GOOD5 + b"hello\n"
for user, password in (b"ann", b"hunter"), (b"", b""), (b"annh", b"unter:2"):
    assert say(1083, login(user, password) + five(7001)) == b"\x05\x02\x01\x01", user
assert say(1083, GREETING) == b"\x05\xff"
assert say(1083, four(7001)) == b"\0\x5b" + bytes(6)
good = head(7001, b"Proxy-Authorization: Basic YW5uOmh1bnRlcjoy\r\n")
assert say(1083, good) == GOOD + b"hello\n"
for more in b"", b"Proxy-Authorization: Basic YW5uOmh1bnRlcg==\r\n":
    answer = say(1083, head(7001, more))
    assert answer.startswith(b"HTTP/1.1 407 ") and b"\r\nProxy-Authenticate: Basic " in answer, answer
# Nor datagrams (Xray 3371).
assert say(1083, GREETING + b"\x05\x03\x00\x01" + bytes(6)) == b"\x05\xff"
print("good")
"#;
    assert_eq!(ask(&world, script), "good\n");
    let curl = |user: &str| {
        let proxy = format!("socks5h://{user}@10.77.0.2:1083");
        let done = world.client("curl").args(["-sS", "-x", &proxy, "telnet://far.test:7001"]).run();
        (done.code(), done.stdout)
    };
    assert_eq!(curl("ann:hunter%3A2"), (0, "hello\n".to_owned()));
    assert_eq!(curl("ann:hunter").0, 97);
    front.end();
    // A file that others can read is no secret.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&login, mode).expect("the directory is ours");
    let done = start(&world, &["run", "-f", file.to_str().unwrap()]).wait();
    assert_eq!(done.code(), 125);
    assert!(done.stderr.contains("login-file"), "{done}");
    no_leaks(&world);
}

/// A thousand clients that do not go on disturb nobody, and are sent away.
#[test]
fn a_thousand_half_open_clients_are_sent_away() {
    let (world, proxy) = world();
    let front = start(&world, &["forward", "-D", "1083", "-x", proxy.url()]);
    wait_here(&world, 1083);
    let script = r#"
import select, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
pieces = [b"", b"\x05", b"\x05\x01", GREETING, b"\x04\x01", b"C", b"CONNECT a:1 HTTP/1.1\r\n", GREETING + b"\x05\x01\0\x03\xff"]
poll, half = select.poll(), {}
for n in range(1000):
    s = door(1083)
    s.sendall(pieces[n % len(pieces)])
    half[s.fileno()] = s
    poll.register(s, select.POLLIN)
assert say(1083, GREETING + five(7001)) == b"\x05\0" + GOOD5 + b"hello\n"
while half:
    for fd, _ in poll.poll(60_000):
        if not half[fd].recv(100):
            poll.unregister(fd)
            half.pop(fd).close()
assert say(1083, GREETING + five(7001)) == b"\x05\0" + GOOD5 + b"hello\n"
"#;
    ask(&world, script);
    no_leaks(&world);
    drop(front);
}

/// Whoever finds no room is sent away at once, and not left waiting; those who are in are served, and room is given again.
#[test]
fn who_finds_no_room_is_sent_away() {
    let (world, proxy) = world();
    let agent = world.client("prlimit").arg("--nofile=64:64").arg(artifacts::agent());
    let agent = agent.args(["forward", "-D", "1083", "-x", proxy.url()]).limit(Duration::MAX);
    let front = agent.spawn();
    wait_here(&world, 1083);
    let script = r#"
def greeted(s):
    try:
        s.sendall(GREETING)
        return s.recv(2) == b"\x05\0"
    except (ConnectionResetError, BrokenPipeError):
        return False
come = [door(1083) for _ in range(150)]
for s in come: s.settimeout(8)
inside = [s for s in come if greeted(s)]
assert 1 <= len(inside) < 150, len(inside)
assert not greeted(door(1083))
s = inside.pop()
s.sendall(five(7001))
assert rest(s) == GOOD5 + b"hello\n"
for s in inside: s.close()
while not greeted(s := door(1083)): pass
s.sendall(five(7001))
assert rest(s) == GOOD5 + b"hello\n"
print("good")
"#;
    assert_eq!(ask(&world, script), "good\n");
    no_leaks(&world);
    drop(front);
}

/// At a Unix socket, which is for its owner alone, is made anew after a kill, and goes with the agent.
#[test]
fn a_unix_socket_is_a_door_too() {
    use std::os::unix::fs::PermissionsExt;
    let (world, proxy) = world();
    let path = world.directory().join("door");
    let place = path.to_str().unwrap();
    let begin = || {
        let front = start(&world, &["forward", "-D", place, "-x", proxy.url()]);
        let knock = format!(
            "import socket, time\nwhile socket.socket(socket.AF_UNIX).connect_ex('{place}'): time.sleep(0.02)"
        );
        python(&world, &knock);
        front
    };
    // Killed: the socket stays.
    let killed = begin();
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    killed.signal(rustix::process::Signal::KILL);
    wait("it ends", || world.agents().is_empty());
    assert!(path.exists());
    drop(killed);
    let front = begin();
    let script = format!(
        r#"
assert say("{place}", GREETING + five(7001)) == b"\x05\0" + GOOD5 + b"hello\n"
assert say("{place}", GREETING + b"\x05\x03\x00\x01" + bytes(6)) == b"\x05\0\x05\x07\0\x01" + bytes(6)
s = door("{place}")
s.sendall(head(7005) + b"x" * 1000)
s.shutdown(socket.SHUT_WR)
assert rest(s) == GOOD + b"1000\n" + b"x" * 100000
print("good")
"#
    );
    assert_eq!(ask(&world, &script), "good\n");
    front.signal(rustix::process::Signal::TERM);
    front.wait();
    assert!(!path.exists());
    no_leaks(&world);
}

/// Programs that other people wrote, each with the words of its own for a proxy.
#[test]
fn real_programs_come_in() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let front = start(&world, &["forward", "-D", "1083", "-x", &dante.url_as("socks5h")]);
    wait_here(&world, 1083);
    for proxy in
        ["socks4", "socks4a", "socks5", "socks5h", "http"].map(|kind| format!("{kind}://127.0.0.1:1083"))
    {
        let host = if proxy.starts_with("socks4a") || proxy.starts_with("socks5h") {
            "far.test"
        } else {
            "10.99.0.1"
        };
        let to = format!("telnet://{host}:7001");
        let curl = world.client("curl").args(["-sS", "-p", "-x", &proxy, &to]).run().success().to_owned();
        assert_eq!(curl, "hello\n", "{proxy}");
    }
    let pysocks = r#"
import socket, socks
for kind in socks.SOCKS4, socks.SOCKS5, socks.HTTP:
    s = socks.socksocket()
    s.set_proxy(kind, "127.0.0.1", 1083)
    s.settimeout(60)
    s.connect(("far.test", 7007))
    # It loses what comes in one piece with an answer of HTTP's.
    s.sendall(b"hello\n")
    s.shutdown(socket.SHUT_WR)
    print(s.makefile().read())
"#;
    assert_eq!(python(&world, pysocks), "hello\n\n".repeat(3));
    let chains = world.directory().join("chains.conf");
    let text = "strict_chain\nquiet_mode\nproxy_dns\n[ProxyList]\nsocks5 127.0.0.1 1083\n";
    std::fs::write(&chains, text).expect("the directory is ours");
    let hello = "exec 3<>/dev/tcp/10.99.0.1/7001; head -n1 <&3";
    let chained = world.client("proxychains4").arg("-f").arg(&chains).args(["bash", "-c", hello]);
    assert_eq!(chained.run().success(), "hello\n");
    no_leaks(&world);
    drop(front);
}

/// Who goes while the destination is dialled ends the dial; who has sent something, or has come where nothing is spoken, may
/// have said all, and is dialled for.
#[test]
fn a_dial_for_a_client_that_has_gone_ends() {
    let world = World::new();
    let doors = ["run", "--listen", "any://127.0.0.1:1081", "-x", "http://127.0.0.1:1090"];
    let front = start(&world, &doors);
    let forward = start(&world, &["forward", "-L", "1083:far.test:80", "-x", "http://127.0.0.1:1090"]);
    for port in [1081, 1083] {
        wait_here(&world, port);
    }
    let script = r#"
import socket
proxy = socket.create_server(("127.0.0.1", 1090))
proxy.settimeout(60)
def dialled():
    far = proxy.accept()[0]
    far.settimeout(10)
    head = b""
    while not head.endswith(b"\r\n\r\n"): head += far.recv(4096)
    return far
def connect(port, words):
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.sendall(words)
    return s
SOCKS4 = b"\x04\x01\0\x50\x0a\x63\0\x01\0"
SOCKS5 = b"\x05\x01\0\x05\x01\0\x01\x0a\x63\0\x01\0\x50"
HTTP = b"CONNECT far.test:80 HTTP/1.1\r\nHost: far.test:80\r\n\r\n"
for words in SOCKS4, SOCKS5, HTTP:
    s = connect(1081, words)
    far = dialled()
    s.close()
    # The dial would have 10 s.
    far.settimeout(5)
    assert far.recv(10) == b"", words
for port, words in (1081, SOCKS4 + b"early"), (1083, b"early"), (1083, b""):
    s = connect(port, words)
    far = dialled()
    s.shutdown(socket.SHUT_WR)
    far.settimeout(0.5)
    try: print(far.recv(10))
    except socket.timeout: far.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
    far.settimeout(10)
    came = b""
    while piece := far.recv(10): came += piece
    assert came == (b"early" if words else b""), came
    far.close()
    answer = b""
    while piece := s.recv(100): answer += piece
    assert answer.endswith(b"hello"), answer
print("good")
"#;
    assert_eq!(ask(&world, script), "good\n");
    no_leaks(&world);
    drop((front, forward));
}
