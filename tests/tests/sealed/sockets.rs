//! Unix sockets, and sockets that were there before.

use std::time::Duration;

use underpass_tests::{World, artifacts, proxies};

use crate::{no_leaks, python, sealed};

/// A process outside that listens at a Unix socket and says `outside`, whatever kind it is.
fn listens(world: &World, path: &str) {
    let script = "import os, socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        name = sys.argv[1]\n\
        name.startswith('@') or os.makedirs(os.path.dirname(name), exist_ok=True)\n\
        s.bind('\\0' + name[1:] if name.startswith('@') else name)\n\
        s.listen()\nprint('serves', flush=True)\n\
        while True:\n    c, _ = s.accept()\n    c.sendall(b'outside')\n    c.close()";
    let server = world.client("/usr/bin/python3").args(["-c", script, path]);
    let mut server = server.limit(Duration::MAX).spawn();
    assert_eq!(server.next_line(), "serves");
    server.detach();
}

const ASK: &str = r#"
import errno, os, socket, sys
def ask(path):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
        return s.recv(9).decode()
    except OSError as error:
        return errno.errorcode[error.errno]
"#;

#[test]
fn sockets_of_others_are_out_of_reach_but_for_those_that_are_let_in() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let beside = format!("{}/beside/socket", world.directory().display());
    for path in ["/run/nscd/socket", "/run/own/one", "@abstract", &beside] {
        listens(&world, path);
    }
    let script = format!(
        "{ASK}\nos.symlink({beside:?}, 'link')\n\
         print(ask('/run/nscd/socket'), ask('/run/own/one'), ask('\\0abstract'))\n\
         print(ask({beside:?}), ask('beside/socket'), ask('link'), ask('./beside/../beside/socket'))\n\
         print(ask('none'), ask('/etc/hosts'), ask('/proc/self/fd/0'), ask(''))\n\
         os.unlink('link')\n"
    );
    let told = python(&world, proxy.url(), &script);
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("ENOENT ENOENT ECONNREFUSED"), "{told}");
    assert_eq!(lines.next(), Some("ECONNREFUSED ECONNREFUSED ECONNREFUSED ECONNREFUSED"), "{told}");
    let rest = lines.next().unwrap_or_default();
    assert!(rest.starts_with("ENOENT ECONNREFUSED ") && !rest.contains("outside"), "{told}");
    let options = ["--tier", "sealed", "-x", proxy.url(), "--let-in", "/run/own", "--let-in", &beside, "--"];
    let line = world.client(artifacts::underpass()).args(options).args(["/usr/bin/python3", "-c", &script]);
    let told = line.run().success();
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("ENOENT outside ECONNREFUSED"), "{told}");
    assert_eq!(lines.next(), Some("outside outside outside outside"), "{told}");
    no_leaks(&world);
}

#[test]
fn a_programs_own_sockets_are_as_they_always_are() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import os, socket, struct, threading, time
def served(kind, name, path, blocking=True):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(name)
    s.listen(1)
    c = socket.socket(socket.AF_UNIX, kind)
    c.setblocking(blocking)
    c.connect(path)
    a, _ = s.accept()
    pid, uid, gid = struct.unpack("iii", a.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    a.send(b"own")
    c.setblocking(True)
    print(c.recv(9).decode(), c.getpeername() == s.getsockname(), (uid, gid) == (os.geteuid(), os.getegid()))
here = os.getcwd()
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    served(kind, f"own{kind}", f"{here}/own{kind}")
    served(kind, f"{here}/too{kind}", f"too{kind}", False)
    served(kind, f"\0{here}{kind}", f"\0{here}{kind}")
served(socket.SOCK_STREAM, "/run/one", "/run/../run/one")
# Datagrams could name a socket of others, each its own.
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
except OSError as error:
    print(error.errno)
# One that waits until there is room, and meanwhile others go on.
s = socket.socket(socket.AF_UNIX)
s.bind("full")
s.listen(0)
first = socket.socket(socket.AF_UNIX)
first.connect("full")
def wait():
    second = socket.socket(socket.AF_UNIX)
    second.connect("full")
    print(second.recv(9).decode())
waits = threading.Thread(target=wait)
waits.start()
beside = socket.socket(socket.AF_UNIX)
beside.setblocking(False)
while beside.connect_ex("full") == 0:
    beside = socket.socket(socket.AF_UNIX)
    beside.setblocking(False)
served(socket.SOCK_STREAM, "meanwhile", "meanwhile")
while waits.is_alive():
    a, _ = s.accept()
    a.send(b"late")
    waits.join(0.05)
s.close()
print(socket.socket(socket.AF_UNIX).connect_ex("full"))
"#;
    let one = "own True True\n";
    let expected = format!("{}94\n{one}late\n111\n", one.repeat(7));
    assert_eq!(python(&world, proxy.url(), script), expected);
}

