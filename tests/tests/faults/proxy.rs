//! The proxy misbehaves, in each way of the peers' fault table.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use underpass_tests::behaviour::Behaviour::{self, *};
use underpass_tests::proxies;
use underpass_tests::servers::port;
use underpass_tests::{PATIENCE, World, artifacts};

use crate::{GREETED, agent, descriptors, no_descriptor_is_kept, no_leaks, serves, world};

/// A fault and the errno of `connect()` (core/src/failure.rs); none where it is no fault to the
/// program.
const FAULTS: [(Behaviour, Option<&str>); 26] = [
    // First, since they last until the deadline.
    (Silent, Some("ETIMEDOUT")),
    (SilentReply, Some("ETIMEDOUT")),
    (Normal, None),
    (Bytewise, None),
    (Coalesced, None),
    (BoundV6, None),
    (BoundName, None),
    (BoundEmptyName, None),
    (Garbage, Some("ECONNRESET")),
    (Flood, Some("ECONNRESET")),
    (AcceptClose, Some("ECONNRESET")),
    (AcceptReset, Some("ECONNRESET")),
    (BadMethod, Some("ECONNRESET")),
    (MethodLie, Some("ECONNRESET")),
    (NoMethod, Some("EACCES")),
    (Version4, Some("ECONNRESET")),
    (CloseAfterMethod, Some("ECONNRESET")),
    (ResetAfterMethod, Some("ECONNRESET")),
    (BadAddressType, Some("ECONNRESET")),
    (ReplyVersion4, Some("ECONNRESET")),
    (CloseAfter(0), Some("ECONNRESET")),
    (CloseAfter(3), Some("ECONNRESET")),
    (CloseAfter(9), Some("ECONNRESET")),
    (ResetAfter(0), Some("ECONNRESET")),
    (ResetAfter(3), Some("ECONNRESET")),
    (ResetAfter(9), Some("ECONNRESET")),
];

/// The agent's deadline is 10 s; the rest is the slowness of a busy machine.
const DEADLINE: Duration = Duration::from_secs(45);

#[test]
fn every_fault_of_a_proxy_has_its_errno_and_gives_the_program_no_stray_byte() {
    let (world, good) = world();
    let agent = agent(&world);
    let before = descriptors(agent);
    let report = Mutex::new(String::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(fault, errno)) = FAULTS.get(number / 2) else { break };
                    let mode = ["blocking", "nonblocking"][number % 2];
                    let proxy = proxies::fake_at(&world, 2000 + u16::try_from(number).expect("few faults"));
                    proxy.behave(fault);
                    let arguments = ["v4", mode, "1", &port::GREETER.to_string()];
                    let command = world.wrapped(proxy.url(), artifacts::program("greeting")).args(arguments);
                    let done = command.run_or_kill();
                    let expected = errno.map_or(GREETED.to_owned(), |errno| format!("{errno}\n"));
                    if done.stdout != expected || done.elapsed > DEADLINE {
                        let mut report = report.lock().expect("no holder panics");
                        *report += &format!("{fault}, {mode}: expected {expected:?}\n{done}\n");
                    }
                }
            });
        }
    });
    let report = report.into_inner().expect("no holder panics");
    assert!(report.is_empty(), "\n{report}");
    serves(&world, &good);
    assert_eq!(world.agents(), [agent]);
    no_descriptor_is_kept(agent, &before);
    no_leaks(&world);
}

/// The two ends of each connection on the client side.
fn connected(world: &World) -> HashSet<String> {
    let file = format!("/proc/{}/net/tcp", agent(world));
    let sockets = std::fs::read_to_string(file).expect("the agent lives");
    let lines = sockets.lines().map(|line| line.split_whitespace().skip(1).take(3).collect::<Vec<_>>());
    lines.filter(|fields| fields.get(2) == Some(&"01")).map(|fields| fields[..2].join(" ")).collect()
}

