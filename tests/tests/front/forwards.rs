//! Forwards, as ssh's: one door, one destination.

use std::time::Duration;

use underpass_tests::{World, artifacts, proxies, servers};

use crate::place::{complaint, no_leaks, python, start, wait_here, world};

/// Connections by port and by path, to a name and to an address, through a proxy; what cannot be made ends in a reset.
#[test]
fn connections_go_to_one_destination() {
    let (world, proxy) = world();
    let path = world.directory().join("far");
    let by_path = format!("{}:far.test:7001", path.display());
    let forwards = [
        "-L",
        "1083:far.test:7005",
        "-L",
        "[::1]:1084:10.99.0.1:7001",
        "-L",
        &by_path,
        "-L",
        "1085:far.test:7099",
    ];
    let front = start(&world, &[&["forward", "-x", proxy.url()], &forwards[..]].concat());
    wait_here(&world, 1085);
    let script = format!(
        r#"
import socket
def rest(s):
    answer = b""
    try:
        while piece := s.recv(65536): answer += piece
    except ConnectionResetError: answer += b"<reset>"
    return answer
s = socket.create_connection(("127.0.0.1", 1083), 60)
s.sendall(b"x" * 5000); s.shutdown(socket.SHUT_WR)
assert rest(s) == b"5000\n" + b"x" * 100000
assert rest(socket.create_connection(("::1", 1084), 60)) == b"hello\n"
s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect("{}")
assert rest(s) == b"hello\n"
print(rest(socket.create_connection(("127.0.0.1", 1085), 60)))
"#,
        path.display()
    );
    assert_eq!(python(&world, &script), "b'<reset>'\n");
    let asked: Vec<String> = proxy.requests().iter().map(ToString::to_string).collect();
    for one in ["name far.test 7005", "ipv4 10.99.0.1 7001", "name far.test 7001"] {
        assert!(asked.iter().any(|asked| asked == one), "{one} in {asked:?}");
    }
    no_leaks(&world);
    drop(front);
}

/// Datagrams of many clients, each of which gets its own answers from where it has sent to.
#[test]
fn datagrams_go_to_one_destination() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let file = world.directory().join("doors.toml");
    let text = format!(
        "proxy = '{}'\n[[listen]]\nat = 'udp://127.0.0.1:1083'\nto = 'far.test:7007'\n\
         [[listen]]\nat = 'udp://[::]:1084'\nto = '10.99.0.1:7009'\n[[listen]]\nat = 'tcp://127.0.0.1:1085'\nto = 'far.test:7001'\n",
        dante.url_as("socks5h")
    );
    std::fs::write(&file, text).expect("the directory is ours");
    let front = start(&world, &["run", "-f", file.to_str().unwrap()]);
    wait_here(&world, 1085);
    let script = r#"
import socket
pairs = []
for n in range(5):
    for family, at in [(socket.AF_INET, ("127.0.0.1", 1083)), (socket.AF_INET, ("127.0.0.1", 1084)), (socket.AF_INET6, ("::1", 1084)), (socket.AF_INET, ("10.77.0.2", 1084))]:
        u = socket.socket(family, socket.SOCK_DGRAM)
        u.settimeout(2)
        # Answers from elsewhere would not come in.
        u.connect(at)
        pairs.append((u, b"%d %s" % (n, str(at).encode())))
# A datagram may be lost, and is sent again then.
def heard(u, words):
    try:
        assert u.recv(100) == words
        return True
    except socket.timeout:
        u.send(words)
for turn in range(3):
    for u, words in pairs:
        u.send(words)
    for u, words in pairs:
        while not heard(u, words):
            pass
print("good")
"#;
    assert_eq!(python(&world, script), "good\n");
    no_leaks(&world);
    drop(front);
}

/// As a resolver's questions come: each from a port of its own, many more than there is room for at a time. Who was idle for
/// longest makes room.
#[test]
fn more_clients_send_datagrams_than_there_is_room_for() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let script = r#"
import socket, time
kept = []
for n in range(40):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.connect(("127.0.0.1", 1083))
    u.settimeout(0.2)
    until = time.monotonic() + 30
    while True:
        assert time.monotonic() < until, n
        u.send(b"%d" % n)
        try:
            assert u.recv(100) == b"%d" % n
            break
        except socket.timeout:
            pass
    kept.append(u)
print("good")
"#;
    let forward = format!(
        "ulimit -n 256; exec {} forward -L udp:1083:far.test:7007 -D 1084 -x {}",
        artifacts::agent().display(),
        dante.url_as("socks5h")
    );
    let front = world.client("bash").args(["-c", &forward]).limit(Duration::MAX).spawn();
    wait_here(&world, 1084);
    assert_eq!(python(&world, script), "good\n");
    no_leaks(&world);
    drop(front);
}

