//! The processes, and where the tier cannot be had.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::{no_leaks, sealed};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must come.
#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many processes of the world have this name.
fn running(world: &World, name: &str) -> usize {
    let is = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    world.processes().iter().filter(|pid| is(pid)).count()
}

/// The networks that processes of the world are in.
fn networks(world: &World) -> usize {
    let network = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let all: std::collections::HashSet<_> = world.processes().into_iter().filter_map(network).collect();
    all.len()
}

#[track_caller]
fn nothing_is_left(world: &World, networks_before: usize) {
    wait_for("a process of ours is left", || running(world, "underpass") == 0);
    wait_for("a network is left", || networks(world) == networks_before);
}

#[test]
fn the_exit_status_is_the_programs() {
    let world = World::new();
    let before = networks(&world);
    let run = |script: &str| sealed(&world, "local:", "sh").args(["-c", script]).run();
    assert_eq!(run("exit 0").code(), 0);
    assert_eq!(run("exit 7").code(), 7);
    for (name, number) in [("TERM", 15), ("KILL", 9)] {
        let done = run(&format!("ulimit -c 0; kill -{name} $$"));
        assert_eq!(done.code(), 128 + number, "{done}");
    }
    assert_eq!(sealed(&world, "local:", "./none").run().code(), 127);
    assert_eq!(sealed(&world, "local:", "/etc/hosts").run().code(), 126);
    nothing_is_left(&world, before);
}

#[test]
fn signals_are_passed_on_and_the_callers_end_is_the_programs() {
    let world = World::new();
    let before = networks(&world);
    let script = r#"
import signal
waited = [signal.SIGUSR1, signal.SIGHUP]
signal.pthread_sigmask(signal.SIG_BLOCK, waited)
print("ready", flush=True)
while True:
    print(signal.sigwait(waited).name, flush=True)
"#;
    let mut program = sealed(&world, "local:", "python3").args(["-c", script]).spawn();
    assert_eq!(program.next_line(), "ready");
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::HUP, "SIGHUP")] {
        program.signal(signal);
        assert_eq!(program.next_line(), name);
    }
    program.signal(Signal::KILL);
    assert_eq!(program.wait().code(), 137);
    nothing_is_left(&world, before);
}

#[test]
fn what_is_left_behind_goes_on_and_is_carried() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let before = networks(&world);
    let script = "(while [ ! -e go ]; do sleep 0.05; done
 /usr/bin/env -i /usr/bin/busybox nc 10.99.0.1 7001 >late.new && mv late.new late) </dev/null >/dev/null 2>&1 &
echo begun";
    let done = sealed(&world, proxy.url(), "sh").args(["-c", script]).run();
    assert_eq!(done.clone().success(), "begun\n", "{done}");
    std::fs::write(world.directory().join("go"), "").expect("the directory is ours");
    let late = world.directory().join("late");
    wait_for("what was left behind is not carried", || late.exists());
    assert_eq!(std::fs::read_to_string(late).expect("it was written"), "hello\n");
    nothing_is_left(&world, before);
    no_leaks(&world);
}

#[test]
fn without_its_supervisor_a_program_has_no_network() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let before = networks(&world);
    let script = r#"
import errno, os, socket, time
stream = socket.create_connection(("10.99.0.1", 7001))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
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
tried(lambda: socket.socket().connect(("10.99.0.1", 7001)))
tried(lambda: socket.socket(2, socket.SOCK_DGRAM))
tried(lambda: socket.socket(socket.AF_UNIX).connect("/tmp"))
for _ in range(3):
    try:
        datagrams.sendto(b"x", ("10.99.0.1", 7007))
    except OSError:
        pass
print("sent", flush=True)
"#;
    let mut running = sealed(&world, proxy.url(), "python3").args(["-c", script]).spawn();
    for _ in 0..3 {
        assert_eq!(running.next_line(), "ENOSYS");
    }
    let done = running.wait();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("the supervisor has been killed"), "{done}");
    nothing_is_left(&world, before);
    no_leaks(&world);
}

#[test]
fn where_user_namespaces_are_forbidden_it_says_so() {
    let world = World::new();
    let underpass = artifacts::underpass();
    let line = ["--tier", "sealed", "-x", "local:", "--", "true"];
    let forbidding = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let unshare = world.client("unshare").args(["-r", "sh", "-c", forbidding]);
    let done = unshare.arg(&underpass).args(line).run();
    assert_eq!(done.code(), 125, "{done}");
    for words in ["tier sealed: a network of its own", "user.max_user_namespaces is 0", "hint: --tier guard"]
    {
        assert!(done.stderr.contains(words), "{words}: {done}");
    }
    // As a container's filter may.
    let refusing = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == "x86_64"
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 308 if x86 else 268), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)]
filter = b"".join(struct.pack("HBBI", *one) for one in code)
room = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(room))
libc.prctl(38, 1, 0, 0, 0)
assert libc.syscall(317 if x86 else 277, 1, 0, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;
    let done = world.client("python3").args(["-c", refusing]).arg(&underpass).args(line).run();
    assert_eq!(done.code(), 125, "{done}");
    for words in ["its user namespace: operation not permitted", "as in containers", "hint: --tier guard"] {
        assert!(done.stderr.contains(words), "{words}: {done}");
    }
    wait_for("a process of ours is left", || running(&world, "underpass") == 0);
}

#[test]
fn a_shell_is_not_sealed_afterwards() {
    let world = World::new();
    let asks = "\"$0\" -x local: --tier sealed --shell; exit $?";
    let done = world.client("sh").args(["-c", asks]).arg(artifacts::underpass()).run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("underpass --tier sealed bash"), "{done}");
}
