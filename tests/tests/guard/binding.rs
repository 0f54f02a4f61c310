//! What a program binds its sockets to.

use underpass_tests::{World, proxies};

use crate::bare;
use crate::container::contained;

/// Says how each `bind()` ends; then listens at the port 4445 of all addresses until standard input ends.
const LINKS: &str = r#"
import errno, os, socket, sys, threading
card = socket.if_nametoindex("veth-c")
def bound(s, *address):
    try:
        s.bind(address)
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
def device(s):
    return s.getsockopt(socket.SOL_SOCKET, 25, 16).rstrip(b"\0").decode()
one = socket.socket(socket.AF_INET6)
print(bound(one, "fe80::aa", 4444, 0, card), device(one))
two = socket.socket(socket.AF_INET6)
two.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
print(bound(two, "fe80::aa", 0, 0, 1), bound(two, "fe80::dead", 0, 0, card), device(two))
print(bound(two, "::", 4445), device(two))
two.listen()
inner = socket.create_connection(("::1", 4445))
print(two.accept()[1][0], flush=True)
sys.stdin.read()
"#;

const BOUND: [&str; 4] = ["EADDRNOTAVAIL lo", "EADDRNOTAVAIL EADDRNOTAVAIL lo", "done lo", "::1"];

/// From another machine.
const VISIT: &str = r#"
import errno, socket
for address in (("fd77::2", 4445), ("fe80::aa", 4445, 0, socket.if_nametoindex("veth-n"))):
    s = socket.socket(socket.AF_INET6)
    s.settimeout(5)
    print(errno.errorcode.get(s.connect_ex(address), "connected"))
"#;

#[test]
fn a_listener_is_reached_from_this_machine_alone_whatever_it_was_bound_to() {
    let world = World::direct();
    for (command, address, card) in
        [(world.client("ip"), "fe80::aa/64", "veth-c"), (world.far("ip"), "fe80::bb/64", "veth-n")]
    {
        command.args(["addr", "add", address, "dev", card, "nodad"]).run().success();
    }
    let proxy = proxies::fake(&world);
    let in_container = contained(&world, proxy.url(), "busybox").args(["env", "-i", "/usr/bin/python3"]);
    for program in [bare(&world, proxy.url()), in_container] {
        let mut program = program.args(["-c", LINKS]).spawn();
        assert_eq!([(); 4].map(|()| program.next_line()), BOUND);
        let visited = world.far("python3").args(["-c", VISIT]).run().success();
        assert_eq!(visited, "ECONNREFUSED\nECONNREFUSED\n");
        program.end();
    }
}

/// All that is as without us.
const NATIVE: &str = r#"
import ctypes, errno, os, socket, stat, struct
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, fd, address, length=None):
    length = len(address) if length is None else length
    done = libc.bind(fd, address, ctypes.c_int(length))
    print(what, errno.errorcode[ctypes.get_errno()] if done < 0 else "done", flush=True)
def in6(host, port, family=10, scope=0):
    return struct.pack("=HHI16sI", family, socket.htons(port), 0, socket.inet_pton(10, host), scope)
def in4(host, port):
    return struct.pack("=HH4s8x", 2, socket.htons(port), socket.inet_aton(host))
def made(family, kind=1):
    s = socket.socket(family, kind)
    kept.append(s)
    return s.fileno()
kept = []
tried("no number", -1, in6("::1", 0))
tried("no number nor address", 999, None, 28)
tried("no socket", 0, in6("::1", 0))
tried("O_PATH", os.open(".", os.O_PATH), in6("::1", 0))
for family in (socket.AF_INET, socket.AF_INET6):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        fd = made(family, kind)
        print(family, kind)
        tried("no address", fd, None, 28)
        for length in (-1, 0, 15, 23, 129):
            tried(f"of {length} bytes", fd, in6("::1", 0) + bytes(200), length)
        tried("of a Unix socket", fd, b"\1\0/" + bytes(107))
        # Datagrams have a network in which all addresses are own.
        kind == socket.SOCK_STREAM and tried("of another", fd, in6("2001:db8::9", 0) if family == 10 else in4("192.0.2.9", 0) + bytes(16))
        for group in ("ff02::1", "ff01::1"):
            kind == socket.SOCK_STREAM and tried(group, fd, in6(group, 0, scope=2))
        tried("of the other family", fd, in6("::1", 0) if family == 2 else in4("127.0.0.1", 0) + bytes(16))
        tried("own", fd, in6("::1", 5555) + bytes(9) if family == 10 else in4("127.0.0.1", 5555) + bytes(16))
        print(kept[-1].getsockname())
        tried("again", fd, in6("::1", 0))
        tried("again, at a link", fd, in6("fe80::1", 0, scope=2))
        tried("in use", made(family, kind), in6("::1", 5555) if family == 10 else in4("127.0.0.1", 5555) + bytes(16))
v6 = socket.socket(socket.AF_INET6)
tried("mapped", v6.fileno(), in6("::ffff:127.0.0.1", 5556))
print(v6.getsockname())
os.umask(0o027)
os.mkdir("deep")
os.chdir("deep")
unix = socket.socket(socket.AF_UNIX)
unix.bind("a name that is longer than an address of IPv6")
print(unix.getsockname(), oct(os.lstat(unix.getsockname()).st_mode))
unix = socket.socket(socket.AF_UNIX)
unix.bind("\0a name that is longer than an address of IPv6")
print(unix.getsockname())
tried("low", made(socket.AF_INET6), in6("::", 443))
os.chmod("..", 0o755)
try:
    os.setresgid(1234, 1234, 1234)
    os.setresuid(1234, 1234, 1234)
except OSError:
    print("is nobody else")
libc.prctl(4, 1, 0, 0, 0)
tried("low, as another user", made(socket.AF_INET6), in6("::", 444))
tried("low at another's address", made(socket.AF_INET6), in6("2001:db8::9", 444))
tried("high, as another user", made(socket.AF_INET6), in6("::", 5557))
"#;

#[test]
fn what_is_bound_is_bound_as_natively() {
    let native = World::direct().client("/usr/bin/python3").args(["-c", NATIVE]).run().success();
    let world = World::new();
    let proxy = proxies::fake(&world);
    let another = match rustix::process::geteuid().is_root() {
        true => "low done\nlow, as another user EACCES\n",
        false => "low done\nis nobody else\n",
    };
    assert!(native.contains(another), "{native}");
    let done = bare(&world, proxy.url()).args(["-c", NATIVE]).run();
    assert_eq!(done.clone().success(), native, "{done}");
}