/// More come at once than the relay lets one client open in a second: they are later, and none is lost.
#[test]
fn a_burst_waits_for_its_relay() {
    let world = World::new();
    servers::start(&world);
    let key = proxies::key(&world, "client");
    let limits = "[limits]\nnew = 10\n";
    let relay = proxies::relay_with(&world, 4431, &[&key], 7088, limits).allowed(&world);
    let front = start(
        &world,
        &["forward", "-x", &relay.url(&key), "-L", "1083:far.test:7001", "-L", "udp:1084:far.test:7007"],
    );
    wait_here(&world, 1083);
    let script = r#"
import select, socket, time
waiting = []
for n in range(25):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.connect(("127.0.0.1", 1084))
    waiting.append(u)
# A relay that had been given up for 5 s each time would take more than 10.
until = time.monotonic() + 9
while waiting:
    assert time.monotonic() < until, len(waiting)
    for u in waiting: u.send(b"x")
    time.sleep(0.2)
    heard = select.select(waiting, [], [], 0)[0]
    waiting = [u for u in waiting if u not in heard]
came = [socket.create_connection(("127.0.0.1", 1083), 60) for _ in range(25)]
assert all(s.recv(100) == b"hello\n" for s in came)
print("good")
"#;
    assert_eq!(python(&world, script), "good\n");
    no_leaks(&world);
    drop(front);
}

/// A door that leads to itself carries nothing, rather than for ever the same; and its port is not shared.
#[test]
fn a_door_for_datagrams_is_alone_and_no_circle() {
    let (world, proxy) = world();
    let arguments = ["forward", "-x", proxy.url(), "-L", "udp:1083:127.0.0.1:1083", "-D", "1084"];
    let front = start(&world, &arguments);
    wait_here(&world, 1084);
    let script = r#"
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(0.3)
u.sendto(b"x", ("127.0.0.1", 1083))
try: print(u.recv(10))
except socket.timeout: print("nothing")
"#;
    assert_eq!(python(&world, script), "nothing\n");
    let done = start(&world, &["forward", "-x", proxy.url(), "-L", "udp:1083:127.0.0.1:1"]).wait();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("udp://127.0.0.1:1083: "), "{done}");
    no_leaks(&world);
    drop(front);
}

/// As that of a listener at an exit is.
#[test]
fn a_port_that_the_system_chooses_is_told() {
    let (world, proxy) = world();
    let mut front = start(&world, &["forward", "-x", proxy.url(), "-D", "0", "-L", "[::1]:0:far.test:7001"]);
    let mut ports = Vec::new();
    for end in [" for tcp://[::1]:0 to far.test:7001", " for any://127.0.0.1:0"] {
        let said = complaint(&mut front, "Allocated port ");
        let port = said.strip_prefix("Allocated port ").and_then(|said| said.strip_suffix(end));
        ports.push(port.unwrap_or_else(|| panic!("{said:?} is not for{end}")).to_owned());
    }
    let script = format!(
        "import socket\nprint(socket.create_connection(('::1', {}), 60).recv(100))\nsocket.create_connection(('127.0.0.1', {}), 60)",
        ports[0], ports[1]
    );
    assert_eq!(python(&world, &script), "b'hello\\n'\n");
    no_leaks(&world);
    drop(front);
}

#[test]
fn a_forward_that_cannot_be_is_said() {
    let (world, proxy) = world();
    for (arguments, words) in [
        (&["forward"][..], "one of -L, -D, -R and -f is needed"),
        (&["forward", "-L", "x"], "is not [BIND:]PORT:HOST:PORT"),
        (&["forward", "-D", "*:1083"], "not on loopback"),
    ] {
        let done = start(&world, arguments).wait();
        assert_eq!(done.code(), 125, "{done}");
        assert!(done.stderr.contains(words), "{done}");
    }
    let (long, folder) = (format!("/{}", "x".repeat(108)), world.directory().join("none").join("door"));
    for (place, words) in [
        (folder.to_str().unwrap(), "no such file or directory\nhint: the folder has to be there"),
        (&long, "a Unix socket's path has at most 107 bytes"),
        ("[fd00::1]:1083", "hint: no interface has this address"),
    ] {
        let done = start(&world, &["forward", "-x", "local:", "-L", &format!("{place}:far.test:1")]).wait();
        assert!(done.code() == 125 && done.stderr.contains(words), "{done}");
    }
    let file = world.directory().join("none.toml");
    std::fs::write(&file, format!("proxy = '{}'\n", proxy.url())).expect("the directory is ours");
    let done = start(&world, &["run", "-f", file.to_str().unwrap()]).wait();
    assert_eq!((done.code(), done.stderr.contains("no door")), (125, true), "{done}");
    // One may be passed (sd_listen_fds(3)).
    let done = start(&world, &["run", "-x", "local:"]).wait();
    assert_eq!((done.code(), done.stderr.contains("no door: add --listen")), (125, true), "{done}");
}
