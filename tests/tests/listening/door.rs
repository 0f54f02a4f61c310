//! BIND at the front door (RFC 1928 section 4), by a client of the protocol and by Dante's own.

use std::time::Duration;

use underpass_tests::{Command, Running, World, artifacts, proxies, servers, wait};

use crate::calls::PYTHON;
use crate::place::{EXIT, EXPOSED, Place, line};
use crate::reverse::{directory, wait_here};

/// Where the door's Unix socket is.
pub(crate) fn path(world: &World) -> String {
    world.directory().join("door").display().to_string()
}

/// A door for SOCKS at port 1081, and one at a path, in front of this.
pub(crate) fn open(world: &World, upstream: &str) -> Running {
    open_before(world, &[upstream])
}

/// The same in front of a chain.
pub(crate) fn open_before(world: &World, chain: &[&str]) -> Running {
    let temporary = world.directory().join("tmp");
    let _ = std::fs::create_dir(&temporary);
    let agent = world.client(artifacts::agent()).env("TMPDIR", &temporary);
    let agent = agent.args(["run", "--listen", "socks5://127.0.0.1:1081", "--listen"]);
    let agent = agent.arg(format!("any://{}", path(world))).arg("--directory").arg(directory(world));
    let agent = chain.iter().fold(agent, |agent, hop| agent.args(["-x", hop]));
    let running = agent.limit(Duration::MAX).spawn();
    wait_here(world, 1081);
    running
}

/// Asks for a listener (VERSION PEER), says where it is and then who has come, and gives back in capitals what comes.
pub(crate) const BIND: &str = r#"
import socket, struct, sys
def exactly(n):
    b = b""
    while len(b) < n:
        piece = s.recv(n - len(b))
        if not piece: sys.exit("closed")
        b += piece
    return b
def reply():
    if version == "4":
        zero, code, port, ip = struct.unpack("!BBH4s", exactly(8))
        print("reply", code, socket.inet_ntoa(ip), port, flush=True)
        return code == 90
    five, code, zero, kind = exactly(4)
    ip = socket.inet_ntop(*((socket.AF_INET, exactly(4)) if kind == 1 else (socket.AF_INET6, exactly(16))))
    print("reply", code, ip, *struct.unpack("!H", exactly(2)), flush=True)
    return code == 0
version, peer, *path = sys.argv[1:]
if path:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(path[0])
else:
    s = socket.create_connection(("127.0.0.1", 1081), 60)
if version == "4":
    s.sendall(b"\x04\x02\0\x50" + socket.inet_aton(peer) + b"me\0")
else:
    s.sendall(b"\x05\x01\x00")
    assert exactly(2) == b"\x05\x00"
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    s.sendall(b"\x05\x02\x00" + (b"\x04" if ":" in peer else b"\x01") + socket.inet_pton(family, peer) + b"\0\x50")
if reply() and reply():
    data = b""
    while piece := s.recv(65536): data += piece
    s.sendall(data.upper())
    s.close()
    print("done", flush=True)
"#;

/// Asks for a listener; where that is.
pub(crate) fn bound(world: &World, version: &str, peer: &str) -> (Running, String, String) {
    bound_by(world, &[version, peer])
}

/// The same, at the door's path where there is a third word.
pub(crate) fn bound_by(world: &World, words: &[&str]) -> (Running, String, String) {
    let version = words[0];
    let mut client = world.client(PYTHON).args(["-c", BIND]).args(words).limit(Duration::MAX).spawn();
    let said = line(&mut client, "reply");
    let words: Vec<&str> = said.split(' ').collect();
    assert_eq!(words[1], if version == "4" { "90" } else { "0" }, "{said}");
    let (ip, port) = (words[2].to_owned(), words[3].to_owned());
    (client, ip, port)
}

