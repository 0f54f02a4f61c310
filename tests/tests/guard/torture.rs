//! Every system call of the supervisor's may fail. Whichever it is, the program gets an errno, or all that it wants; it waits
//! for nobody, nothing goes round the proxy, and the supervisor serves on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use underpass_tests::proxies::{self, Fake};
use underpass_tests::servers::port;
use underpass_tests::{Finished, PATIENCE, Running, World, artifacts, servers};

use crate::life::nothing_is_left;
use crate::no_leaks;

/// What it makes for a program's connection, but for those that cannot fail.
const CALLS: [&str; 21] = [
    "ppoll",
    "epoll_ctl",
    "epoll_pwait",
    "ioctl",
    "pidfd_open",
    "pidfd_getfd",
    "process_vm_readv",
    "process_vm_writev",
    "socket",
    "connect",
    "sendmsg",
    "recvfrom",
    "recvmsg",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "fcntl",
    "openat",
    "readlink",
    "read",
    "wait4",
];
/// What `programs/greeting.c` writes when all is well.
const GREETED: &str = "0\ngreeting 6\nhello\nsend 4\necho word\nend 0\nrecv 0\n";
/// Names its parent, the supervisor; then, each time that it reads a line, runs the program, and says that it has ended.
const SHELL: &str = r#"echo $PPID; while read go; do "$0" "$@"; echo "ended $?"; done"#;
/// Longer than any deadline that is set here.
const LIMIT: Duration = Duration::from_secs(40);

struct Place {
    world: World,
    proxy: Fake,
    greeting: PathBuf,
}

impl Place {
    fn new() -> Self {
        let world = World::new();
        servers::start(&world);
        let proxy = proxies::fake(&world);
        Self { world, proxy, greeting: artifacts::compiled("greeting", "greeting-static", &["-static"]) }
    }

    /// Runs the program twice; meanwhile the supervisor's call of this name and number fails. `None` if it makes none.
    fn fails(&self, tier: &str, mode: &str, call: &str, number: u32) -> Option<Finished> {
        let options = ["-x", self.proxy.url(), "--tier", tier, "--", "busybox", "sh", "-c", SHELL];
        let shell = self.world.client(artifacts::underpass()).args(options).arg(&self.greeting);
        let shell = shell.args(["v4", mode, "1", &port::GREETER.to_string()]);
        let mut program = shell.limit(LIMIT).spawn();
        let supervisor = program.next_line();
        let note = self.world.directory().join("note");
        let strace = self.attached(&supervisor, call, number, &note);
        program.say("go");
        program.say("go");
        let done = program.wait_or_kill();
        drop(strace.end());
        let told = std::fs::read_to_string(&note).expect("strace writes it");
        told.contains("(INJECTED)").then_some(done)
    }

    fn attached(&self, supervisor: &str, call: &str, number: u32, note: &Path) -> Running {
        let [trace, fault] = [format!("trace={call}"), format!("inject={call}:error=ENOMEM:when={number}")];
        let strace = self.world.client("strace").args(["-p", supervisor, "-e", &trace, "-e", &fault, "-o"]);
        let mut strace = strace.arg(note).limit(Duration::MAX).spawn();
        let limit = Instant::now() + PATIENCE;
        while !strace.try_complaint().is_some_and(|line| line.ends_with(" attached")) {
            assert!(Instant::now() < limit, "it is not attached");
            std::thread::sleep(Duration::from_millis(1));
        }
        strace
    }
}

/// One run of two is good, and the other is, or was told an errno: where it could not make a socket, on standard error.
fn is_honest(done: &Finished) -> bool {
    let (mut good, mut told, mut said) = (0, 0, String::new());
    for line in done.stdout.lines().skip(1) {
        if !line.starts_with("ended ") {
            said += line;
            said += "\n";
            continue;
        }
        let last = said.trim_end().rsplit([' ', '\n']).next().unwrap_or_default();
        if said == GREETED {
            good += 1;
        } else if said.is_empty() || last.starts_with('E') {
            told += 1;
        } else {
            return false;
        }
        said.clear();
    }
    !done.killed && done.code() == 0 && good >= 1 && good + told == 2
}

#[test]
fn some_calls_of_the_supervisor_fail() {
    let place = Place::new();
    for (call, number) in
        [("epoll_pwait", 1), ("ioctl", 4), ("getsockopt", 2), ("getsockopt", 4), ("sendmsg", 1)]
    {
        let done = place.fails("guard", "nonblocking", call, number).expect("it makes one");
        assert!(is_honest(&done), "{call} {number}: {done}");
    }
    no_leaks(&place.world);
}

/// The program's process, which waits for its supervisor's word, must see that there is none any more.
#[test]
fn a_supervisor_that_is_killed_before_the_program_begins_leaves_nobody() {
    let world = World::new();
    let run = |before: &[&str], tier: &str| {
        let (first, more) = before.split_first().expect("there is one");
        let underpass = world.client(first).args(more).arg(artifacts::underpass());
        underpass.args(["-x", "local:", "--tier", tier, "--", "echo", "ran"]).limit(LIMIT).run_or_kill()
    };
    // The agent is there before, and is not traced.
    run(&["env"], "hook").success();
    let kill = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=epoll_create1:signal=KILL"];
    for tier in ["guard", "sealed"] {
        let done = run(&kill, tier);
        assert!(done.code() == 125 && done.stdout.is_empty() && !done.killed, "{done}");
        let why = format!("tier {tier}: the supervisor has been killed");
        assert!(done.stderr.contains(&why), "{done}");
        nothing_is_left(&world);
    }
}

#[test]
#[ignore = "long: each call of the supervisor fails once"]
fn each_call_of_the_supervisor_fails() {
    let place = Place::new();
    let mut bad = Vec::new();
    for tier in ["guard", "sealed"] {
        for mode in ["nonblocking", "blocking"] {
            let mut count = 0;
            for call in CALLS {
                let tried = (1..200)
                    .map_while(|number| place.fails(tier, mode, call, number).map(|done| (number, done)));
                for (number, done) in tried {
                    count += 1;
                    if !is_honest(&done) {
                        bad.push(format!("{tier}, {mode}, {call} {number}: {done}"));
                    }
                }
            }
            assert!(count > 50, "{tier}, {mode}: {count}");
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    no_leaks(&place.world);
}
