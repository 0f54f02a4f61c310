//! What the kernel redirects: connections by nftables' redirect, datagrams by TPROXY. The commands are those of
//! docs/front-door.md.

use rustix::process::Signal;
use underpass_tests::behaviour::Behaviour::Reply;
use underpass_tests::{Command, World, artifacts, proxies, servers, wait};

use crate::place::{no_leaks, python, start, wait_here, world};

/// A namespace `box` that has a way to the client's side alone, and the doors there.
const BOX: &str = r"
set -e
ip netns add box
ip link add box0 type veth peer name eth0 netns box
ip addr add 10.88.0.1/24 dev box0
ip addr add fd88::1/64 dev box0 nodad
ip link set box0 up
nsenter --net=/run/netns/box sh -e <<END
ip link set lo up
ip addr add 10.88.0.2/24 dev eth0
ip addr add fd88::2/64 dev eth0 nodad
ip link set eth0 up
ip route add default via 10.88.0.1
ip -6 route add default via fd88::1
END
";

/// The block of commands in the document that begins with this one.
fn commands(first: &str) -> String {
    let document = include_str!("../../../docs/front-door.md");
    let block = document.split("\n\n").find(|block| block.trim_start().starts_with(first)).expect(first);
    block.replace("nft -f redirect.nft", "nft -f \"$1\"")
}

fn boxed(world: &World, program: &str) -> Command {
    world.client("nsenter").args(["--net=/run/netns/box", program])
}

/// Makes the box, and the rules.
fn redirect(world: &World) {
    world.client("bash").args(["-c", BOX]).run().success();
    redirect_by(world, include_str!("../../../docs/redirect.nft"));
}

/// The same, and SYNs wait in a queue.
fn hold(world: &World) {
    world.client("bash").args(["-c", BOX]).run().success();
    let rules = include_str!("../../../docs/redirect-hold.nft");
    let (before, rest) = rules.split_once("  chain hold {\n").expect("it is there");
    let (chain, after) = rest.split_once("  }\n").expect("it has an end");
    let alone = format!("{before}  chain hold {{\n{chain}  }}\n}}\n");
    let tried = world.client("nft").args(["-c", "-f", "-"]).input(alone).run();
    if tried.status.success() {
        return redirect_by(world, rules);
    }
    // A kernel without it.
    assert!(tried.stderr.contains("queue num 117"), "{tried}");
    let queues = commands("iptables ");
    world.client("bash").args(["-c", &format!("set -e\n{queues}")]).run().success();
    redirect_by(world, &format!("{before}{after}"));
}

/// These rules, and the document's routes.
fn redirect_by(world: &World, text: &str) {
    let rules = world.directory().join("redirect.nft");
    std::fs::write(&rules, text).expect("the directory is ours");
    let script = format!("set -e\n{}", commands("nft -f redirect.nft"));
    world.client("bash").args(["-c", &script, "rules"]).arg(&rules).run().success();
}

/// Every program of the box is carried, whatever it is made of: connections, names and datagrams of both families.
#[test]
fn a_box_goes_through_the_chain() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    redirect(&world);
    let doors = ["--listen", "redirect://[::]:1090", "--listen", "tproxy://[::]:1091"];
    let front = start(&world, &[&["run", "-x", &dante.url_as("socks5h")], &doors[..]].concat());
    wait_here(&world, 1090);
    // A static program, with a name.
    let before = dante.served("far.test", 7001);
    let script = "for i in 1 2 3; do busybox nc far.test 7001 </dev/null; done";
    let said = boxed(&world, "busybox").args(["sh", "-c", script]).run().success().to_owned();
    assert_eq!(said, "hello\n".repeat(3));
    dante.wait_served("far.test", 7001, before + 3);
    let script = r#"
import socket
def rest(s):
    answer = b""
    try:
        while piece := s.recv(65536): answer += piece
    except ConnectionResetError: answer += b"<reset>"
    return answer
def to(host, port):
    s = socket.create_connection((host, port), 60)
    assert s.getpeername()[:2] == (host, port)
    return s
for host in "10.99.0.1", "fd99::1":
    assert rest(to(host, 7001)) == b"hello\n", host
    s = to(host, 7005)
    s.sendall(b"x" * 5000); s.shutdown(socket.SHUT_WR)
    assert rest(s) == b"5000\n" + b"x" * 100000
    # The kernel has accepted before the far end could.
    assert rest(to(host, 7099)) == b"<reset>"