/// Somebody who comes from this address of the far side, and from this port.
pub(crate) fn visitor(world: &World, from: &str, source: u16, to: &str, port: &str) -> Command {
    let code = "import socket, sys
host, source, to, port = sys.argv[1:]
try:
    s = socket.create_connection((to, int(port)), 60, (host, int(source)))
    s.settimeout(60)
    s.sendall(b'from the visitor')
    s.shutdown(1)
    said = b''
    while more := s.recv(100): said += more
    print(said.decode())
except ConnectionResetError:
    print('reset')";
    world.far(PYTHON).args(["-c", code, from, &source.to_string(), to, port])
}

#[test]
fn one_is_waited_for_at_the_exit_and_no_other() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    let _front = open(world, &place.relay.url(&place.key));
    for (version, peer, exit, source) in
        [("5", EXIT, EXIT, 20_001), ("4", EXIT, EXIT, 20_002), ("5", "fd99::1", "fd99::1", 20_003)]
    {
        let (mut client, ip, port) = bound(world, version, peer);
        assert_eq!(ip, exit);
        assert!((8000..=9999).contains(&port.parse::<u16>().expect("a port")), "{port}");
        let other = if exit == EXIT { "10.77.0.1" } else { "fd77::1" };
        assert_eq!(visitor(world, other, 0, exit, &port).run().success(), "reset\n");
        assert_eq!(visitor(world, peer, source, exit, &port).run().success(), "FROM THE VISITOR\n");
        let code = if version == "4" { 90 } else { 0 };
        assert_eq!(line(&mut client, "reply"), format!("reply {code} {peer} {source}"));
        assert_eq!(client.next_line(), "done");
        place.wait_closed(port.parse().expect("a port"));
    }
    // Whoever it is; and a client that goes takes the listener along.
    let (client, ip, port) = bound(world, "5", "0.0.0.0");
    assert_eq!(visitor(world, "10.77.0.1", 0, &ip, &port).run().success(), "FROM THE VISITOR\n");
    client.wait().success();
    let (client, _, port) = bound(world, "5", "0.0.0.0");
    wait("it listens", || world.listens(port.parse().expect("a port")));
    client.end();
    place.wait_closed(port.parse().expect("a port"));
}

