//! What is open when they are told to end.

use rustix::process::Signal;
use underpass_tests::proxies;
use underpass_tests::servers::{self, port};
use underpass_tests::{World, artifacts, wait};

use crate::place::{Manager, door, echo, listens, no_leaks, service, world};

/// Downloads under way at SIGTERM end as if nothing had been; nothing new comes in.
#[test]
fn downloads_end_by_themselves_and_then_the_agent() {
    let (world, proxy, manager) = world();
    let agent = door(&world, &proxy, &["--drain", "90"]).spawn();
    manager.wait("READY=1");
    let url = format!("http://far.test:{}/", port::BIG_SENDER);
    let download = || {
        let curl = world.client("curl").args(["-sS", "--http0.9", "-x", "socks5h://127.0.0.1:1081"]);
        curl.args(["--limit-rate", "8M", "-o", "/dev/null", "-w", "%{size_download}", &url]).spawn()
    };
    let downloads: Vec<_> = (0..12).map(|_| download()).collect();
    wait("all have begun", || proxy.requests().len() == 12);
    agent.signal(Signal::TERM);
    manager.wait("STOPPING=1");
    wait("nobody listens", || !listens(&world, 1081));
    let refused = world.client("curl").args(["-sS", "-x", "socks5h://127.0.0.1:1081", &url]).run();
    assert_eq!(refused.code(), 7, "{refused}");
    for download in downloads {
        assert_eq!(download.wait().success(), port::BIG.to_string());
    }
    assert_eq!(agent.wait().code(), 0);
    no_leaks(&world);
}

#[test]
fn what_does_not_end_in_time_is_cut_as_a_reset() {
    let (world, proxy, manager) = world();
    let agent = door(&world, &proxy, &["--drain", "1"]).spawn();
    manager.wait("READY=1");
    let mut open = echo(&world);
    agent.signal(Signal::TERM);
    manager.wait("STATUS=draining: 1 open");
    open.say("still");
    assert_eq!(open.next_line(), "still");
    assert_eq!(agent.wait().code(), 0);
    open.say("more");
    assert_eq!(open.next_line(), "ConnectionResetError");
    no_leaks(&world);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let (world, proxy, manager) = world();
        let agent = door(&world, &proxy, &["--drain", "86400"]).spawn();
        manager.wait("READY=1");
        let mut open = echo(&world);
        agent.signal(Signal::TERM);
        manager.wait("STATUS=draining: 1 open");
        agent.signal(second);
        assert_eq!(agent.wait().code(), 0);
        open.say("more");
        assert_eq!(open.next_line(), "ConnectionResetError");
        no_leaks(&world);
    }
}

/// The agent of programs lets the next one serve while what it carries ends.
#[test]
fn programs_go_on_while_their_agent_drains_and_the_next_one_serves() {
    let (world, proxy, manager) = world();
    let agent = service(&world, &["run", "--drain", "90"]).spawn();
    manager.wait("READY=1");
    let file = world.directory().join("c.toml");
    let text = format!("handoff = 'never'\nproxy = '{}'\n", proxy.url());
    std::fs::write(&file, text).expect("the directory is ours");
    let script =
        "exec 3<>/dev/tcp/far.test/7007; while read line; do echo $line >&3; read -u3 back; echo $back; done";
    let program = world.client(artifacts::underpass()).arg("-f").arg(&file);
    let mut program = program.args(["--", "bash", "-c", script]).spawn();
    program.say("one");
    assert_eq!(program.next_line(), "one");
    assert_eq!(world.agents(), [agent.pid()]);
    agent.signal(Signal::TERM);
    manager.wait("STATUS=draining: 1 open");
    // Names have their addresses in both.
    let hello = "exec 3<>/dev/tcp/v6.test/7001; read -u3 hello; echo $hello";
    let other = world.client(artifacts::underpass()).arg("-f").arg(&file).args(["--", "bash", "-c", hello]);
    assert_eq!(other.run().success(), "hello\n");
    assert_eq!(world.agents().len(), 2);
    program.say("two");
    assert_eq!(program.next_line(), "two");
    program.close_input();
    assert_eq!(program.wait().code(), 0);
    assert_eq!(agent.wait().code(), 0);
    assert_eq!(world.agents().len(), 1);
    no_leaks(&world);
}

/// Streams through a relay go on; its sessions end when they have none.
#[test]
fn a_relay_lets_streams_end_and_its_clients_go_elsewhere() {
    let world = World::new();
    servers::start(&world);
    let manager = Manager::new(&world);
    let key = proxies::key(&world, "client");
    let first = proxies::relay_with(&world, 4433, &[&key], 1, "[limits]\ndrain = 90\n").allowed(&world);
    first.real.kill();
    let start = || {
        let config = world.directory().join("relay-4433.toml");
        let relay = world.far(artifacts::agent()).args(["relay", "--config"]).arg(config);
        relay.env("NOTIFY_SOCKET", world.directory().join("notify")).spawn()
    };
    let relay = start();
    manager.wait("READY=1");
    let url = first.url(&key);
    let script =
        "exec 3<>/dev/tcp/far.test/7007; while read line; do echo $line >&3; read -u3 back; echo $back; done";
    let mut program = world.wrapped(&url, "bash").args(["-c", script]).spawn();
    program.say("one");
    assert_eq!(program.next_line(), "one");
    relay.signal(Signal::TERM);
    manager.wait("STATUS=draining: 1 open");
    let next = start();
    manager.wait("READY=1");
    let hello = world.wrapped(&url, "bash").args(["-c", "exec 3<>/dev/tcp/far.test/7001; cat <&3"]);
    assert_eq!(hello.run().success(), "hello\n");
    program.say("two");
    assert_eq!(program.next_line(), "two");
    program.close_input();
    assert_eq!(program.wait().code(), 0);
    assert_eq!(relay.wait().code(), 0);
    next.signal(Signal::TERM);
    no_leaks(&world);
}
