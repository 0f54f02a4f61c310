//! An agent stays as long as a program of its sessions lives, and in CI leaves after the last one.

use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::proxies::Fake;
use underpass_tests::{Command, World, artifacts};

use crate::{HELLO, agent, directory, end, listed, no_leaks, says_hello, wait, world};

/// The agent looks for daemons every 3 s; it has looked after this time.
const LOOKS: Duration = Duration::from_secs(6);

fn in_ci(command: Command) -> Command {
    command.env("CI", "1")
}

#[track_caller]
fn leaves(world: &World) {
    wait("the agent leaves", || world.agents().is_empty());
}

#[test]
fn in_ci_the_agent_leaves_with_the_last_program_and_nothing_stays() {
    let (world, proxy) = world();
    let before = world.processes();
    assert_eq!(in_ci(says_hello(&world, &proxy)).run().stdout, "hello\n");
    leaves(&world);
    assert_eq!(world.processes(), before);
    let left = listed(&world, "/run/underpass".as_ref());
    let gone = |line: &String| !line.contains(" s ") && !line.ends_with(" sessions");
    assert!(left.len() > 1 && left.iter().all(gone), "{left:?}");
    // The next launch finds no agent and starts one.
    assert_eq!(in_ci(says_hello(&world, &proxy)).run().stdout, "hello\n");
    leaves(&world);
    no_leaks(&world);
}

#[test]
fn otherwise_it_waits_for_the_next_launch() {
    let (world, proxy) = world();
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    let first = agent(&world);
    std::thread::sleep(LOOKS);
    assert_eq!(world.agents(), [first]);
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    assert_eq!(world.agents(), [first]);
    // What the last launch says counts.
    assert_eq!(in_ci(says_hello(&world, &proxy)).run().stdout, "hello\n");
    leaves(&world);
}

/// A launch that never became a program, or one that needed nothing, is one that has ended.
#[test]
fn in_ci_it_also_leaves_after_a_program_that_connected_nowhere_or_was_killed() {
    let (world, proxy) = world();
    assert_eq!(in_ci(world.wrapped(proxy.url(), "true")).run().code(), 0);
    leaves(&world);
    let program = in_ci(world.wrapped(proxy.url(), "sleep")).arg("1000").spawn();
    wait("an agent", || !world.agents().is_empty());
    wait("the program", || {
        std::fs::read_to_string(format!("/proc/{}/comm", program.pid())).is_ok_and(|name| name == "sleep\n")
    });
    program.signal(Signal::KILL);
    drop(program);
    leaves(&world);
}

/// Starts one that connects when it is told to.
fn daemon(world: &World, proxy: &Fake) {
    let daemon = artifacts::program("daemon");
    let file = world.directory().join("file");
    let command = in_ci(world.wrapped(proxy.url(), "sh"));
    let script = format!("{} far.test 7001 {}", daemon.display(), file.display());
    assert_eq!(command.args(["-c", &script]).run().code(), 0);
}

fn tell(world: &World, what: &str) {
    std::fs::write(world.directory().join(what), "").expect("the directory is ours");
}

fn daemons(world: &World) -> usize {
    let is_daemon =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "daemon\n");
    world.processes().iter().filter(|pid| is_daemon(pid)).count()
}

/// It has no parent, no environment, no arguments and no descriptor by which it could be known.
#[test]
fn a_daemon_keeps_the_agent_and_is_served_long_after_its_parent_has_ended() {
    let (world, proxy) = world();
    daemon(&world, &proxy);
    wait("the daemon is alone", || daemons(&world) == 1);
    let first = agent(&world);
    std::thread::sleep(Duration::from_secs(3));
    tell(&world, "connect");
    let file = world.directory().join("file");
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    wait("it connects", || !read().is_empty());
    assert_eq!(read(), "hello\n");
    assert_eq!(proxy.requests()[0].to_string(), "name far.test 7001");
    // It lives on, and so does the agent, which looks twice in this time.
    std::thread::sleep(LOOKS + Duration::from_secs(1));
    assert_eq!((daemons(&world), world.agents()), (1, vec![first]));
    tell(&world, "end");
    wait("the daemon ends", || daemons(&world) == 0);
    leaves(&world);
    no_leaks(&world);
}

/// The agent that is there when the daemon connects is another one than when it was started.
#[test]
fn a_daemon_is_served_by_the_next_agent_and_keeps_that_one() {
    let (world, proxy) = world();
    daemon(&world, &proxy);
    wait("the daemon is alone", || daemons(&world) == 1);
    end(&world, agent(&world), Signal::KILL);
    assert_eq!(in_ci(world.wrapped("local:", "true")).run().code(), 0);
    tell(&world, "connect");
    let file = world.directory().join("file");
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    wait("it connects", || !read().is_empty());
    assert_eq!(read(), "hello\n");
    // Through the upstream of its own session, not that of the launch that started the agent.
    assert_eq!(proxy.requests()[0].to_string(), "name far.test 7001");
    tell(&world, "end");
    leaves(&world);
    no_leaks(&world);
}

/// SIGTERM ends the agent also while programs live; the next one serves them by the sessions kept.
#[test]
fn a_program_that_outlives_an_agent_that_was_ended_is_served_by_the_next() {
    let (world, proxy) = world();
    let script = format!("echo up; read line; {HELLO}");
    for signal in [Signal::TERM, Signal::KILL] {
        let mut program = world.wrapped(proxy.url(), "bash").args(["-c", &script]).spawn();
        assert_eq!(program.next_line(), "up");
        let (first, place) = (agent(&world), directory(&world));
        end(&world, first, signal);
        assert!(listed(&world, &place).iter().any(|line| line.ends_with(" sessions")));
        assert_eq!(world.wrapped("local:", "true").run().code(), 0);
        proxy.forget();
        program.say("go");
        assert_eq!(program.next_line(), "hello");
        assert_eq!(proxy.requests()[0].to_string(), "name far.test 7001");
    }
    no_leaks(&world);
}