/// Each handshake is cut in two at every byte, and comes in one piece with what is for the visitor; then one end is half a
/// connection's, and a reset is one, both ways.
#[test]
fn a_request_comes_in_any_pieces_and_ends_and_resets_pass() {
    let place = Place::new(&format!("{EXPOSED}most = 100\n"));
    let _front = open(&place.world, &place.relay.url(&place.key));
    // The visitor is a program of the other side: it is told the ports, and says how its connections have ended.
    let visitor = "import socket, struct, sys
for line in sys.stdin:
    how, port = line.split()
    s = socket.create_connection(('10.99.0.1', int(port)), 60)
    s.settimeout(60)
    said = b''
    try:
        if how == 'reset':
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            s.close()
            continue
        while piece := s.recv(100): said += piece
        s.sendall(said.upper())
        s.close()
    except ConnectionResetError: said += b' and a reset'
    print(said.decode(), flush=True)";
    let client = r#"
import socket, struct, sys, time
def exactly(s, n):
    b = b""
    while len(b) < n:
        piece = s.recv(n - len(b))
        assert piece, b
        b += piece
    return b
def open(message, cut, early=b""):
    s = socket.create_connection(("127.0.0.1", 1081), 60)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(message[:cut])
    time.sleep(0.002)
    s.sendall(message[cut:] + early)
    if message[0] == 5:
        assert exactly(s, 2) == b"\x05\0"
    return s, reply(s, message[0])
def reply(s, version):
    if version == 4:
        zero, code, port = struct.unpack("!BBH", exactly(s, 8)[:4])
        assert code == 90, code
        return port
    head = exactly(s, 10)
    assert head[:4] == b"\x05\0\0\x01", head
    return int.from_bytes(head[8:], "big")
def goes(how, port):
    print(how, port, flush=True)
PEER = socket.inet_aton("10.99.0.1")
messages = b"\x04\x02\0\x50" + PEER + b"me\0", b"\x05\x01\0\x05\x02\0\x01" + PEER + b"\0\x50"
for message in messages:
    for cut in range(len(message) + 1):
        open(message, cut)[0].close()
for message in messages:
    s, port = open(message, len(message), b"early")
    goes("reads", port)
    reply(s, message[0])
    s.sendall(b", late")
    s.shutdown(socket.SHUT_WR)
    assert exactly(s, 11) == b"EARLY, LATE" and s.recv(1) == b""
    s, port = open(message, 0)
    goes("reset", port)
    reply(s, message[0])
    try:
        assert False, s.recv(1)
    except ConnectionResetError:
        pass
    s, port = open(message, 0)
    goes("reads", port)
    reply(s, message[0])
    s.sendall(b"cut")
    time.sleep(0.1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
print("done", flush=True)
"#;
    let mut visitor = place.world.far(PYTHON).args(["-c", visitor]).limit(Duration::MAX).spawn();
    let mut client = place.world.client(PYTHON).args(["-c", client]).limit(Duration::MAX).spawn();
    let mut visits = 0;
    loop {
        let line = client.next_line();
        if line == "done" {
            break;
        }
        visits += 1;
        visitor.say(&line);
    }
    assert_eq!(visits, 6);
    visitor.close_input();
    for said in ["early, late", "cut and a reset"].repeat(2) {
        assert_eq!(visitor.next_line(), said);
    }
    client.wait().success();
    visitor.wait().success();
}

/// The relay's no, and that of a proxy that has no such command.
#[test]
fn what_cannot_listen_is_refused_in_the_words_of_the_protocol() {
    let place = Place::new("");
    let front = open(&place.world, &place.relay.url(&place.key));
    let refused = |version: &str| {
        let asked = place.world.client(PYTHON).args(["-c", BIND, version, EXIT]);
        asked.run().stdout
    };
    assert_eq!((refused("5"), refused("4")), ("reply 2 0.0.0.0 0\n".into(), "reply 91 0.0.0.0 0\n".into()));
    front.end();
    let microsocks = proxies::microsocks(&place.world, None);
    let _front = open(&place.world, microsocks.url());
    assert_eq!(refused("5"), "reply 7 0.0.0.0 0\n");
}

/// Through the BIND of another proxy.
#[test]
fn one_is_waited_for_at_dante() {
    let world = World::new();
    let dante = proxies::dante(&world);
    let _front = open(&world, &dante.url_as("socks5h"));
    let (mut client, ip, port) = bound(&world, "5", EXIT);
    assert_eq!(ip, EXIT);
    assert_eq!(visitor(&world, EXIT, 20_004, EXIT, &port).run().success(), "FROM THE VISITOR\n");
    assert_eq!(line(&mut client, "reply"), format!("reply 0 {EXIT} 20004"));
    client.wait().success();
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// A program that Dante's client carries to the door.
pub(crate) fn socksified(world: &World, program: &str) -> Command {
    let configuration = world.directory().join("socks.conf");
    let text = "resolveprotocol: fake\nroute {\n from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = 1081\n\
                proxyprotocol: socks_v5\n method: none\n}\nroute {\n from: 0.0.0.0/0 to: . via: 127.0.0.1 port = 1081\n\
                proxyprotocol: socks_v5\n method: none\n}\n";
    std::fs::write(&configuration, text).expect("the directory is ours");
    world.client("socksify").env("SOCKS_CONF", configuration).arg(program)
}

/// Connections by address and by name, and datagrams.
#[test]
fn dantes_own_client_comes_in() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    servers::start(world);
    let _front = open(world, &place.relay.url(&place.key));
    for to in ["10.99.0.1", "far.test"] {
        let got = socksified(world, "curl").args(["-sS", "-m", "60", &format!("telnet://{to}:7001")]).run();
        assert_eq!(got.success(), "hello\n", "{to}");
    }
    let echo = "import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(3)
for _ in range(5):
    u.sendto(b'datagram', ('10.99.0.1', 7007))
    try: print(u.recv(100)); break
    except socket.timeout: pass";
    assert_eq!(socksified(world, PYTHON).args(["-c", echo]).run().success(), "b'datagram'\n");
}
