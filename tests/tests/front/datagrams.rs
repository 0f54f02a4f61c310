//! Associations at a door (RFC 1928 section 7).

use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::proxies::datagrams;
use underpass_tests::{PATIENCE, World, artifacts, proxies, servers};

use crate::place::{no_leaks, open, python, start, wait_here, world};

/// What every program here begins with.
const ASK: &str = r#"
import socket, struct
TO = ("127.0.0.1", 1081)
def exactly(s, n):
    b = b""
    while len(b) < n:
        piece = s.recv(n - len(b))
        assert piece, b
        b += piece
    return b
def associate(port=0, host=TO):
    s = socket.create_connection(host, 60)
    s.sendall(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0" + struct.pack("!H", port))
    assert exactly(s, 2) == b"\x05\x00"
    head = exactly(s, 4)
    if head[1]:
        return s, head[1]
    size = 4 if head[3] == 1 else 16
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    host = socket.inet_ntop(family, exactly(s, size))
    return s, (host, struct.unpack("!H", exactly(s, 2))[0])
def plain(family=socket.AF_INET, host="127.0.0.1"):
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.bind((host, 0))
    u.settimeout(60)
    return u
def v4(host, port):
    return b"\0\0\0\x01" + socket.inet_aton(host) + struct.pack("!H", port)
def v6(host, port):
    return b"\0\0\0\x04" + socket.inet_pton(socket.AF_INET6, host) + struct.pack("!H", port)
def name(host, port):
    return b"\0\0\0\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", port)
"#;

/// Answers on this side's loopback, at each of `hosts` and `ports`; and what is heard of it.
const HERE: &str = r#"
import threading
def serve(hosts, ports):
    for host in hosts:
        for port in ports:
            server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            server.bind((host, port))
            threading.Thread(target=answer, args=(server,), daemon=True).start()
def answer(server):
    while True:
        words, client = server.recvfrom(100)
        server.sendto(words, client)
def heard(u, at, header, words):
    u.settimeout(0.5)
    u.sendto(header + words, at)
    try:
        answer = u.recv(100)
    except (socket.timeout, ConnectionRefusedError):
        return False
    assert answer.endswith(words), answer
    return True
"#;

fn ask(world: &World, script: &str) -> String {
    python(world, &[ASK, script].concat())
}

/// By address and by name, through Dante; answers have the header of who has sent them.
#[test]
fn datagrams_go_both_ways_by_address_and_by_name() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let front = open(&world, &["-x", &dante.url_as("socks5h")]);
    let script = r#"
s, at = associate()
u = plain()
for turn in range(3):
    for header, answered in [
        (v4("10.99.0.1", 7007), v4("10.99.0.1", 7007)),
        (v4("10.99.0.1", 7009), v4("10.99.0.1", 7009)),
        # Dante tells the address of the name.
        (name("far.test", 7007), v4("10.99.0.1", 7007)),
    ]:
        for size in 0, 1, 1200, 9000:
            u.sendto(header + b"x" * size, at)
            answer, by = u.recvfrom(65536)
            assert by == at and answer == answered + b"x" * size, (header, size, answer[:40], by)
print("good")
"#;
    assert_eq!(ask(&world, script), "good\n");
    no_leaks(&world);
    drop(front);
}

/// One client's association is of no use to anybody else, and ends with its connection.
#[test]
fn an_association_is_for_one_client_as_long_as_its_connection() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let front = open(&world, &["-x", &dante.url_as("socks5h")]);
    let script = r#"
import errno
to = v4("10.99.0.1", 7007)
u, other = plain(), plain()
# The port that was said is the only one.
s, at = associate(u.getsockname()[1])
other.sendto(to + b"other", at)
# Fragments, what is no header, and a destination that cannot be: dropped, and nobody is the client by it.
t, free = associate()
for odd in b"", b"\0", to[:9], b"\0\0\x01" + to[3:] + b"x", b"\0\0\0\x07" + to[4:], name("", 7007) + b"x", v4("10.99.0.1", 0) + b"x", v4("255.255.255.255", 7007) + b"x":
    other.sendto(odd, free)
    u.sendto(odd, at)
# The first that sends one is.
u.sendto(to + b"mine", free)
assert u.recvfrom(100) == (to + b"mine", free)
other.sendto(to + b"other", free)
u.sendto(to + b"first", at)
assert u.recvfrom(100) == (to + b"first", at)
u.sendto(to + b"again", free)
assert u.recvfrom(100) == (to + b"again", free)
other.setblocking(False)
try:
    print(other.recvfrom(100))