/// Links mean what they mean to the program, and a user who is no more root reaches what that user may.
#[test]
fn a_path_leads_where_it_leads_natively() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import errno, os, socket
def serves(path, mode, group):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    os.chmod(path, mode)
    if os.geteuid() == 0 and group: os.chown(path, 0, group)
    return s
def ask(path):
    return errno.errorcode.get(socket.socket(socket.AF_UNIX).connect_ex(path), "connected")
os.umask(0o022)
os.makedirs("/run/it/priv", 0o700)
kept = [serves("/run/it/all", 0o666, 0), serves("/run/it/priv/all", 0o666, 0)]
os.mkdir("/run/it/below")
os.symlink("/run/it/all", "/run/it/below/link")
os.symlink("/run/it", "/run/it/below/folder")
os.chdir("/run/it/below")
print(ask("link"), ask("folder/all"), ask("../all"), ask("../../../../run/it/all"), ask("/run/it/below/link"))
os.chdir("/")
print(ask("run/it/below/link"), ask("run/it/none"), ask("run/it/all/none"))
try:
    os.setgroups([4321])
    kept += [serves("/run/it/group", 0o660, 4321), serves("/run/it/root", 0o660, 0)]
    os.chmod("/run/it/priv", 0o700)
    os.setgid(1234)
    os.setuid(1234)
    print(ask("/run/it/priv/all"), ask("/run/it/group"), ask("/run/it/root"), ask("/run/it/all"))
except OSError:
    print("is nobody else")
"#;
    let line = ["-c", script];
    let native = world.client("/usr/bin/python3").args(line).run().success();
    world.client("rm").args(["-r", "/run/it"]).run().success();
    let connected = "connected connected connected connected connected\nconnected ENOENT ENOTDIR\n";
    let another = match rustix::process::geteuid().is_root() {
        true => "EACCES connected EACCES connected\n",
        false => "is nobody else\n",
    };
    assert_eq!(native, format!("{connected}{another}"));
    assert_eq!(python(&world, proxy.url(), script), native);
}

/// What socat is told of its children by, for one.
#[test]
fn a_pair_for_datagrams_carries_them_as_natively_and_to_nobody_else() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import ctypes, errno, fcntl, os, socket
for flags in (0, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC):
    numbers = (ctypes.c_int * 2)(7, 7)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | flags, 0, numbers) == 0
    ends = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0, n) for n in numbers]
    print([(fcntl.fcntl(n, fcntl.F_GETFD), fcntl.fcntl(n, fcntl.F_GETFL) & os.O_NONBLOCK) for n in numbers])
one, other = ends
for sent in (b"first", b"", b"x" * 50000):
    one.send(sent)
print([len(other.recv(99999)) for _ in range(3)])
if not os.fork():
    other.sendmsg([b"of a ", b"child"])
    os._exit(0)
os.wait()
print(one.recv(99), one.getpeername(), one.getsockname())
one.setblocking(False)
print(one.connect_ex(os.getcwd() + "/nobody"))
try:
    one.recv(9)
except OSError as error:
    print(error.errno)
