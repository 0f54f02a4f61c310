//! Many launches, at once and in a row; and one agent in each network.

use std::time::Duration;

use underpass_tests::artifacts;

use crate::{HELLO, agent, directory, listed, no_leaks, says_hello, wait, world};

#[test]
fn launches_at_the_same_time_share_one_agent() {
    for _ in 0..3 {
        let (world, proxy) = world();
        let programs: Vec<_> = (0..10).map(|_| says_hello(&world, &proxy).spawn()).collect();
        for program in programs {
            let done = program.wait();
            assert_eq!((&*done.stdout, &*done.stderr), ("hello\n", ""), "{done}");
        }
        agent(&world);
        assert_eq!(proxy.requests().len(), 10);
        no_leaks(&world);
    }
}

/// In CI each launch may find the agent of the one before it just leaving.
#[test]
fn launches_that_meet_an_agent_that_leaves_are_served() {
    let (world, proxy) = world();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..15 {
                    let done = says_hello(&world, &proxy).env("CI", "1").run();
                    assert_eq!((&*done.stdout, &*done.stderr), ("hello\n", ""), "{done}");
                }
            });
        }
    });
    wait("the agent leaves", || world.agents().is_empty());
    assert_eq!(proxy.requests().len(), 60);
    no_leaks(&world);
}

#[test]
fn each_network_namespace_has_an_agent_of_its_own() {
    let (world, proxy) = world();
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    let first = agent(&world);
    let underpass = artifacts::underpass();
    // A network without anything, in which the proxy cannot be reached.
    let other = world.client("unshare").args(["--net", "--"]).arg(&underpass);
    let done = other.args(["-x", proxy.url(), "--", "bash", "-c", HELLO]).run();
    assert_ne!(done.stdout, "hello\n", "{done}");
    let mut agents = world.agents();
    agents.retain(|&agent| agent != first);
    assert_eq!(agents.len(), 1);
    let network = |pid| std::fs::read_link(format!("/proc/{pid}/ns/net")).expect("it lives");
    assert_ne!(network(agents[0]), network(first));
    assert_eq!(proxy.requests().len(), 1);
    no_leaks(&world);
}

#[test]
fn two_hundred_launches_leave_nothing_behind() {
    let (world, proxy) = world();
    let underpass = artifacts::underpass().display().to_string();
    let configuration = world.directory().join("c.toml");
    std::fs::write(&configuration, format!("proxy = '{}'\n", proxy.url())).expect("the directory is ours");
    let through = ["-x", proxy.url()];
    let by_file = ["-f", configuration.to_str().expect("UTF-8")];
    let hundred = |options: [&str; 2], program: &str| {
        let line = format!("{underpass} {} {program}", options.join(" "));
        let script = format!("for i in $(seq 100); do {line} || exit 1; done");
        let done = world.client("bash").args(["-c", &script]).limit(Duration::from_secs(300)).run();
        assert_eq!((done.code(), &*done.stderr), (0, ""), "{done}");
        done.stdout
    };
    let descriptors =
        |agent: u32| std::fs::read_dir(format!("/proc/{agent}/fd")).expect("the agent lives").count();
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    assert_eq!(world.client(&underpass).args(by_file).arg("true").run().code(), 0);
    let (agent, place) = (agent(&world), directory(&world));
    let sessions = || world.client("cat").arg(place.join("sessions")).run().success();
    let now = || (world.processes().len(), (listed(&world, &place), sessions()), descriptors(agent));
    // What the launch has opened is closed some time after it.
    let mut before = now();
    wait("all is quiet", || {
        std::thread::sleep(Duration::from_millis(300));
        let last = std::mem::replace(&mut before, now());
        last == before
    });
    hundred(by_file, "true");
    let said = hundred(through, &format!("bash -c '{HELLO}'"));
    assert_eq!(said, "hello\n".repeat(100));
    // Connections that are kept warm, to a proxy that looks far away on a busy machine, may have been there before.
    wait("all is as it was", || {
        let now = now();
        (now.0, &now.1) == (before.0, &before.1) && now.2 <= before.2
    });
    assert_eq!(proxy.requests().len(), 101);
    assert_eq!(world.agents(), [agent]);
    no_leaks(&world);
}
