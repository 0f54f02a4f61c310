//! Sandboxes and filters of the program's own, inside of ours.

use underpass_tests::{World, artifacts, proxies, servers};

use crate::{bare, no_leaks};

const BWRAP: &str = "bwrap --unshare-all --share-net --ro-bind / / --dev /dev --proc /proc";

/// A program that says what the far server does, reached by name.
fn hello(world: &World) -> String {
    let script =
        "import socket; print(socket.create_connection(('far.test', 7001)).recv(9).decode(), end='')";
    let file = world.directory().join("get.py");
    std::fs::write(&file, script).expect("the directory is ours");
    file.display().to_string()
}

#[test]
fn what_a_sandbox_starts_is_carried() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let apart = BWRAP.replace(" --share-net", "");
    let static_program = "busybox nc 10.99.0.1 7001";
    let file = hello(&world);
    let mut carried = 0;
    for tier in ["auto", "guard"] {
        for sandbox in [
            BWRAP,
            "bwrap --unshare-user --unshare-pid --bind / / --clearenv",
            "unshare -r",
            "unshare -r -p -f",
        ] {
            for program in [static_program, &format!("/usr/bin/python3 {file}")] {
                // Without the library's variables guard has no names but by datagrams, which this proxy has not.
                if sandbox.contains("clearenv") && program != static_program {
                    continue;
                }
                let line = format!("-x {} --tier {tier} -- {sandbox} {program}", proxy.url());
                let done = world.client(artifacts::underpass()).args(line.split(' ')).run();
                assert_eq!((&*done.stdout, done.code()), ("hello\n", 0), "{done}");
                carried += 1;
            }
        }
    }
    // A network of its own changes nothing under guard: its sockets are the supervisor's.
    for sandbox in [&*apart, "unshare -r -n"] {
        let line = format!("-x {} --tier guard -- {sandbox} {static_program}", proxy.url());
        let done = world.client(artifacts::underpass()).args(line.split(' ')).run();
        assert_eq!((&*done.stdout, done.code()), ("hello\n", 0), "{done}");
        carried += 1;
    }
    assert_eq!(proxy.requests().len(), carried);
    no_leaks(&world);
}

/// Where it has processes of its own it has an agent of its own, whoever else's is in the same directory.
#[test]
fn a_sandbox_around_the_launcher_changes_nothing() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let outside = ["-x", proxy.url(), "--", "sh", "-c", "echo there; exec sleep 1000"];
    let mut outside = world.client(artifacts::underpass()).args(outside).spawn();
    assert_eq!(outside.next_line(), "there");
    let file = hello(&world);
    let (launcher, mut carried) = (artifacts::underpass().display().to_string(), 0);
    let within = BWRAP.replace("ro-bind", "bind");
    // The others see the processes of the machine in /proc, under other numbers than their own.
    for sandbox in [&*within, "bwrap --unshare-pid --dev-bind / /", "bwrap --bind / / --new-session"] {
        for tier in ["hook", "auto", "guard", "sealed"] {
            let line =
                format!("{sandbox} {launcher} -x {} --tier {tier} -- /usr/bin/python3 {file}", proxy.url());
            let mut words = line.split(' ');
            let done = world.client(words.next().unwrap_or_default()).args(words).run();
            assert_eq!((&*done.stdout, done.code()), ("hello\n", 0), "{tier}, {sandbox}: {done}");
            carried += 1;
        }
    }
    assert_eq!(proxy.requests().len(), carried);
    no_leaks(&world);
    drop(outside);
}

/// One that waits for everything in it ends with what it was made for, though its agent waits for the next launch until then.
#[test]
fn a_sandbox_does_not_wait_for_its_agent() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let [launcher, agent] =
        [artifacts::underpass(), artifacts::agent()].map(|file| file.display().to_string());
    let one = format!("{launcher} -x {} -- /usr/bin/python3 {}", proxy.url(), hello(&world));
    let places = "find /run/underpass \"$XDG_RUNTIME_DIR\" -name 'v*-*' 2>/dev/null";
    let script = format!("{one}; {one}; {agent} status >/dev/null && echo waits; {places} | wc -l");
    let within = BWRAP.replace("ro-bind", "bind");
    let mut words = within.split(' ').chain(["sh", "-c", &script]);
    let done = world.client(words.next().unwrap_or_default()).args(words).run();
    let said: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(said, ["hello", "hello", "waits", "1"], "{done}");
    let left = world.client("sh").args(["-c", places]).run();
    assert_eq!((&*left.stdout, world.agents()), ("", vec![]), "{left}");
    no_leaks(&world);
}

/// Filters as programs install them: for all threads, with another errno for a call of ours, and with a listener.
const FILTERS: &str = r#"
import ctypes, errno, os, socket, struct, threading
libc = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == "x86_64"
seccomp, getpeername = (317, 52) if x86 else (277, 205)
def install(flags, code):
    room = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(room))
    done = libc.syscall(seccomp, 1, flags, program)
    return "done" if done >= 0 else errno.errorcode[ctypes.get_errno()]
ALLOW, LISTEN = (0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x7fc00000)
go, ended = threading.Event(), threading.Event()
def other():
    go.wait()
    s = socket.create_connection(("10.99.0.1", 7001))
    print("other thread", s.recv(9))
    ended.set()
threading.Thread(target=other).start()
print("allowing", install(0, [ALLOW]))
print("for all threads", install(1, [ALLOW]))
print("with a listener", install(8, [LISTEN]))
print("with a listener, for all", install(8 | 1 | 16, [LISTEN]))
print("refusing", install(1, [(0x20, 0, 0, 0), (0x15, 0, 1, getpeername), (0x06, 0, 0, 0x50000 | errno.ENOTNAM), ALLOW]))
go.set()
ended.wait()
s = socket.create_connection(("10.99.0.1", 7001))
print("this thread", s.recv(9))
try:
    s.getpeername()
except OSError as error:
    print("getpeername", errno.errorcode[error.errno])
for family, kind in (socket.AF_INET, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW):
    try:
        socket.socket(family, kind, 255)
    except OSError as error:
        print("raw", errno.errorcode[error.errno])
"#;

#[test]
fn filters_of_its_own_are_added_and_loosen_nothing() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let done = bare(&world, proxy.url()).args(["-c", FILTERS]).run();
    let expected = "allowing done\nfor all threads done\nwith a listener EBUSY\nwith a listener, for all EBUSY\nrefusing done\n\
                    other thread b'hello\\n'\nthis thread b'hello\\n'\ngetpeername ENOTNAM\nraw EPERM\nraw EPERM\n";
    assert_eq!(done.clone().success(), expected, "{done}");
    assert_eq!(proxy.requests().len(), 2);
    no_leaks(&world);
}