# Each answer is from where the datagram was sent to.
pairs = []
for host in "10.99.0.1", socket.gethostbyname("far.test"):
    for port in 7007, 7009:
        for n in range(3):
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.settimeout(2)
            pairs.append((u, (host, port)))
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.settimeout(2)
# A datagram may be lost, and is sent again then.
for turn in range(3):
    for n, (u, at) in enumerate(pairs):
        u.sendto(b"%d" % n, at)
    for n, (u, at) in enumerate(pairs):
        while True:
            try:
                assert u.recvfrom(100) == (b"%d" % n, at)
                break
            except socket.timeout:
                u.sendto(b"%d" % n, at)
left = {at for _, at in pairs}
while left:
    for at in left:
        one.sendto(str(at).encode(), at)
    try:
        for _ in range(len(left)):
            words, by = one.recvfrom(100)
            assert words == str(by).encode()
            left.discard(by)
    except socket.timeout:
        pass
print("good")
"#;
    assert_eq!(boxed(&world, "python3").args(["-c", script]).run().success(), "good\n");
    // Whoever comes by no rule is sent away, and nothing is dialled in a circle.
    let direct = r#"
import socket
try:
    print(socket.create_connection(("127.0.0.1", 1090), 60).recv(1))
except ConnectionResetError: print("reset")
"#;
    assert_eq!(python(&world, direct), "reset\n");
    no_leaks(&world);
    drop(front);
}

