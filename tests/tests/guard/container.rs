//! Under a filter like that of a container's default profile: pidfd_getfd(2) is refused, and so is all that makes user
//! namespaces.

use underpass_tests::servers::port;
use underpass_tests::{Command, World, artifacts, proxies, servers};

use crate::near_proxy::{configuration, forwarded};
use crate::no_leaks;
use crate::worlds::{Both, Case};

/// Starts a program under that filter: no clone makes a namespace. clone3 is ENOSYS there, so that libraries fall back to what can be judged.
const CONTAINER: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == "x86_64"
EPERM, ENOSYS, ALLOW = 0x50001, 0x50026, 0x7fff0000
refused = [438, *((272, 308, 165) if x86 else (97, 268, 40))]
code = [(0x20, 0, 0, 0)]
for number in refused:
    code += [(0x15, 0, 1, number), (0x06, 0, 0, EPERM)]
code += [(0x15, 0, 1, 435), (0x06, 0, 0, ENOSYS)]
code += [(0x15, 0, 3, 56 if x86 else 220), (0x20, 0, 0, 16), (0x45, 0, 1, 0x7e020000), (0x06, 0, 0, EPERM)]
code += [(0x06, 0, 0, ALLOW)]
filter = b"".join(struct.pack("HBBI", *one) for one in code)
room = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(room))
libc.prctl(38, 1, 0, 0, 0)
assert libc.syscall(317 if x86 else 277, 1, 0, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// A program under guard in such a container.
pub(crate) fn contained(world: &World, upstream: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let started = world.client("python3").args(["-c", CONTAINER]).arg(artifacts::underpass());
    started.args(["-x", upstream, "--tier", "guard", "--"]).arg(program)
}

fn world() -> (World, proxies::Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

#[test]
fn static_programs_are_carried_as_natively() {
    const SLOW: u16 = port::slow(port::ECHO);
    let both = Both { before: &["python3", "-c", CONTAINER], ..Both::guarded() };
    both.compare(&[
        Case::new("outcome", port::ECHO),
        Case::new("outcome", port::REFUSED).more(&["errno"]),
        Case::new("again", SLOW).more(&["connect"]),
        Case::new("wait", SLOW).more(&["et", "before"]),
        Case::new("wait", SLOW).more(&["lt", "after"]),
    ]);
    assert!(!both.proxy.requests().is_empty());
}

#[test]
fn real_programs_are_carried() {
    let (world, proxy) = world();
    let _web = world.far("busybox").args(["httpd", "-f", "-p", "7080", "-h", "/etc"]).spawn();
    world.wait_listening(7080);
    let fetched =
        contained(&world, proxy.url(), "busybox").args(["wget", "-qO-", "http://10.99.0.1:7080/hosts"]);
    assert_eq!(fetched.run().success(), world.far("cat").arg("/etc/hosts").run().success());
    let script = r#"
import os, select, socket, subprocess
there = ("10.99.0.1", 7001)
s = socket.create_connection(there)
print(s.getpeername(), f":{s.getsockname()[1]:04X} " in open("/proc/self/net/tcp").read(), s.recv(9))
s = socket.socket()
# One and the same, until it is connected: copies of the number, and another program's.
other = os.dup(s.fileno())
print(s.connect_ex(("10.99.0.1", 7099)), s.connect_ex(there), socket.socket(fileno=other).recv(9))
s = socket.socket()
s.setblocking(False)
print(s.connect_ex(("10.99.0.1", 7099)))
select.select([], [s], [])
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
# What listens on loopback is direct, and its port is free once it is closed.
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
s = socket.create_connection(("127.0.0.1", port))
accepted = listener.accept()[0]
s.close()
print(accepted.recv(9))
accepted.close()
listener.close()
probe = socket.socket()
probe.bind(("127.0.0.1", 0))
port = probe.getsockname()[1]
probe.close()
socket.create_server(("127.0.0.1", port), reuse_port=False).close()
bound = socket.socket()
bound.bind(("0.0.0.0", 0))
print(bound.connect_ex(there))
print(subprocess.run(["/usr/bin/busybox", "nc", "10.99.0.1", "7001"], env={}, capture_output=True).stdout)
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
except OSError as error:
    print(error.errno)
"#;
    let expected =
        "('10.99.0.1', 7001) True b'hello\\n'\n111 0 b'hello\\n'\n115\n111 0\nb''\n101\nb'hello\\n'\n13\n";
    let done =
        contained(&world, proxy.url(), "busybox").args(["env", "-i", "/usr/bin/python3", "-c", script]).run();
    assert_eq!(done.clone().success(), expected, "{done}");
    no_leaks(&world);
}

#[test]
fn after_the_agent_was_killed_a_socket_can_be_connected_again() {
    let (world, proxy) = world();
    let script = r#"
import socket
s = socket.socket()
for _ in range(2):
    print("ready", flush=True)
    input()
    print(s.connect_ex(("10.99.0.1", 7001)), flush=True)
print(s.recv(9))
"#;
    let line = ["env", "-i", "/usr/bin/python3", "-c", script];
    let mut program = contained(&world, proxy.url(), "busybox").args(line).spawn();
    assert_eq!(program.next_line(), "ready");
    for agent in world.agents() {
        world.signal(agent, rustix::process::Signal::KILL);
    }
    while !world.agents().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    program.say("go on");
    assert_eq!([program.next_line(), program.next_line()], ["101", "ready"]);
    // Which goes on serving what was there before.
    contained(&world, proxy.url(), "true").run().success();
    program.say("go on");
    assert_eq!([program.next_line(), program.next_line()], ["0", r"b'hello\n'"]);
    program.wait().success();
    no_leaks(&world);
}

#[test]
fn what_a_program_with_the_library_closes_is_closed() {
    let (world, proxy) = world();
    let script = r#"
import os, socket, time
def is_open():
    return any(line.split()[9] == inode for line in open("/proc/self/net/tcp"))
s = socket.create_connection(("10.99.0.1", 7007))
inode = str(os.fstat(s.fileno()).st_ino)
s.sendall(b"word")
print(is_open(), s.recv(4))
s.close()
limit = time.monotonic() + 10
while is_open() and time.monotonic() < limit:
    time.sleep(0.01)
print(is_open())
"#;
    let _near = forwarded(&world);
    let near = configuration(&world, "", "");
    for upstream in [["-x", proxy.url()], ["-f", &near]] {
        let started =
            world.client("python3").args(["-c", CONTAINER]).arg(artifacts::underpass()).args(upstream);
        let done = started.args(["--tier", "guard", "--", "/usr/bin/python3", "-c", script]).run();
        assert_eq!(done.clone().success(), "True b'word'\nFalse\n", "{done}");
    }
    no_leaks(&world);
}

#[test]
fn so_many_sockets_are_known() {
    let (world, proxy) = world();
    // Of those that are made and closed the oldest are forgotten, and their copies with them.
    let script = r#"
import socket
for _ in range(3000):
    socket.socket().close()
print(socket.create_connection(("10.99.0.1", 7001)).recv(9))
"#;
    let done =
        contained(&world, proxy.url(), "busybox").args(["env", "-i", "/usr/bin/python3", "-c", script]).run();
    assert_eq!(done.clone().success(), "b'hello\\n'\n", "{done}");
    no_leaks(&world);
}

#[test]
fn what_is_had_is_said() {
    let (world, proxy) = world();
    let started = world.client("python3").args(["-c", CONTAINER]).arg(artifacts::underpass());
    let done = started.args(["-v", "-x", proxy.url(), "--tier", "guard", "--", "true"]).run();
    assert_eq!(done.code(), 0, "{done}");
    assert!(done.stderr.contains("pidfd_getfd is refused, so copies of sockets are kept"), "{done}");
    assert!(done.stderr.contains("datagrams are refused: a network of their own"), "{done}");
}