except BlockingIOError:
    print("nothing")
# Nobody is told anything by it afterwards.
for connection, place in (s, at), (t, free):
    connection.sendall(b"words that mean nothing")
    connection.close()
    ended = plain()
    ended.connect(place)
    while True:
        try:
            ended.send(to + b"x")
            ended.settimeout(0.05)
            print(ended.recv(100))
        except socket.timeout:
            pass
        except ConnectionRefusedError:
            break
print("ended")
"#;
    assert_eq!(ask(&world, script), "nothing\nended\n");
    no_leaks(&world);
    drop(front);
}

/// Many destinations at once, and many associations: none gets what is another's.
#[test]
fn associations_side_by_side_are_kept_apart() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let front = open(&world, &["-x", &dante.url_as("socks5h")]);
    let script = r#"
all = [(associate(), plain()) for _ in range(20)]
for n, ((s, at), u) in enumerate(all):
    for port in 7007, 7009:
        u.sendto(v4("10.99.0.1", port) + b"%d %d" % (n, port), at)
for n, ((s, at), u) in enumerate(all):
    got = {u.recv(100) for _ in range(2)}
    assert got == {v4("10.99.0.1", port) + b"%d %d" % (n, port) for port in (7007, 7009)}, got
print("good")
"#;
    assert_eq!(ask(&world, script), "good\n");
    no_leaks(&world);
    drop(front);
}

/// Where no chain carries datagrams, or the configuration refuses them, that is said at once.
#[test]
fn what_carries_no_datagrams_says_so() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    for (port, text) in [
        (1083, format!("proxy = '{}'\nudp = 'refuse'\n", proxy.url())),
        (1084, "proxy = 'http://10.77.0.1:3128'\n".to_owned()),
    ] {
        let file = world.directory().join(format!("{port}.toml"));
        std::fs::write(&file, text).expect("the directory is ours");
        let url = format!("socks5://127.0.0.1:{port}");
        let front = start(&world, &["run", "--listen", &url, "-f", file.to_str().unwrap()]);
        wait_here(&world, port);
        let script = format!("print(associate(host=('127.0.0.1', {port}))[1])");
        assert_eq!(ask(&world, &script), "7\n");
        drop(front);
    }
    no_leaks(&world);
}

/// Other people's client, PySocks, and ours: a program under underpass whose proxy is a door, which has a chain behind it.
#[test]
fn other_clients_come_in_by_it() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let front = open(&world, &["-x", &dante.url_as("socks5h")]);
    let pysocks = r#"
import socks, socket
s = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
s.set_proxy(socks.SOCKS5, "127.0.0.1", 1081)
s.settimeout(60)
s.sendto(b"by pysocks", ("10.99.0.1", 7007))
print(s.recvfrom(100))
"#;
    assert_eq!(python(&world, pysocks), "(b'by pysocks', ('10.99.0.1', 7007))\n");
    let native = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
to = (socket.gethostbyname("far.test"), 7007)
s.sendto(b"by underpass", to)
print(s.recvfrom(100) == (b"by underpass", to))
"#;
    let wrapped = world.wrapped("socks5h://127.0.0.1:1081", "python3").args(["-c", native]);
    assert_eq!(wrapped.run().success(), "True\n");
    no_leaks(&world);
    drop(front);
}

/// For want of descriptors, which others give back, is another failure than that there are no datagrams; and so is BIND where nobody
/// can listen.
#[test]
fn what_a_door_has_no_room_for_is_told_apart_from_what_it_cannot_do() {
    let world = World::new();
    let door = format!("ulimit -n 128; exec {} forward -D 1081 -x local:", artifacts::agent().display());
    let front = world.client("bash").args(["-c", &door]).limit(Duration::MAX).spawn();
    wait_here(&world, 1081);
    let script = r#"
import time
here = [associate() for _ in range(8)]
assert all(type(at) is tuple for _, at in here)
print(associate()[1])
here.pop()[0].close()
until = time.monotonic() + 30
while type(associate()[1]) is not tuple:
    assert time.monotonic() < until
    time.sleep(0.05)
s = socket.create_connection(TO, 60)
s.sendall(b"\x05\x01\x00\x05\x02\x00\x01\0\0\0\0\0\0")
print(exactly(s, 12)[3])
"#;
    assert_eq!(ask(&world, script), "1\n7\n");
    no_leaks(&world);
    drop(front);
}