/// The agent answers what is asked over UDP also where the chain carries no datagrams.
#[test]
fn names_of_a_box_are_known_where_the_chain_carries_no_datagrams() {
    let world = World::new();
    redirect(&world);
    let doors = ["--listen", "redirect://[::]:1090", "--listen", "tproxy://[::]:1091"];
    let front = start(&world, &[&["run", "-x", "http://10.77.0.1:3128"], &doors[..]].concat());
    wait_here(&world, 1090);
    let script = r#"
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(2)
# A datagram may be lost, and is sent again then.
for turn in range(30):
    u.sendto(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03far\x04test\0\0\x01\0\x01", ("10.99.0.1", 53))
    try: answer = u.recv(512)
    except socket.timeout: continue
    assert answer[:2] == b"\x12\x34" and answer[7] == 1 and b"\x04\xc6\x12" in answer, answer
    break
else: raise SystemExit("no answer")
print("good")
"#;
    assert_eq!(boxed(&world, "python3").args(["-c", script]).run().success(), "good\n");
    no_leaks(&world);
    drop(front);
}

/// Datagrams of IPv6, through a relay.
#[test]
fn datagrams_of_both_families_are_taken() {
    let world = World::direct();
    servers::start(&world);
    redirect(&world);
    let doors = ["--listen", "redirect://[::]:1090", "--listen", "tproxy://[::]:1091"];
    let front = start(&world, &[&["run", "-x", "local:"], &doors[..]].concat());
    wait_here(&world, 1090);
    let script = r#"
import socket
for family, host in (socket.AF_INET6, "fd99::1"), (socket.AF_INET, "10.99.0.1"):
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.settimeout(60)
    for turn in range(3):
        for port in 7007, 7009:
            u.sendto(b"%d" % port, (host, port))
            words, by = u.recvfrom(100)
            assert (words, by[:2]) == (b"%d" % port, (host, port)), by
print("good")
"#;
    assert_eq!(boxed(&world, "python3").args(["-c", script]).run().success(), "good\n");
    drop(front);
}

/// The program's connect() ends as the far end has it, and not before.
#[test]
fn a_connection_is_accepted_when_the_far_end_has_accepted() {
    let (world, proxy) = world();
    hold(&world);
    for (port, code) in [(7021, 2), (7022, 3), (7023, 4), (7024, 5)] {
        proxy.on(port, Reply(code));
    }
    let doors = ["--listen", "redirect://[::]:1090?hold=117", "--listen", "tproxy://[::]:1091"];
    let front = start(&world, &[&["run", "-x", proxy.url()], &doors[..]].concat());
    wait_here(&world, 1090);
    let script = r#"
import errno, select, socket, time
def rest(s):
    answer = b""
    while piece := s.recv(65536): answer += piece
    return answer
for host in "10.99.0.1", "fd99::1":
    assert rest(socket.create_connection((host, 7001), 60)) == b"hello\n", host
    s = socket.create_connection((host, 7005), 60)
    assert s.getpeername()[:2] == (host, 7005)
    s.sendall(b"x" * 5000); s.shutdown(socket.SHUT_WR)
    assert rest(s) == b"5000\n" + b"x" * 100000
    said = {}
    for port in 7099, 7021, 7022, 7023, 7024:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
            # Not polled for: a poll may see an ICMP message before SO_ERROR has what it says.
            said[port] = errno.errorcode[s.connect_ex((host, port))]
    prohibited = "EACCES" if ":" in host else "EHOSTUNREACH"
    assert list(said.values()) == ["ECONNREFUSED", prohibited, "ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED"], said
    # The proxy answers after 2 s, in which the SYN comes again.
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setblocking(False)
    s.connect_ex((host, 9001))
    assert select.select([], [s], [], 0.5)[1] == [], "it is accepted before the far end has"
    assert select.select([], [s], [], 60)[1] == [s]
    s.setblocking(True)
    assert rest(s) == b"hello\n"
# A name, and what it stands for.
assert rest(socket.create_connection(("far.test", 7001), 60)) == b"hello\n"
# Two from one port: netfilter gives the second another one towards the door.
for host in "10.99.0.1", "far.test":
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", 20117))
        s.connect((host, 7001))
        assert rest(s) == b"hello\n", host
# Many at once, through a proxy that needs a second for each.
many = [socket.socket() for _ in range(200)]
poll = select.poll()
for n, s in enumerate(many):
    s.setblocking(False)
    s.connect_ex(("10.99.0.1", 8007))
    poll.register(s, select.POLLOUT)
left = set(s.fileno() for s in many)
while left:
    ready = poll.poll(60_000)
    assert ready, left
    for fd, events in ready:
        assert events == select.POLLOUT, events
        poll.unregister(fd)
        left.discard(fd)
for n, s in enumerate(many):
    s.setblocking(True)
    s.sendall(b"%d" % n); s.shutdown(socket.SHUT_WR)
for n, s in enumerate(many):
    assert rest(s) == b"%d" % n
print("good")
"#;
    assert_eq!(boxed(&world, "python3").args(["-c", script]).run().success(), "good\n");
    // The proxy was asked once for each.
    let to = |port| proxy.requests().iter().filter(|request| request.port == port).count();
    assert_eq!((to(9001), to(8007)), (2, 200));
    // Without the agent nothing is accepted, and nothing goes another way.
    let stays = r#"
import socket
s = socket.create_connection(("10.99.0.1", 7007), 60)
s.sendall(b"x"); assert s.recv(1) == b"x"
print("open", flush=True)
try: print("end", s.recv(1), flush=True)
except ConnectionResetError: print("reset", flush=True)
try: socket.create_connection(("10.99.0.1", 7001), 2.5)
except TimeoutError: print("timed out", flush=True)
"#;
    let mut program = boxed(&world, "python3").args(["-c", stays]).spawn();
    assert_eq!(program.next_line(), "open");
    front.signal(Signal::KILL);
    assert_eq!([program.next_line(), program.next_line()], ["reset", "timed out"]);
    wait("it ends", || world.agents().is_empty());
    no_leaks(&world);
}

/// What the door cannot do without is said when it opens; what comes round the queue is not carried.
#[test]
fn a_door_that_holds_has_its_queue_and_lets_nobody_round_it() {
    let (world, proxy) = world();
    redirect(&world);
    let door = ["run", "--listen", "redirect://[::]:1090?hold=117", "-x", proxy.url()];
    let front = start(&world, &door);
    wait_here(&world, 1090);
    let script = r#"
import socket
try: print(socket.create_connection(("10.99.0.1", 7001), 60).recv(1))
except ConnectionResetError: print("reset")
"#;
    assert_eq!(boxed(&world, "python3").args(["-c", script]).run().success(), "reset\n");
    let other = ["run", "--listen", "redirect://127.0.0.1:1092?hold=117", "-x", proxy.url()];
    let taken = world.client(artifacts::agent()).args(other).run();
    let unprivileged = world.client("setpriv").args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
    let refused = unprivileged.arg(artifacts::agent()).args(other).run();
    for done in [taken, refused] {
        let why = "underpass-agent: redirect://127.0.0.1:1092?hold=117: queue 117: Operation not permitted";
        assert!(done.stderr.starts_with(why), "{done}");
        assert!(
            done.stderr.contains("\nhint: it needs CAP_NET_ADMIN, and a queue that nobody else has"),
            "{done}"
        );
        assert_eq!(done.code(), 125);
    }
    assert_eq!(proxy.requests().len(), 0);
    no_leaks(&world);
    drop(front);
}
