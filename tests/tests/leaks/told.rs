//! `--leaktest`: what would have left is told, with its process and its kind, and fails the job; and nothing leaves.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use underpass_tests::servers::port;
use underpass_tests::{Command, Finished, PATIENCE, World, artifacts, proxies, servers};

use crate::around;

/// By functions of libc that are not looked up as a program's are: a connection, and questions to two resolvers.
const BESIDE: &str = r#"
import ctypes, socket, struct, time
libc = ctypes.CDLL("libc.so.6", use_errno=True)
def to(ip, port):
    return struct.pack("=HH4s8x", 2, socket.htons(port), socket.inet_aton(ip))
stream, datagrams = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
stream.setblocking(False)
libc.connect(stream.fileno(), to("10.99.0.1", 7007), 16)
question = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\x1c\0\1"
for resolver in "10.99.0.1", "127.0.0.1":
    libc.sendto(datagrams.fileno(), question, len(question), 0, to(resolver, 53), 16)
# Whoever looks for the socket's process has the time to find it.
time.sleep(1)
"#;

/// Datagrams of each kind by the same functions: two from a socket that is not connected, one from one that is, one of IPv6, one
/// to everybody; and two on loopback, which is no way out. The library is asked first.
const DATAGRAMS: &str = r#"
import ctypes, socket, struct, sys, time
try:
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"asked", ("10.99.0.1", 7011))
except OSError as error:
    print(error.errno)
libc = ctypes.CDLL("libc.so.6", use_errno=True)
def to(ip, port):
    return struct.pack("=HH4s8x", 2, socket.htons(port), socket.inet_aton(ip))
plain, connected, six = (socket.socket(f, socket.SOCK_DGRAM) for f in (socket.AF_INET, socket.AF_INET, socket.AF_INET6))
plain.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for place in ("10.99.0.1", 7008), ("10.99.0.1", 7008), ("255.255.255.255", 7010), ("127.0.0.1", 7008), ("127.0.0.1", 7008):
    libc.sendto(plain.fileno(), b"datagram", 8, 0, to(*place), 16)
libc.connect(connected.fileno(), to("10.99.0.1", 7009), 16)
libc.send(connected.fileno(), b"datagram", 8, 0)
far = struct.pack("=HHI16sI", 10, socket.htons(7008), 0, socket.inet_pton(socket.AF_INET6, "fd99::1"), 0)
libc.sendto(six.fileno(), b"datagram", 8, 0, far, 28)
# Whoever looks for the socket's process has the time to find it.
time.sleep(1)
"#;

const NOTHING: &str = "underpass: leak test: nothing would have left past the proxy\n";

fn tested(world: &World, options: &[&str], program: &str) -> Command {
    world.client(artifacts::underpass()).arg("--leaktest").args(options).arg("--").arg(program)
}

/// Nothing but the proxy was reached, and nobody is left.
#[track_caller]
fn nothing_happened(world: &World, done: &Finished, before: &[u32]) {
    assert_eq!(world.leaks(), 0, "{:?}: {done}", world.leaked());
    let limit = Instant::now() + PATIENCE;
    loop {
        let mut left = world.processes();
        left.retain(|process| !before.contains(process));
        if left.is_empty() {
            break;
        }
        // What has ended is seen until its parent has run.
        assert!(Instant::now() < limit, "{left:?} are left: {done}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let place = world.directory().display().to_string();
    let sockets = world.client("find").args(["/run", &place, "-type", "s"]).run();
    assert_eq!(sockets.success(), "", "{done}");
}

/// How many packets of this kind have gone there, from a process that is told.
#[track_caller]
fn row(done: &Finished, kind: &[&str], to: &str) -> u32 {
    let rows: Vec<Vec<&str>> = done.stderr.lines().map(|line| line.split_whitespace().collect()).collect();
    let is = |row: &&Vec<&str>| row.windows(kind.len()).any(|words| words == kind) && row.contains(&to);
    let found = rows.iter().find(is).unwrap_or_else(|| panic!("no {kind:?} to {to}: {done}"));
    assert!(found[0].parse::<u32>().is_ok() && found[1].contains("python3"), "{found:?}");
    found.last().and_then(|count| count.parse().ok()).unwrap_or_default()
}

#[test]
fn what_goes_past_the_library_is_told_with_its_process_and_kind() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let before = world.processes();
    let done = tested(&world, &["-x", proxy.url(), "--tier", "hook"], "python3").args(["-c", BESIDE]).run();
    assert_eq!(done.code(), 126, "{done}");
    let row = |kind: &[&str], to: &str| row(&done, kind, to);
    assert_eq!(row(&["DNS", "AAAA", "example.org"], "10.99.0.1:53"), 1);
    assert_eq!(row(&["DNS", "AAAA", "example.org"], "127.0.0.1:53"), 1);
    assert!(row(&["TCP", "SYN"], "10.99.0.1:7007") >= 1, "{done}");
    assert!(done.stderr.contains("\nunderpass: leak test: not seen: what other processes"), "{done}");
    nothing_happened(&world, &done, &before);
}

#[test]
fn datagrams_past_the_library_are_told_one_by_one() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let before = world.processes();
    for (tier, status) in [("hook", 126), ("guard", 0), ("sealed", 0)] {
        let done =
            tested(&world, &["-x", proxy.url(), "--tier", tier], "python3").args(["-c", DATAGRAMS]).run();
        assert_eq!(done.code(), status, "{tier}: {done}");
        if status == 0 {
            assert!(done.stderr.starts_with(NOTHING), "{tier}: {done}");
        } else {
            assert_eq!(done.stdout, format!("{}\n", Errno::NETUNREACH.raw_os_error()), "{done}");
            for (to, count) in [
                ("10.99.0.1:7008", 2),
                ("10.99.0.1:7009", 1),
                ("[fd99::1]:7008", 1),
                ("255.255.255.255:7010", 1),
            ] {
                assert_eq!(row(&done, &["UDP"], to), count, "{to}: {done}");
            }
            assert!(done.stderr.starts_with("underpass: leak test: 5 packets would have left"), "{done}");
        }
        nothing_happened(&world, &done, &before);
    }
}

