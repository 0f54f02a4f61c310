//! What is carried, and whose loopback is whose.

use std::time::Duration;

use underpass_tests::behaviour::Behaviour;
use underpass_tests::servers::port;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::worlds::{Both, Case, MODES};
use crate::{no_leaks, python, sealed};

fn both() -> Both {
    Both { tier: Some("sealed"), ..Both::new() }
}

#[test]
fn static_programs_connect_and_are_refused_as_natively() {
    both().compare(&[
        Case::new("outcome", port::ECHO),
        Case::new("outcome", port::REFUSED).more(&["errno"]),
        Case::new("outcome", port::ECHO).host("77").more(&["errno"]),
    ]);
}

#[test]
fn the_kernels_own_events_and_states_are_seen() {
    const GOOD: u16 = port::slow(port::ECHO);
    let cases = [
        Case::new("again", GOOD).more(&["connect"]),
        Case::new("wait", GOOD).more(&["et", "before"]),
        Case::new("reconnect", port::ECHO),
        Case::new("bound", port::ECHO).more(&["port"]),
        Case::new("bound", port::ECHO).more(&["address"]),
    ];
    both().compare_in(&cases, &["v4", "v6"], &MODES);
}

#[test]
fn a_signal_or_time_limit_ends_the_wait_but_not_the_connection() {
    let mut cases = Vec::new();
    for to in [port::late(port::ECHO), port::late(port::REFUSED)] {
        cases.push(Case::new("signals", to).more(&["interrupt"]));
        cases.push(Case::new("signals", to).more(&["interrupt-wait"]));
        cases.push(Case::new("signals", to).more(&["restart"]));
        cases.push(Case::new("signals", to).more(&["timeout"]));
    }
    both().compare_in(&cases, &["v4"], &["blocking"]);
}

/// The kernel has chosen the first thread, and the others sleep.
#[test]
fn a_signal_of_a_process_with_threads_ends_the_wait() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let script = format!(
        r#"
import signal, socket, threading, time
class Enough(Exception): pass
def handler(*_): raise Enough
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
begin = time.monotonic()
try:
    socket.socket().connect(("10.99.0.1", {}))
    print("connected")
except Enough:
    print("before the outcome", time.monotonic() - begin < 1.8)
"#,
        port::late(port::ECHO)
    );
    assert_eq!(python(&world, proxy.url(), &script), "before the outcome True\n");
    no_leaks(&world);
}

/// By `shutdown()` and by `connect(AF_UNSPEC)`, as soon as it is on its way and later. What nobody ends goes on.
#[test]
fn another_thread_ends_the_wait() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    proxy.on(port::ECHO, Behaviour::Delay(Duration::from_secs(4)));
    let script = r#"
import ctypes, errno, socket, threading, time
libc = ctypes.CDLL(None, use_errno=True)
CLOSE, SYN_SENT = 7, 2
def end(s, after, how):
    while s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != SYN_SENT:
        time.sleep(0.001)
    time.sleep(after)
    how(s)
def shut(s):
    s.shutdown(socket.SHUT_RDWR)
def dissolve(s):
    libc.connect(s.fileno(), bytes(16), 16)
def visit(after, how):
    s = socket.socket()
    begin = time.monotonic()
    how and threading.Thread(target=end, args=(s, after, how)).start()
    code = s.connect_ex(("10.99.0.1", PORT))
    said[after, how] = (errno.errorcode.get(code, code), time.monotonic() - begin < 2.5)
said = {}
tried = [(after, how) for how in (shut, dissolve) for after in (0, 0.5)] + [(0, None)]
threads = [threading.Thread(target=visit, args=one) for one in tried]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*[said[one] for one in tried], sep="\n")
"#;
    let ended = "('ECONNRESET', True)\n".repeat(4);
    let script = script.replace("PORT", &port::ECHO.to_string());
    assert_eq!(python(&world, proxy.url(), &script), ended + "(0, False)\n");
    no_leaks(&world);
}