#[test]
fn a_reset_in_the_stream_is_a_reset_to_the_program() {
    let (world, proxy) = world();
    proxy.behave(ResetMidStream);
    for mode in ["blocking", "nonblocking"] {
        let arguments = ["v4", mode, "1", &port::GREETER.to_string(), "pause"];
        let before = connected(&world);
        let mut program = world.wrapped(proxy.url(), artifacts::program("greeting")).args(arguments).spawn();
        let expected: &[&str] = match mode {
            "blocking" => &["connect 0", "0", "greeting 6", "hello"],
            _ => &["connect EINPROGRESS", "0", "greeting 6", "hello"],
        };
        for line in expected {
            assert_eq!(program.next_line(), *line, "{mode}");
        }
        // The proxy resets when it has another order; then nobody is connected any more.
        proxy.behave(Normal);
        let limit = Instant::now() + PATIENCE;
        while connected(&world).difference(&before).next().is_some() {
            assert!(Instant::now() < limit, "{mode}: the reset does not arrive");
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy.behave(ResetMidStream);
        program.say("go");
        let line = program.next_line();
        assert!(["send ECONNRESET", "send EPIPE"].contains(&&*line), "{mode}: {line}");
    }
    no_leaks(&world);
}

/// Of a proxy that wants a password: what `connect()` says for these credentials.
fn with_credentials(world: &World, url: &str) -> String {
    let arguments = ["v4", "blocking", "1", &port::GREETER.to_string()];
    let done = world.wrapped(url, artifacts::program("greeting")).args(arguments).run();
    assert!(!done.stderr.contains("secret"), "{done}");
    done.stdout.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_proxy_that_wants_a_password_gets_the_right_one_or_it_is_eacces() {
    let world = World::new();
    underpass_tests::servers::start(&world);
    let proxy = proxies::fake_with_password(&world, "user", "secret");
    assert_eq!(with_credentials(&world, proxy.url()), "0");
    assert_eq!(with_credentials(&world, "socks5h://user:secret2@10.77.0.1:1080"), "EACCES");
    assert_eq!(with_credentials(&world, "socks5h://10.77.0.1:1080"), "EACCES");
    no_leaks(&world);
}

/// Whoever can list processes or read their environment must not find the password there.
#[test]
fn a_password_is_in_no_command_line_and_no_environment_of_the_program() {
    let world = World::new();
    underpass_tests::servers::start(&world);
    let proxy = proxies::fake_with_password(&world, "user", "secret");
    let done = world.wrapped(proxy.url(), "sh").args(["-c", "env; tr '\\0' ' ' </proc/$$/cmdline"]).run();
    assert!(done.status.success() && !done.stdout.contains("secret"), "{done}");
    let agent = agent(&world);
    for file in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{agent}/{file}")).expect("the agent lives");
        assert!(!String::from_utf8_lossy(&text).contains("secret"), "{file} of the agent");
    }
}

/// What is said to ssh goes by a task of the agent's, and by a process that ssh starts.
#[test]
fn a_dial_by_ssh_that_takes_too_long_leaves_nothing_behind() {
    let (world, proxy) = world();
    proxy.on(22, SilentReply);
    let file = world.directory().join("ssh.toml");
    let text = format!("deadline = 1\nproxy = ['{}', 'ssh://gate.test']\n", proxy.url());
    std::fs::write(&file, text).expect("the directory is ours");
    let agent = agent(&world);
    let before = descriptors(agent);
    for _ in 0..3 {
        let underpass = world.client(artifacts::underpass()).arg("-f").arg(&file).arg("--");
        let arguments = ["v4", "nonblocking", "1", &port::GREETER.to_string()];
        let done = underpass.arg(artifacts::program("greeting")).args(arguments).run();
        assert_eq!(done.stdout, "ETIMEDOUT\n", "{done}");
    }
    assert_eq!(proxy.requests().iter().filter(|asked| asked.port == 22).count(), 3);
    no_descriptor_is_kept(agent, &before);
    let joins = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|word| word == b"join")
    };
    let limit = Instant::now() + PATIENCE;
    while world.processes().iter().any(joins) {
        assert!(Instant::now() < limit, "{:?}", world.processes());
        std::thread::sleep(Duration::from_millis(20));
    }
    no_leaks(&world);
}
