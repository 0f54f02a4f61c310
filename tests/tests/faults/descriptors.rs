//! The agent's descriptors are used up: programs get an errno at once, what is open goes on, and as soon as there are
//! some again, everybody is served.

use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use underpass_tests::proxies;
use underpass_tests::servers::port;
use underpass_tests::{PATIENCE, Running, World, artifacts, servers};

use crate::{agent, descriptors, no_descriptor_is_kept, no_leaks, serves};

/// Makes so many connections, some at a time, and says how many are good, how they failed, and whether what is open
/// still echoes; then closes them when it is told to, and says how many it gets now.
const CROWD: &str = r#"
import collections, errno, resource, select, socket, sys, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
port, blocking = int(sys.argv[1]), sys.argv[2] == "blocking"
def crowd(count):
    good, outcomes = [], collections.Counter()
    for _ in range(0, count, 5):
        batch = []
        for _ in range(5):
            s = socket.socket()
            s.setblocking(blocking)
            try:
                s.connect(("10.99.0.1", port))
            except BlockingIOError:
                pass
            except OSError as error:
                outcomes[errno.errorcode[error.errno]] += 1
                continue
            batch.append(s)
        poll = select.poll()
        waiting = {s.fileno(): s for s in batch}
        for s in batch:
            poll.register(s, select.POLLOUT)
        while waiting:
            ready = poll.poll(30000)
            if not ready:
                outcomes["hung"] += len(waiting)
                break
            for fd, _ in ready:
                s = waiting.pop(fd)
                poll.unregister(fd)
                error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    outcomes[errno.errorcode[error]] += 1
                    s.close()
                else:
                    s.setblocking(True)
                    s.settimeout(30)
                    good.append(s)
    return good, outcomes
def echo(s):
    s.sendall(b"x")
    return s.recv(1) == b"x"
while True:
    good, outcomes = crowd(int(sys.stdin.readline()))
    if good and not echo(good[0]):
        outcomes["mute"] += 1
    print(len(good), *(f"{n} {outcomes[n]}" for n in sorted(outcomes)), flush=True)
    sys.stdin.readline()
    for s in good:
        s.close()
    print("closed", flush=True)
"#;

fn crowd(world: &World, limit: &str, url: &str, mode: &str) -> Running {
    let shell = world.client("sh").env("UNDERPASS_LOG", "info");
    let shell = shell.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "limited"]);
    let underpass = shell.arg(artifacts::underpass()).args(["-x", url, "--", "python3", "-c", CROWD]);
    underpass.args([&port::ECHO.to_string(), mode]).spawn()
}

/// So many are tried: how many are good, and what has become of the others. Then all are closed.
fn tries(program: &mut Running, count: u32) -> (u32, String) {
    program.say(&count.to_string());
    let line = program.next_line();
    program.say("");
    assert_eq!(program.next_line(), "closed");
    let (good, others) = line.split_once(' ').unwrap_or((&line, ""));
    (good.parse().expect("a number"), others.to_owned())
}

fn log(world: &World) -> String {
    world.client("sh").args(["-c", "cat $(find /run /tmp -name agent.log)"]).run().stdout
}

#[test]
fn beyond_the_limit_on_open_files_connections_are_refused_and_not_left_to_wait() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let mut program = crowd(&world, "128", proxy.url(), "nonblocking");
    assert_eq!(tries(&mut program, 10), (10, String::new()));
    let agent = agent(&world);
    let before = descriptors(agent);
    for _ in 0..2 {
        // 128, less those for datagrams, pipes and the agent itself, and two for each connection.
        let (good, others) = tries(&mut program, 60);
        assert!((28..=34).contains(&good), "{good}, {others}");
        assert_eq!(others, format!("ENETUNREACH {}", 60 - good));
        // What the program has closed, the agent closes when the far end has.
        no_descriptor_is_kept(agent, &before);
    }
    assert!(log(&world).contains("as many connections as its limit on open files allows"));
    no_leaks(&world);
}

/// The limit is lowered under the agent, which has counted on more.
#[test]
fn with_no_descriptor_left_programs_get_an_errno_and_are_served_as_soon_as_there_is_one() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    for mode in ["nonblocking", "blocking"] {
        let mut program = crowd(&world, "$(ulimit -Hn)", proxy.url(), mode);
        assert_eq!(tries(&mut program, 10), (10, String::new()), "{mode}");
        let agent = agent(&world);
        let before = descriptors(agent);
        let pid = i32::try_from(agent).ok().and_then(Pid::from_raw).expect("a process id");
        let all = getrlimit(Resource::Nofile).maximum;
        let limited = |current| Rlimit { current, maximum: all };
        prlimit(Some(pid), Resource::Nofile, limited(Some(before.len() as u64 + 30))).expect("it is ours");
        let (good, others) = tries(&mut program, 100);
        if mode == "nonblocking" {
            assert!((5..40).contains(&good), "{good}, {others}");
            assert_eq!(others, format!("ENETUNREACH {}", 100 - good));
        }
        // Those that were closed have left room for others, under the limit as well.
        let end = Instant::now() + PATIENCE;
        while tries(&mut program, 5) != (5, String::new()) {
            assert!(Instant::now() < end, "{mode}: there is no room again");
        }
        prlimit(Some(pid), Resource::Nofile, limited(all)).expect("it is ours");
        assert_eq!(tries(&mut program, 100), (100, String::new()), "{mode}");
        no_descriptor_is_kept(agent, &before);
    }
    serves(&world, &proxy);
    no_leaks(&world);
}

/// One datagram is sent for each line of the input.
const SENDS: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to = ("10.99.0.1", int(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    try:
        s.sendto(b"x", to)
        print("sent", flush=True)
    except OSError as error:
        print(error, flush=True)
"#;

/// So few are left that there is no association: the proxies have not even been asked.
#[test]
fn with_no_descriptor_left_for_datagrams_no_hop_has_failed() {
    let world = World::new();
    servers::start(&world);
    let hops = [2001, 2002].map(|port| proxies::fake_at(&world, port));
    let urls = hops.each_ref().map(|hop| hop.url());
    let file = world.directory().join("datagrams.toml");
    let text = format!("[chain.main]\nkind = 'dynamic'\nhops = {urls:?}\n");
    std::fs::write(&file, text).expect("the directory is ours");
    let underpass = || world.client(artifacts::underpass()).arg("-f").arg(&file).arg("--");
    let _kept = underpass().args(["sleep", "100"]).spawn();
    for left in 0..6 {
        let port = 20_000 + left;
        let mut program = underpass().args(["python3", "-c", SENDS, &port.to_string()]).spawn();
        assert_eq!(program.next_line(), "ready");
        let agent = agent(&world);
        let pid = i32::try_from(agent).ok().and_then(Pid::from_raw).expect("a process id");
        let all = getrlimit(Resource::Nofile).maximum;
        let limited = |current| Rlimit { current, maximum: all };
        let open = descriptors(agent).len() as u64;
        prlimit(Some(pid), Resource::Nofile, limited(Some(open + left))).expect("it is ours");
        program.say("");
        program.next_line();
        prlimit(Some(pid), Resource::Nofile, limited(all)).expect("it is ours");
        let told = world.client(artifacts::agent()).args(["status", "--json"]).run().success();
        let told: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
        let hops = told["hops"].as_array().expect("a list");
        assert!(hops.iter().all(|hop| hop["failures"] == 0), "{left} left: {hops:?}");
    }
    no_leaks(&world);
}
