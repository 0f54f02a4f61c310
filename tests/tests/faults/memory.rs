//! No memory is left to the agent. It cannot go on, and ends; what it relayed is reset, nothing goes round the proxy, and the next
//! launch starts another.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use underpass_tests::{artifacts, wait};

use crate::{agent, no_leaks, serves, world};

/// Connects once, and then, when it is told to, again and again; says what came of the last, and what of the first.
const HOLDS: &str = r#"
import errno, socket, sys
def name(error):
    return errno.errorcode.get(error.errno, str(error))
def connected():
    s = socket.socket()
    s.settimeout(60)
    s.connect(("10.99.0.1", 7007))
    return s
kept = [connected()]
print("connected", flush=True)
sys.stdin.readline()
why = "all were made"
try:
    while len(kept) < 4000:
        kept.append(connected())
except OSError as error:
    why = name(error)
try:
    first = kept[0].recv(1)
except OSError as error:
    first = name(error)
print(why, first, len(kept), flush=True)
"#;

#[test]
fn without_memory_it_ends_and_the_next_launch_starts_another() {
    let (world, proxy) = world();
    let configuration = world.directory().join("c.toml");
    std::fs::write(&configuration, format!("proxy = '{}'\nhandoff = 'never'\n", proxy.url()))
        .expect("the directory is ours");
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(&configuration);
    let mut program = underpass
        .args(["--", "bash", "-c", "ulimit -Sn $(ulimit -Hn); exec python3 -c \"$0\"", HOLDS])
        .spawn();
    assert_eq!(program.next_line(), "connected");
    let old = agent(&world);
    let pid = i32::try_from(old).ok().and_then(Pid::from_raw);
    // What it has it keeps; it gets no more.
    prlimit(pid, Resource::As, Rlimit { current: Some(1), maximum: None }).expect("it is ours");
    program.say("go");
    let told = program.next_line();
    let words: Vec<&str> = told.split(' ').collect();
    // Whoever waited for a connection is told by the agent's end, or finds nobody to ask.
    assert!(["ECONNREFUSED", "ENETUNREACH"].contains(&words[0]) && words[1] == "ECONNRESET", "{told}");
    wait("it ends", || !world.agents().contains(&old));
    serves(&world, &proxy);
    assert_ne!(agent(&world), old);
    no_leaks(&world);
}
