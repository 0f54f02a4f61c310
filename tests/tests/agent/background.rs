//! A process of its own.

use underpass_tests::{PATIENCE, World, artifacts};

use crate::{agent, says_hello, wait, world};

/// A field of /proc/PID/stat, counted as in proc_pid_stat(5).
fn stat(pid: u32, field: usize) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
    rest.split(' ').nth(field - 3).expect("a field").to_owned()
}

fn link(pid: u32, file: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/{file}")).expect("it lives").display().to_string()
}

/// `x=$(command)` waits for the end of the pipe: an agent that held it would hang every script.
#[test]
fn a_pipe_of_the_first_launch_ends_with_the_program() {
    let world = World::new();
    let underpass = artifacts::underpass().display().to_string();
    let script =
        format!("x=$({underpass} -x local: true 2>&1); {underpass} -x local: true 2>&1 | cat; echo $x-");
    let done = world.client("sh").args(["-c", &script]).run();
    assert_eq!(done.stdout, "-\n", "{done}");
    assert!(done.elapsed < PATIENCE, "{done}");
    agent(&world);
}

#[test]
fn the_agent_has_nothing_of_the_program_that_it_was_started_for() {
    let world = World::new();
    let itself = artifacts::program("itself");
    // With descriptors 9 and 250 open, signals ignored and blocked, and a umask.
    let odd = world.client(&itself).arg("odd").arg(artifacts::underpass()).args(["-x", "local:", "true"]);
    assert_eq!(odd.run().code(), 0);
    let agent = agent(&world);
    assert_eq!(link(agent, "cwd"), "/");
    let process = agent.to_string();
    assert_eq!([stat(agent, 5), stat(agent, 6)], [process.clone(), process], "group and session of its own");
    assert_eq!(stat(agent, 7), "0", "no terminal");
    for fd in ["0", "1", "2"] {
        assert_eq!(link(agent, &format!("fd/{fd}")), "/dev/null");
    }
    for entry in std::fs::read_dir(format!("/proc/{agent}/fd")).expect("it lives").flatten() {
        // One that was closed meanwhile is none.
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        let target = target.display().to_string();
        let own = ["socket:", "anon_inode:", "pipe:", "/dev/null", "/run/underpass/"];
        assert!(own.iter().any(|start| target.starts_with(start)), "{target}");
    }
}

#[test]
fn the_program_has_no_child_and_no_zombie() {
    let world = World::new();
    let itself = artifacts::program("itself");
    for _ in 0..2 {
        // The first launch starts the agent.
        let done = world.wrapped("local:", &itself).arg("show").run();
        assert!(done.stdout.contains("\nchildren ECHILD\n"), "{done}");
    }
    let is_zombie = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('Z'))
    };
    // What has ended is one until its parent has run.
    wait("no zombie is left", || !world.processes().iter().any(is_zombie));
}

/// A launch from within a session must not put the agent into that session: it would wait for itself.
#[test]
fn an_agent_that_is_started_in_a_session_is_not_of_it() {
    let (world, proxy) = world();
    let mut outer = says_hello(&world, &proxy).run();
    assert_eq!(outer.stdout, "hello\n", "{outer}");
    let underpass = artifacts::underpass().display().to_string();
    let first = agent(&world);
    // The inner launch finds the outer one's agent gone.
    let script = format!(
        "kill -9 $(pgrep -x underpass-agent); while pgrep -x underpass-agent; do sleep 0.02; done >/dev/null; {underpass} -x {} bash -c '{}'",
        proxy.url(),
        crate::HELLO
    );
    outer = world.wrapped(proxy.url(), "sh").args(["-c", &script]).run();
    assert_eq!(outer.stdout, "hello\n", "{outer}");
    wait("the first agent ends", || !world.processes().contains(&first));
    let environment = std::fs::read(format!("/proc/{}/environ", agent(&world))).expect("it lives");
    let environment = String::from_utf8_lossy(&environment);
    assert!(
        !environment.contains("LD_PRELOAD") && !environment.contains("UNDERPASS_SESSION=1:"),
        "{environment}"
    );
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", agent(&world))).expect("it lives");
    assert!(!maps.contains("libunderpass"), "{maps}");
    crate::no_leaks(&world);
}