#[test]
fn what_is_wrong_with_a_number_is_said_first() {
    let script = r#"
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
inet, unix = socket.socket(), socket.socket(socket.AF_UNIX)
for fd in (-1, 999, os.open("/dev/null", os.O_RDONLY), inet.fileno(), unix.fileno()):
    for address, length in ((None, 16), (bytes(500), 500), (bytes(16), -1)):
        libc.connect(fd, address, ctypes.c_int(length))
        print(errno.errorcode[ctypes.get_errno()], end=" ")
"#;
    let world = World::new();
    let proxy = proxies::fake(&world);
    let native = world.client("/usr/bin/python3").args(["-c", script]).run().success();
    assert!(native.starts_with("EBADF EBADF EBADF "), "{native}");
    assert_eq!(python(&world, proxy.url(), script), native);
}

/// The kernel starts request-key(8) in the network of the machine.
#[test]
fn nobody_outside_is_started_for_a_key() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
request_key = 249 if os.uname().machine == "x86_64" else 218
print(libc.syscall(request_key, b"user", b"of underpass", b"", 0), errno.errorcode[ctypes.get_errno()])
"#;
    assert_eq!(python(&world, proxy.url(), script), "-1 EPERM\n");
}

/// The far end has closed before the supervisor has the answer.
#[test]
fn a_second_connect_tells_that_it_is_connected() {
    let script = "import socket\ns = socket.create_server(('', 7050), backlog=100)\nprint('serves', flush=True)\n\
        while True:\n    c, _ = s.accept()\n    c.sendall(b'hello')\n    c.close()";
    for tier in ["auto", "sealed"] {
        let mut both = Both { tier: Some(tier), ..both() };
        let proxy = proxies::microsocks(&both.redirected, None);
        both.upstream = proxy.url().to_owned();
        for world in [&both.native, &both.redirected] {
            let server = world.far("/usr/bin/python3").args(["-c", script]);
            let mut server = server.limit(Duration::MAX).spawn();
            assert_eq!(server.next_line(), "serves");
            server.detach();
        }
        both.compare_in(&[Case::new("again", 7050).more(&["closed"])], &["v4"], &MODES);
    }
}

#[test]
fn what_the_kernel_refuses_by_itself_is_refused_alike() {
    let both = Both { tier: Some("sealed"), ..Both::dante() };
    let case = |what| Case::new("wrong", port::ECHO).more(what);
    both.compare(&[case(&["families"]), case(&["datagrams"]), case(&["lengths"]), case(&["places"])]);
    both.compare_in(&[case(&["flags"])], &["v4"], &["blocking"]);
    both.no_leaks();
}

#[test]
fn datagrams_are_carried() {
    let both = Both { tier: Some("sealed"), ..Both::dante() };
    let case = |what| Case::new("datagrams", port::ECHO).more(what);
    both.compare(&[case(&["unconnected"]), case(&["connected"])]);
}

#[test]
fn names_that_are_known_beyond_the_proxy_alone() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    for program in [&["busybox", "nc"][..], &["nc.openbsd"]] {
        let done =
            sealed(&world, proxy.url(), program[0]).args(&program[1..]).args(["echo.test", "7001"]).run();
        assert_eq!(done.stdout, "hello\n", "{program:?}: {done}");
    }
    // Whatever the resolver's file says, and by whatever way a name is asked for.
    let script = r#"
import socket
print(socket.create_connection(("echo.test", 7001)).getpeername()[1])
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
    s = socket.socket(socket.AF_INET, kind)
    s.connect(("10.77.0.1", 53))
    question = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\3far\4test\0\0\1\0\1"
    s.send(question if kind == socket.SOCK_DGRAM else len(question).to_bytes(2, "big") + question)
    print(b"\x12\x34" in s.recv(512))
"#;
    assert_eq!(python(&world, proxy.url(), script), "7001\nTrue\nTrue\n");
    no_leaks(&world);
}

