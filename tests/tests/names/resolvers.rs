//! The Unix sockets of resolvers (systemd-resolved, nscd, avahi …): under hook and guard they are as where there are none,
//! unless names are for this machine's resolver.

use std::time::Duration;

use underpass_tests::{Command, World, artifacts, proxies};

const RESOLVERS: [&str; 7] = [
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/varlink/registry/io.systemd.Resolve",
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "//run/.//avahi-daemon/socket",
    "/var/run/avahi-daemon/socket",
    "/run/mdnsd",
];
const OTHERS: [&str; 3] =
    ["/run/systemd/resolve/io.systemd.Resolve.Monitor", "/run/dbus/system_bus_socket", "/run/nscd/socket2"];

/// Listens at each path that is not there yet, and says `outside`.
const LISTEN: &str = "
import os, select, socket, sys
listeners = []
for path in sys.argv[1:]:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(path)
        listeners[-1].listen()
print('serves', flush=True)
while True:
    for listener in select.select(listeners, [], [])[0]:
        asker, _ = listener.accept()
        asker.sendall(b'outside')
        asker.close()
";

/// What each path says by each way of calling, and what the kernel says by itself.
const ASK: &str = r#"
import ctypes, errno, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = 42 if os.uname().machine == "x86_64" else 203
def by(call):
    def connect(s, path, more=0):
        place = struct.pack("H108s", 1, path.encode()) + b"\0" * more
        if call(s.fileno(), place, len(place)) < 0:
            raise OSError(ctypes.get_errno(), "")
    return connect
def said(connect, path, kind=socket.SOCK_STREAM, family=socket.AF_UNIX, *more):
    with socket.socket(family, kind) as s:
        try:
            connect(s, path, *more)
            s.setblocking(True)
            return s.recv(9).decode()
        except OSError as error:
            return errno.errorcode[error.errno]
ways = [
    lambda s, path: s.connect(path),
    by(lambda *arguments: libc.__connect(*arguments)),
    by(lambda *arguments: libc.syscall(number, *arguments)),
]
for path in sys.argv[1:]:
    print(path, *(said(way, path) for way in ways), said(ways[0], path, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
first = sys.argv[1]
print("longer than a path", said(ways[1], first, socket.SOCK_STREAM, socket.AF_UNIX, 1))
print("a datagram", said(lambda s, path: s.sendto(b"x", path), first, socket.SOCK_DGRAM))
print("none", said(ways[1], "/run/nobody/here"))
"#;

const BY_ITSELF: &str = "longer than a path EINVAL\na datagram EPROTOTYPE\nnone ENOENT\n";

fn told(resolvers: &str) -> String {
    let line = |path: &&str, word| format!("{path} {word} {word} {word} {word}\n");
    let resolvers = RESOLVERS.iter().map(|path| line(path, resolvers));
    let others = OTHERS.iter().map(|path| line(path, "outside"));
    resolvers.chain(others).chain([BY_ITSELF.to_owned()]).collect()
}

fn asked(program: Command) -> String {
    program.args(["-c", ASK]).args(RESOLVERS).args(OTHERS).run().success()
}

#[test]
fn resolvers_are_not_there_unless_names_are_for_them() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let listener = world.client("/usr/bin/python3").args(["-c", LISTEN]).args(RESOLVERS).args(OTHERS);
    let mut listener = listener.limit(Duration::MAX).spawn();
    assert_eq!(listener.next_line(), "serves");
    listener.detach();
    assert_eq!(asked(world.client("/usr/bin/python3")), told("outside"));
    // Under guard without the library: a static program has cleaned the environment.
    let bare = ["busybox", "env", "-i", "/usr/bin/python3"];
    for (tier, line) in [("hook", &bare[3..]), ("guard", &bare[..])] {
        for (options, resolvers) in [(&[][..], "ENOENT"), (&["--dns", "local"], "outside")] {
            let launcher =
                world.client(artifacts::underpass()).args(["-q", "-x", proxy.url(), "--tier", tier]);
            let done = asked(launcher.args(options).arg("--").args(line));
            assert_eq!(done, told(resolvers), "{tier} {options:?}");
        }
    }
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}
