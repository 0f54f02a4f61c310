//! What the kernel redirects: connections by nftables' redirect, datagrams by TPROXY. The commands are those of
//! docs/front-door.md.

use underpass_tests::{Command, World, proxies, servers};

use crate::place::{no_leaks, python, start, wait_here};

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
    let rules = world.directory().join("redirect.nft");
    std::fs::write(&rules, include_str!("../../../docs/redirect.nft")).expect("the directory is ours");
    world.client("bash").args(["-c", BOX]).run().success();
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