/// The agent's own loopback is reached as by connections: unless a route that names it says something else.
#[test]
fn routes_judge_datagrams_to_the_loopback_of_a_door() {
    let world = World::new();
    let far = datagrams::start(&world, 1090);
    let file = world.directory().join("doors.toml");
    let text = format!(
        "[chain.far]\nhops = ['{}']\n\
         [[route]]\naddress = ['127.0.0.2', '::1']\nto = 'refuse'\n\
         [[route]]\naddress = '127.0.0.3'\nto = 'far'\n\
         [[listen]]\nat = 'udp://127.0.0.1:1083'\nto = '127.0.0.2:9001'\n\
         [[listen]]\nat = 'udp://127.0.0.1:1084'\nto = '127.0.0.1:9001'\n\
         [[listen]]\nat = 'socks5://127.0.0.1:1081'\n",
        far.url()
    );
    std::fs::write(&file, text).expect("the directory is ours");
    let front = start(&world, &["run", "-f", file.to_str().unwrap()]);
    wait_here(&world, 1081);
    let script = r#"
serve(["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"], [9001])
s, at = associate()
u = plain()
print([heard(u, at, to, b"by-socks") for to in
    [v4("127.0.0.1", 9001), v4("0.0.0.0", 9001), v4("127.0.0.2", 9001), v6("::ffff:127.0.0.2", 9001), v6("::1", 9001), v6("::", 9001)]])
u.sendto(v4("127.0.0.3", 9001) + b"to-far", at)
print([heard(plain(), ("127.0.0.1", door), b"", b"by-door") for door in (1083, 1084)])
"#;
    let said = ask(&world, &[HERE, script].concat());
    assert_eq!(said, "[True, True, False, False, False, False]\n[False, True]\n");
    let until = Instant::now() + PATIENCE;
    while far.datagrams().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(far.datagrams(), ["127.0.0.3:9001 to-far"]);
    no_leaks(&world);
    drop(front);
}

/// A name that no relay can be asked for is lost alone: others' datagrams were refused for seconds.
#[test]
fn an_impossible_name_keeps_no_other_datagram_back() {
    let world = World::new();
    servers::start(&world);
    let key = proxies::key(&world, "client");
    let relay = proxies::relay(&world, 4431, &[&key], 7088).allowed(&world);
    let front = open(&world, &["-x", &relay.url(&key)]);
    let script = r#"
heard_all = []
for n in range(5):
    (s, at), (other, to) = associate(), associate()
    u = plain()
    # Which comes back neither as an answer nor as an error.
    u.sendto(name("a|b", 7007) + b"lost", at)
    u.settimeout(0.2)
    try:
        heard_all.append(u.recv(100))
    except socket.timeout:
        pass
    v = plain()
    v.sendto(v4("10.99.0.1", 7007) + b"%d" % n, to)
    heard_all.append(v.recv(100)[10:])
print(heard_all)
"#;
    assert_eq!(ask(&world, script), "[b'0', b'1', b'2', b'3', b'4']\n");
    no_leaks(&world);
    drop(front);
}

/// What an association sends after a reload goes by the new routes, to destinations that it has had, too.
#[test]
fn an_association_follows_a_reload() {
    let (world, proxy) = world();
    let file = world.directory().join("doors.toml");
    let text = |to: &str| {
        format!(
            "proxy = '{}'\n[[route]]\naddress = '127.0.0.1'\nport = [9001, 9002]\nto = '{to}'\n\
             [[route]]\naddress = '10.77.0.2'\nto = 'direct'\n[[listen]]\nat = 'socks5://127.0.0.1:1081'\n",
            proxy.url()
        )
    };
    std::fs::write(&file, text("direct")).expect("the directory is ours");
    let front = start(&world, &["run", "-f", file.to_str().unwrap()]);
    wait_here(&world, 1081);
    let script = r#"
serve(["127.0.0.1"], [9001, 9002, 9003])
s, at = associate()
u = plain()
print([heard(u, at, v4("127.0.0.1", port), b"before") for port in (9001, 9003)], flush=True)
input()
while heard(plain(), associate()[1], v4("127.0.0.1", 9001), b"another"):
    pass
print([heard(u, at, v4("127.0.0.1", port), b"after") for port in (9001, 9002, 9003)])
"#;
    let script = [ASK, HERE, script].concat();
    let mut client = world.client("/usr/bin/python3").args(["-c", &script]).spawn();
    assert_eq!(client.next_line(), "[True, True]");
    std::fs::write(&file, text("refuse")).expect("the directory is ours");
    front.signal(Signal::HUP);
    client.say("reloaded");
    assert_eq!(client.next_line(), "[False, False, True]");
    assert_eq!(client.succeeded(), Some(0));
    no_leaks(&world);
    drop(front);
}