print(libc.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM, 6, numbers), ctypes.get_errno())
print(libc.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM, 0, 8), ctypes.get_errno(), len(os.listdir("/proc/self/fd")))
"#;
    let native = world.client("/usr/bin/python3").args(["-c", script]).run().success();
    assert_eq!(python(&world, proxy.url(), script), native);
    // A name that a datagram has is another's natively, and nobody's here.
    listens(&world, "./outside");
    let named = r#"
import os, socket
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
one.sendto(b"named", os.getcwd() + "/outside")
print(other.recv(9))
"#;
    assert_eq!(python(&world, proxy.url(), named), "b'named'\n");
}

#[test]
fn a_pair_is_made_whole_or_not_at_all() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import ctypes, errno, os, resource
libc = ctypes.CDLL(None, use_errno=True)
def used():
    return len(os.listdir("/proc/self/fd")) - 1
pair = (ctypes.c_int * 2)(77, 78)
os.closerange(3, 1024)
before, (_, most) = used(), resource.getrlimit(resource.RLIMIT_NOFILE)
for free in (0, 1, 2):
    # What is above the limit takes no room below it.
    os.dup2(0, 50)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 + free, most))
    done = libc.socketpair(1, 2, 0, pair)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
    os.close(50)
    print(done, errno.errorcode.get(ctypes.get_errno()), list(pair), used() - before)
"#;
    let native = world.client("/usr/bin/python3").args(["-c", script]).run().success();
    assert!(native.starts_with("-1 EMFILE [77, 78] 0\n-1 EMFILE [77, 78] 0\n0 "), "{native}");
    assert_eq!(python(&world, proxy.url(), script), native);
}

#[test]
fn sockets_that_were_there_before_do_not_go_in() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let underpass = artifacts::underpass();
    // Descriptor 5 is each of them in turn, and then standard input.
    let script = r#"
import os, socket, subprocess, sys
inet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inet.connect(("10.99.0.1", 7007))
listener = socket.create_server(("127.0.0.1", 0))
local = socket.create_connection(listener.getsockname())
pair, other = socket.socketpair()
show = "import os; print(sorted(fd for fd in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + fd) or True)[3:-1])"
for one in (inet, listener, local, pair):
    os.dup2(one.fileno(), 50)
    done = subprocess.run(sys.argv[1:] + ["/usr/bin/python3", "-c", show], pass_fds=[50], capture_output=True)
    print(done.returncode, b"50" in done.stdout)
for one in (inet, listener, local, pair):
    done = subprocess.run(sys.argv[1:] + ["true"], stdin=one, capture_output=True, text=True)
    print(done.returncode, done.stderr.strip().split("\n")[0].split(": ")[-1])
"#;
    let options = ["--tier", "sealed", "-x", proxy.url(), "--"];
    let done = world.client("/usr/bin/python3").args(["-c", script]).arg(underpass).args(options).run();
    let refused = "125 tier sealed hands none in\n";
    let expected = format!("{}{}0 \n", "0 False\n".repeat(4), refused.repeat(3));
    assert_eq!(done.clone().success(), expected, "{done}");
}

/// A child of the program's has the sockets that the program makes; nothing of the supervisor's is there.
#[test]
fn nothing_of_ours_is_inside() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import os, sys
print(sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in range(99) if os.path.exists(f"/proc/self/fd/{fd}") and fd > 2))
print([name for name in os.environ if name.startswith(("LD_", "UNDERPASS"))], os.environ.get("UNDERPASS_SESSION"))
"#;
    let native = world.client("/usr/bin/python3").args(["-c", script]).run().success();
    let told = python(&world, proxy.url(), script);
    let descriptors = native.lines().next().unwrap_or_default();
    assert_eq!(told, format!("{descriptors}\n['UNDERPASS_SESSION'] sealed\n"));
    let inner = artifacts::underpass();
    let done = sealed(&world, proxy.url(), inner).args(["-x", "local:", "true"]).run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("this process is sealed already"), "{done}");
}
