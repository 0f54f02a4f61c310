//! What is refused, and what fails closed.

use std::time::Duration;

use underpass_tests::behaviour::Behaviour;
use underpass_tests::{World, proxies, servers, wait};

use crate::{bare, guarded, no_leaks};

/// Each line is what was tried, and its errno.
const TRIES: &str = r#"
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, call):
    try:
        call()
        print(what, "done")
    except OSError as error:
        print(what, errno.errorcode[error.errno])
def number(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def made(*arguments):
    return lambda: socket.socket(*arguments).close()
s = socket.socket()
there = ("10.99.0.1", 7001)
tried("packet", made(17, socket.SOCK_RAW, 0))
tried("raw", made(2, socket.SOCK_RAW, 255))
tried("raw6", made(10, socket.SOCK_RAW, 58))
tried("ping", made(2, socket.SOCK_DGRAM, 1))
tried("ping6", made(10, socket.SOCK_DGRAM, 58))
tried("mptcp", made(2, socket.SOCK_STREAM, 262))
tried("sctp", made(2, socket.SOCK_STREAM, 132))
tried("udplite", made(2, socket.SOCK_DGRAM, 136))
tried("dccp", made(2, 6, 33))
tried("vsock", made(40, socket.SOCK_STREAM, 0))
tried("smc", made(43, socket.SOCK_STREAM, 0))
tried("unix", made(1, socket.SOCK_STREAM, 0))
tried("netlink", made(16, socket.SOCK_RAW, 0))
tried("device", lambda: s.setsockopt(socket.SOL_SOCKET, 25, b"lo\0"))
tried("ifindex", lambda: s.setsockopt(socket.SOL_SOCKET, 62, 1))
tried("fastopen sendto", lambda: s.sendto(b"x", socket.MSG_FASTOPEN, there))
tried("fastopen sendmsg", lambda: s.sendmsg([b"x"], [], socket.MSG_FASTOPEN, there))
tried("ring", lambda: number(425, 4, 0))
tried("ring enter", lambda: number(426, 3, 0, 0, 0, 0, 0))
tried("ring register", lambda: number(427, 3, 0, 0, 0))
tried("setns", lambda: number(308 if os.uname().machine == "x86_64" else 268, 3, 0))
tried("pidfd_getfd", lambda: number(438, 3, 0, 0))
tried("filter", lambda: number(317 if os.uname().machine == "x86_64" else 277, 1, 8, 0))
"#;

const ANSWERS: &str = "\
packet EPERM
raw EPERM
raw6 EPERM
ping EACCES
ping6 EACCES
mptcp EPROTONOSUPPORT
sctp EPROTONOSUPPORT
udplite EPROTONOSUPPORT
dccp ESOCKTNOSUPPORT
vsock EAFNOSUPPORT
smc EAFNOSUPPORT
unix done
netlink done
device EPERM
ifindex EPERM
fastopen sendto ENOTSUP
fastopen sendmsg ENOTSUP
ring ENOSYS
ring enter ENOSYS
ring register ENOSYS
setns EPERM
pidfd_getfd EPERM
filter EFAULT
";

#[test]
fn what_could_leave_cannot_be_made() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let done = bare(&world, proxy.url()).args(["-c", TRIES]).run();
    assert_eq!(done.clone().success(), ANSWERS, "{done}");
    no_leaks(&world);
}

#[test]
fn without_its_supervisor_a_program_has_no_network() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let script = r#"
import errno, os, socket, time
before = socket.socket()
supervisor = os.getppid()
os.kill(supervisor, 9)
while os.getppid() == supervisor:
    time.sleep(0.01)
def tried(call):
    try:
        call()
        print("done", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
tried(lambda: before.connect(("10.99.0.1", 7001)))
tried(lambda: socket.socket())
tried(lambda: socket.socket(2, socket.SOCK_DGRAM))
open("told", "w").close()
"#;
    let program = bare(&world, proxy.url()).args(["-c", script]);
    let mut running = program.spawn();
    for _ in 0..3 {
        assert_eq!(running.next_line(), "ENOSYS");
    }
    let done = running.wait();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("the supervisor has been killed"), "{done}");
    assert_eq!(proxy.requests().len(), 0);
    no_leaks(&world);
}

#[test]
fn what_does_not_let_itself_be_looked_at_is_refused() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    // With its capabilities root may look at everything.
    let plain = |option: &[&str]| {
        let least = ["--bounding-set=-all", "--inh-caps=-all", "--"];
        let line = ["-x", proxy.url(), "--tier", "guard", "--"];
        let launcher = world.client("setpriv").args(least).arg(underpass_tests::artifacts::underpass());
        launcher.args(option).args(line).args(["busybox", "env", "-i", "/usr/bin/python3", "-c"])
    };
    let script = r#"
