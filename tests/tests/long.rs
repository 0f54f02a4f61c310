//! The long tests: many times what the short ones show once. `bash tests/run --long`

use std::fs;
use std::time::{Duration, Instant};

use underpass_tests::servers::{V4, port};
use underpass_tests::{PATIENCE, World, proxies, servers};

const HOUR: Duration = Duration::from_secs(3600);

/// Ends of idle pipes that an agent keeps for the next relay, at most (`pipes.rs`).
const PIPE_ENDS: usize = 64;

/// Memory of its own in KiB, and open descriptors other than pipes. Pages of the program's file count less the more processes
/// share them, so they say nothing here.
fn size(agent: u32) -> (usize, usize) {
    let rollup = fs::read_to_string(format!("/proc/{agent}/smaps_rollup")).unwrap();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    let kib = pss.trim().trim_end_matches(" kB").parse().unwrap();
    let open = fs::read_dir(format!("/proc/{agent}/fd")).unwrap();
    let (pipes, others): (Vec<_>, Vec<_>) = open
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .partition(|target| target.to_string_lossy().starts_with("pipe:"));
    assert!(pipes.len() <= PIPE_ENDS, "{} ends of pipes", pipes.len());
    (kib, others.len())
}

/// `script` runs in bash under one launch. The agent may grow by `room` KiB, which its tables need when
/// they are fullest: some 30 bytes for each thing that is done would be more.
fn grows_little(world: &World, upstream: &str, warm_up: &str, script: &str, room: usize) {
    world.wrapped(upstream, "bash").args(["-c", warm_up]).limit(HOUR).run().success();
    let agents = world.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    let (before, descriptors) = size(agents[0]);
    world.wrapped(upstream, "bash").args(["-c", script]).limit(HOUR).run().success();
    assert_eq!(world.agents(), agents, "the agent was replaced");
    // Where the machine was busy, the proxy has seemed far, and connections are kept warm for 8 s.
    let end = Instant::now() + PATIENCE;
    let (after, descriptors_after) = loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = size(agents[0]);
        if now.1 <= descriptors || Instant::now() > end {
            break now;
        }
    };
    assert!(descriptors_after <= descriptors, "{descriptors} descriptors became {descriptors_after}");
    assert!(after <= before + room, "{before} KiB became {after} KiB");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// What is started under each tier: that of a datagram has a network of its own under guard; what is sealed has one always.
const STARTS: [(&str, &str); 5] = [
    ("hook", "true"),
    ("auto", "true"),
    ("auto", "busybox true"),
    ("guard", "busybox nslookup far.test 10.77.0.1"),
    ("sealed", "busybox nslookup far.test 10.77.0.1"),
];

/// Sockets that are files, and network namespaces that are somebody's, on the client side.
fn sockets_and_networks(world: &World) -> (String, String) {
    let place = world.directory().display().to_string();
    let sockets = world.client("find").args(["/run", &place, "-type", "s"]).run().success();
    (sockets, world.client("lsns").args(["--noheadings", "--type", "net", "--output", "NS"]).run().success())
}

/// Of this command, by a launcher of this tier.
fn starts_leave_nothing_behind(tier: &str, command: &str) {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let launcher = underpass_tests::artifacts::underpass();
    let (launcher, url) = (launcher.display(), proxy.url());
    let start = format!("{launcher} -x {url} --tier {tier} -- {command} >/dev/null || exit 1");
    let starts = |count| format!("for ((i = 0; i < {count}; i++)); do {start}; done");
    let before = world.processes().len();
    world.wrapped(proxy.url(), "true").run().success();
    let things = sockets_and_networks(&world);
    // A session of 100 to 200 bytes is kept for each.
    grows_little(&world, proxy.url(), &starts(500), &starts(10_000), 3072);
    // A supervisor may take a moment more than its program.
    let end = Instant::now() + PATIENCE;
    while world.processes().len() > before + 1 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.processes().len(), before + 1, "only the agent is left: {:?}", world.processes());
    assert_eq!(sockets_and_networks(&world), things);
}

#[test]
#[ignore = "long: 10,000 starts under each tier"]
fn ten_thousand_starts_leave_nothing_behind() {
    for (tier, command) in STARTS {
        starts_leave_nothing_behind(tier, command);
    }
}

/// `count` connections one after the other, each with an echo.
fn connections(count: u32, blocking: bool) -> String {
    format!(
        "exec python3 -c '
import select, socket
for i in range({count}):
    s = socket.socket()
    s.setblocking({blocking})
    e = s.connect_ex((\"{V4}\", {port}))
    if e == 115:
        poll = select.poll()
        poll.register(s, select.POLLOUT)
        poll.poll()
        e = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    assert e == 0, (i, e)
    s.setblocking(True)
    s.sendall(b\"x\")
    assert s.recv(1) == b\"x\", i
    s.close()
'",
        blocking = if blocking { "True" } else { "False" },
        port = port::ECHO,
    )
}

#[test]
#[ignore = "long: 40,000 relayed connections, more than a hold port has"]
fn forty_thousand_relayed_connections_in_a_row() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::microsocks(&world, None);
    grows_little(&world, proxy.url(), &connections(2000, false), &connections(40_000, false), 1536);
}

#[test]
#[ignore = "long: 40,000 handed-off connections"]
fn forty_thousand_handed_off_connections_in_a_row() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::microsocks(&world, None);
    grows_little(&world, proxy.url(), &connections(2000, true), &connections(40_000, true), 1536);
}

#[test]
#[ignore = "long: 70,000 names"]
fn seventy_thousand_names_reach_what_they_name() {
    underpass_tests::names::reach_what_they_name(70_000);
}