#[test]
fn under_guard_and_sealed_the_same_program_has_no_way_past_the_proxy() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let before = world.processes();
    for tier in ["guard", "sealed"] {
        let done = tested(&world, &["-x", proxy.url(), "--tier", tier], "python3").args(["-c", BESIDE]).run();
        assert_eq!(done.code(), 0, "{done}");
        assert!(done.stderr.starts_with(NOTHING), "{done}");
        nothing_happened(&world, &done, &before);
    }
}

#[test]
fn programs_are_carried_as_they_always_are() {
    let world = World::new();
    servers::start(&world);
    around::web(&world);
    let proxy = proxies::fake(&world);
    let before = world.processes();
    let python = format!(
        "import socket; print(socket.create_connection(('far.test', {})).recv(9).decode(), end='')",
        port::BANNER
    );
    for tier in ["auto", "guard", "sealed"] {
        let options = ["-x", proxy.url(), "--tier", tier];
        let curl = tested(&world, &options, "curl").args(["-sS", "http://web.test:8088/page"]).run();
        assert!(curl.status.success() && curl.stderr.starts_with(NOTHING), "{tier}: {curl}");
        assert!(!curl.stdout.is_empty(), "{curl}");
        let python = tested(&world, &options, "python3").args(["-c", &python]).run();
        assert_eq!((&*python.stdout, python.code()), ("hello\n", 0), "{tier}: {python}");
        assert!(python.stderr.starts_with(NOTHING), "{tier}: {python}");
        // Nobody serves git there: it is told so, by the proxy.
        let git = tested(&world, &options, "git").args(["ls-remote", "git://far.test/x"]).run();
        assert_eq!(git.code(), 128, "{tier}: {git}");
        assert!(git.stderr.contains(NOTHING), "{tier}: {git}");
        nothing_happened(&world, &git, &before);
    }
    assert_eq!(proxy.requests().len(), 9);
}

#[test]
fn a_static_program_is_carried_under_auto() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let banner = port::BANNER.to_string();
    let done = tested(&world, &["-x", proxy.url()], "busybox").args(["nc", "10.99.0.1", &banner]).run();
    assert!(done.stdout == "hello\n" && done.code() == 0 && done.stderr.starts_with(NOTHING), "{done}");
}

#[test]
fn the_exit_status_is_the_programs_and_nobody_outlives_it() {
    let world = World::new();
    let before = world.processes();
    for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("sleep 1000 & exit 3", 3)] {
        for tier in ["hook", "guard"] {
            let done = tested(&world, &["-x", "local:", "--tier", tier], "sh").args(["-c", script]).run();
            assert_eq!(done.code(), code, "{done}");
            assert!(done.stderr.contains(NOTHING), "{done}");
            nothing_happened(&world, &done, &before);
        }
    }
    let done = tested(&world, &["-x", "local:"], "./none").run();
    assert_eq!(done.code(), 127, "{done}");
    assert!(!done.stderr.contains("leak test"), "{done}");
    let quiet = tested(&world, &["-q", "-x", "local:"], "true").run();
    assert_eq!((quiet.code(), &*quiet.stderr), (0, ""));
}

#[test]
fn who_it_runs_as_has_no_rights_to_need() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let user = ["--user", "--map-user=4321", "--map-group=4321", "--"];
    for (tier, code) in [("hook", 126), ("guard", 0)] {
        let program =
            world.client("unshare").args(user).args(["setpriv", "--bounding-set=-all", "--inh-caps=-all"]);
        let line = ["--leaktest", "-x", proxy.url(), "--tier", tier, "--", "python3", "-c"];
        let script = format!("import os\nassert os.getuid() == 4321 and os.getgid() == 4321\n{BESIDE}");
        let done = program.arg(artifacts::underpass()).args(line).arg(script).run();
        assert_eq!(done.code(), code, "{done}");
        assert_eq!(done.stderr.contains("TCP SYN"), code != 0, "{done}");
        assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    }
}

#[test]
fn without_a_network_of_its_own_there_is_no_test() {
    let world = World::new();
    // As a container's filter has it.
    let refusing = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
seccomp, unshare = (317, 272) if os.uname().machine == "x86_64" else (277, 97)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, unshare), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)]
filter = b"".join(struct.pack("HBBI", *one) for one in code)
room = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(room))
libc.prctl(38, 1, 0, 0, 0)
assert libc.syscall(seccomp, 1, 0, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;
    let line = ["--leaktest", "-x", "local:", "echo", "started"];
    let done = world.client("python3").args(["-c", refusing]).arg(artifacts::underpass()).args(line).run();
    assert_eq!((done.code(), &*done.stdout), (125, ""), "{done}");
    assert!(done.stderr.starts_with("underpass: --leaktest: a network of its own: "), "{done}");
    assert!(done.stderr.contains("hint: user namespaces are forbidden here"), "{done}");
}
