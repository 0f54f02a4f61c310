//! The processes: what the caller sees of a guarded program is what it sees of any other.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::{guarded, no_leaks};

/// Waits for something that must come.
#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many processes of the world run this program.
fn running(world: &World, name: &str) -> usize {
    let is = |pid: &u32| {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe"));
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        exe.is_ok_and(|exe| exe.file_name().is_some_and(|found| found == name)) || comm.trim_end() == name
    };
    world.processes().iter().filter(|pid| is(pid)).count()
}

#[track_caller]
pub(crate) fn nothing_is_left(world: &World) {
    wait_for("a process of ours is left", || running(world, "underpass") == 0);
}

#[test]
fn the_exit_status_is_the_programs() {
    let world = World::new();
    let run = |script: &str| guarded(&world, "local:", "sh").args(["-c", script]).run();
    assert_eq!(run("exit 0").code(), 0);
    assert_eq!(run("exit 7").code(), 7);
    for (name, number) in [("TERM", 15), ("KILL", 9), ("INT", 2), ("SEGV", 11)] {
        let done = run(&format!("ulimit -c 0; kill -{name} $$"));
        assert_eq!(done.code(), 128 + number, "{done}");
    }
    assert_eq!(guarded(&world, "local:", "./none").run().code(), 127);
    assert_eq!(guarded(&world, "local:", "/etc/hosts").run().code(), 126);
    std::fs::write(world.directory().join("plain"), "exit 5\n").expect("the directory is ours");
    world.client("chmod").args(["755", "plain"]).run().success();
    assert_eq!(guarded(&world, "local:", "./plain").run().code(), 5, "given to the shell");
    nothing_is_left(&world);
}

#[test]
fn the_surroundings_are_the_callers() {
    let world = World::new();
    let script = r#"
import os, signal
print(sorted(os.listdir("/proc/self/fd")), os.getcwd(), os.getpgrp() == os.getpid())
print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
print([line for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn", "ShdPnd", "CapEff"))])
print(open("/proc/self/limits").read())
"#;
    let line = ["-c", script];
    let (native, under) = (
        world.client("python3").args(line).run().success(),
        guarded(&world, "local:", "python3").args(line).run().success(),
    );
    // Who leads the group is the caller's child, and that is not the program.
    assert_eq!(native.replace("True", "False"), under);
    nothing_is_left(&world);
}

#[test]
fn signals_are_passed_on() {
    let world = World::new();
    let script = r#"
import signal
waited = [signal.SIGUSR1, signal.SIGHUP, signal.SIGWINCH, signal.SIGALRM]
signal.pthread_sigmask(signal.SIG_BLOCK, waited)
print("ready", flush=True)
while True:
    print(signal.sigwait(waited).name, flush=True)
"#;
    let mut program = guarded(&world, "local:", "python3").args(["-c", script]).spawn();
    assert_eq!(program.next_line(), "ready");
    for (signal, name) in [
        (Signal::USR1, "SIGUSR1"),
        (Signal::HUP, "SIGHUP"),
        (Signal::WINCH, "SIGWINCH"),
        (Signal::ALARM, "SIGALRM"),
    ] {
        program.signal(signal);
        assert_eq!(program.next_line(), name);
    }
    program.signal(Signal::TERM);
    let done = program.wait();
    assert_eq!(done.code(), 143, "{done}");
    nothing_is_left(&world);
}

#[test]
fn killing_what_the_caller_started_kills_the_program() {
    let world = World::new();
    let program = guarded(&world, "local:", "tail").args(["-f", "/dev/null"]).spawn();
    wait_for("the program has not started", || running(&world, "tail") == 1);
    program.signal(Signal::KILL);
    assert_eq!(program.wait().code(), 137);
    wait_for("the program goes on", || running(&world, "tail") == 0);
    nothing_is_left(&world);
}

#[test]
fn a_program_that_stops_stops_what_the_caller_started() {
    let world = World::new();
    let script = r#"
import os, signal, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status = os.waitpid(child, os.WUNTRACED)
print(os.WIFSTOPPED(status) and signal.Signals(os.WSTOPSIG(status)).name, flush=True)
os.kill(child, signal.SIGCONT)
_, status = os.waitpid(child, os.WUNTRACED)
print(os.WIFEXITED(status) and os.WEXITSTATUS(status))
"#;
    let underpass = artifacts::underpass();
    let line = ["-x", "local:", "--tier", "guard", "sh", "-c", "kill -STOP $$; echo goes on; exit 3"];
    let done = world.client("python3").args(["-c", script]).arg(underpass).args(line).run();
    assert_eq!(done.clone().success(), "SIGSTOP\ngoes on\n3\n", "{done}");
    nothing_is_left(&world);
}

#[test]
fn what_is_left_behind_goes_on_and_is_carried() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let script = r#"
(while [ ! -e go ]; do sleep 0.05; done
 /usr/bin/env -i /usr/bin/busybox nc 10.99.0.1 7001 >late.new && mv late.new late) </dev/null >/dev/null 2>&1 &
echo begun"#;
    let done = guarded(&world, proxy.url(), "sh").args(["-c", script]).run();
    assert_eq!(done.clone().success(), "begun\n", "{done}");
    let late = world.directory().join("late");
    assert!(!Path::new(&late).exists());
    assert_eq!(running(&world, "underpass"), 1, "the supervisor, and nobody else");
    std::fs::write(world.directory().join("go"), "").expect("the directory is ours");
    wait_for("what was left behind is not carried", || late.exists());
    assert_eq!(std::fs::read_to_string(late).expect("it was written"), "hello\n");
    nothing_is_left(&world);
    no_leaks(&world);
}

#[test]
fn a_shell_has_no_guard_afterwards() {
    let world = World::new();
    let done =
        world.client(artifacts::underpass()).args(["-x", "local:", "--tier", "guard", "--shell"]).run();
    assert_eq!(done.code(), 125, "{done}");
}