import ctypes, socket
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print([socket.socket().connect_ex(("10.99.0.1", 7001)) for _ in range(3)])
socket.socket(socket.AF_UNIX).bind("\0" + "as ssh-agent's, one of a longer name than that")
try:
    socket.socket(socket.AF_INET6).bind(("::1", 0))
except OSError as error:
    print(error.errno)
"#;
    let done = plain(&[]).arg(script).run();
    let said =
        "underpass: warning: python3: its connections are refused: it does not let itself be looked at ";
    assert!(done.stderr.starts_with(said) && done.stderr.lines().count() == 2, "{done}");
    assert_eq!(done.success(), "[13, 13, 13]\n13\n");
    let quiet = plain(&["-q"]).arg(script).run();
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("[13, 13, 13]\n13\n", ""), "{quiet}");
    no_leaks(&world);
}

/// Where routes ask for a program that nobody can know.
#[test]
fn datagrams_of_what_does_not_let_itself_be_looked_at_are_refused() {
    let world = World::new();
    let program = underpass_tests::artifacts::program("sends");
    for (route, outcome, leaks) in [("program = 'none'", "ENETUNREACH\n", 0), ("port = 1", "", 1)] {
        let text = format!("default = 'direct'\n[[route]]\n{route}\nto = 'refuse'\n");
        std::fs::write(world.directory().join("routes.toml"), text).expect("the directory is ours");
        let least = ["--bounding-set=-all", "--inh-caps=-all", "--"];
        let launcher = world.client("setpriv").args(least).arg(underpass_tests::artifacts::underpass());
        let line = ["-f", "routes.toml", "--tier", "guard", "--"];
        let mut hidden = launcher.args(line).arg(&program).args(["hidden", "10.99.0.1", "7007"]).spawn();
        if outcome.is_empty() {
            wait("a datagram", || world.leaks() == leaks);
        } else {
            assert_eq!(format!("{}\n", hidden.next_line()), outcome);
        }
        assert_eq!(world.leaks(), leaks);
    }
}

#[test]
fn nobody_is_supervised_twice() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let inner = underpass_tests::artifacts::underpass();
    let done = guarded(&world, proxy.url(), inner).args(["-x", "local:", "--tier", "guard", "true"]).run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("under guard already"), "{done}");
}

#[test]
fn without_seccomp_the_tier_cannot_be_had() {
    // Which a filter refuses, as a container's may.
    let world = World::new();
    let refusing = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
seccomp = 317 if os.uname().machine == "x86_64" else 277
looks = 310 if os.uname().machine == "x86_64" else 270
code = [(0x20, 0, 0, 0), (0x15, 0, 1, looks), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)]
filter = b"".join(struct.pack("HBBI", *one) for one in code)
room = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(room))
libc.prctl(38, 1, 0, 0, 0)
assert libc.syscall(seccomp, 1, 0, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;
    let underpass = underpass_tests::artifacts::underpass();
    let run = |line: &[&str]| {
        world.client("python3").args(["-c", refusing]).arg(&underpass).args(["-x", "local:"]).args(line).run()
    };
    let done = run(&["--tier", "guard", "true"]);
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("tier guard: process_vm_readv: it is refused here"), "{done}");
    let done = run(&["busybox", "true"]);
    assert_eq!(done.code(), 126, "{done}");
    assert!(done.stderr.contains("tier guard would carry it, but process_vm_readv"), "{done}");
    assert_eq!(run(&["true"]).code(), 0);
}

/// Connects as often as is said to an echo server far away, says so, and wants its own words back.
const ECHOES: &str = r#"
import select, socket, sys
port, word, number = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
sockets = [socket.socket() for _ in range(number)]
for s in sockets:
    s.setblocking(False)
    s.connect_ex(("10.99.0.1", port))
print("connect", flush=True)
back = set()
for s in sockets:
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    poll.poll(20000)
    s.settimeout(20)
    try:
        s.sendall(word)
        back.add(s.recv(100).decode())
    except OSError as error:
        back.add(str(error))
print(*back, flush=True)
"#;

/// The kernel gives an unbound socket both addresses of one that is bound to a device, as those under guard are: it has
/// come round to the same port when it has given each second one of them.
#[test]
fn a_held_socket_shares_its_addresses_with_no_other() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let port = servers::port::ECHO;
    proxy.on(port, Behaviour::Delay(Duration::from_secs(2)));
    world.client("sysctl").args(["-qw", "net.ipv4.ip_local_port_range=40000 40031"]).run().success();
    let port = port.to_string();
    let mut held = bare(&world, proxy.url()).args(["-c", ECHOES, &port, "held", "1"]).spawn();
    assert_eq!(held.next_line(), "connect");
    let hooked = world.wrapped(proxy.url(), "/usr/bin/python3");
    let mut hooked = hooked.args(["-c", ECHOES, &port, "hooked", "16"]).spawn();
    assert_eq!(hooked.next_line(), "connect");
    assert_eq!((held.next_line().as_str(), hooked.next_line().as_str()), ("held", "hooked"));
    no_leaks(&world);
}
