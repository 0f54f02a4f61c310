//! On a kernel where pidfd_open(2) knows no threads but the first of each process (before Linux 6.9).

use underpass_tests::{World, artifacts, proxies, servers};

use crate::no_leaks;

/// Starts a program where PIDFD_THREAD is an unknown flag.
const OLDER: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 3, 434), (0x20, 0, 0, 24), (0x15, 0, 1, os.O_EXCL), (0x06, 0, 0, 0x50016), (0x06, 0, 0, 0x7fff0000)]
filter = b"".join(struct.pack("HBBI", *one) for one in code)
room = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(room))
libc.prctl(38, 1, 0, 0, 0)
assert libc.syscall(317 if os.uname().machine == "x86_64" else 277, 1, 0, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn threads_are_carried() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let script = r#"
import socket, threading
def visit():
    s = socket.create_connection(("10.99.0.1", 7001))
    said.append((s.getpeername(), s.recv(9)))
said = []
threads = [threading.Thread(target=visit) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
visit()
print(len(said), *set(said))
"#;
    for tier in ["guard", "sealed"] {
        let older = world.client("python3").args(["-c", OLDER]).arg(artifacts::underpass());
        let line = ["--", "busybox", "env", "-i", "/usr/bin/python3", "-c", script];
        let done = older.args(["-x", proxy.url(), "--tier", tier]).args(line).run();
        assert_eq!(done.clone().success(), "5 (('10.99.0.1', 7001), b'hello\\n')\n", "{tier}: {done}");
    }
    no_leaks(&world);
}