/// A server of this machine, which says its name and closes.
fn serve(world: &World, at: &str, says: &str) {
    let script = "import socket, sys\n\
        host, port = sys.argv[1].rsplit(':', 1)\n\
        s = socket.create_server((host, int(port)))\n\
        print('serves', flush=True)\n\
        while True:\n    c, _ = s.accept()\n    c.sendall(sys.argv[2].encode())\n    c.close()";
    let server = world.client("/usr/bin/python3").args(["-c", script, at, says]);
    let mut server = server.limit(Duration::MAX).spawn();
    assert_eq!(server.next_line(), "serves");
    server.detach();
}

const ASK: &str = r#"
import socket, sys
def ask(port):
    try:
        return socket.create_connection(("127.0.0.1", port), 10).recv(9).decode()
    except OSError as error:
        return type(error).__name__
print(ask(6001), ask(6002))
own = socket.create_server(("127.0.0.1", 6001))
print(socket.create_connection(("127.0.0.1", 6001)).getpeername(), own.accept()[1][0])
d, e = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
d.bind(("127.0.0.1", 0))
e.sendto(b"own", d.getsockname())
print(d.recv(9))
"#;

#[test]
fn loopback_is_the_programs_own_unless_a_route_names_it() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    serve(&world, "127.0.0.1:6001", "first");
    serve(&world, "127.0.0.1:6002", "second");
    let own = "('127.0.0.1', 6001) 127.0.0.1\nb'own'\n";
    let alone = python(&world, proxy.url(), ASK);
    assert_eq!(alone, format!("ConnectionRefusedError ConnectionRefusedError\n{own}"));
    let file = world.directory().join("routed.toml");
    let route = format!(
        "proxy = '{}'\ntier = 'sealed'\n[[route]]\nto = 'direct'\naddress = ['127.0.0.1']\nport = [6002]\n",
        proxy.url()
    );
    std::fs::write(&file, route).expect("the directory is ours");
    let line = world.client(artifacts::underpass()).arg("-f").arg(&file);
    let routed = line.args(["/usr/bin/python3", "-c", ASK]).run();
    assert_eq!(routed.clone().success(), format!("ConnectionRefusedError second\n{own}"), "{routed}");
    assert_eq!(proxy.requests().len(), 0);
    no_leaks(&world);
}

#[test]
fn what_is_direct_is_dialled_by_the_agent() {
    let world = World::direct();
    servers::start(&world);
    let file = world.directory().join("direct.toml");
    std::fs::write(&file, "default = 'direct'\ntier = 'sealed'\n").expect("the directory is ours");
    let line = world.client(artifacts::underpass()).arg("-f").arg(&file);
    let done = line.args(["busybox", "nc", "10.99.0.1", "7001"]).run();
    assert_eq!(done.clone().success(), "hello\n", "{done}");
}

/// All interfaces are the namespace's, and there is no way out of it but the pump's.
#[test]
fn there_is_no_other_network() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import errno, os, socket
print(sorted(name for _, name in socket.if_nameindex()))
def tried(call):
    try:
        call()
        print("done")
    except OSError as error:
        print(errno.errorcode[error.errno])
tried(lambda: socket.socket(17, socket.SOCK_RAW, 0))
tried(lambda: socket.socket(2, socket.SOCK_RAW, 255))
tried(lambda: socket.socket().sendto(b"x", socket.MSG_FASTOPEN, ("10.99.0.1", 7001)))
tried(lambda: os.setns(os.open("/proc/1/ns/net", os.O_RDONLY)) if hasattr(os, "setns") else socket.socket(40, 1))
"#;
    let told = python(&world, proxy.url(), script);
    assert!(told.starts_with("['lo', 'v0', 'v1']\nEPERM\nEPERM\nENOTSUP\n"), "{told}");
    assert!(!told.contains("done"), "{told}");
    no_leaks(&world);
}
