//! The agent is killed: programs get errors, never a direct connection, and the next command has a
//! new agent at once.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use underpass_tests::behaviour::Behaviour;
use underpass_tests::proxies::Fake;
use underpass_tests::servers::port;
use underpass_tests::{PATIENCE, Running, World, artifacts};

use crate::{agent, no_leaks, serves, world};

pub(crate) fn kill_agent(world: &World) {
    let agent = agent(world);
    let pid = i32::try_from(agent).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::KILL).expect("the agent lives");
    let limit = Instant::now() + PATIENCE;
    while world.agents().contains(&agent) {
        assert!(Instant::now() < limit, "the agent survives SIGKILL");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn start(world: &World, proxy: &Fake, mode: &str) -> Running {
    let arguments = ["v4", mode, "1", &port::GREETER.to_string(), "pause"];
    world.wrapped(proxy.url(), artifacts::program("greeting")).args(arguments).spawn()
}

/// Time for what follows the request at the proxy.
fn wait_for_requests(proxy: &Fake, count: usize) {
    let limit = Instant::now() + PATIENCE;
    while proxy.requests().len() < count {
        assert!(Instant::now() < limit, "no request came");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn while_idle_the_next_command_starts_another() {
    let (world, proxy) = world();
    for _ in 0..3 {
        kill_agent(&world);
        serves(&world, &proxy);
    }
    no_leaks(&world);
}

#[test]
fn during_a_blocking_connect_the_connect_fails() {
    let (world, proxy) = world();
    proxy.forget();
    proxy.on(port::GREETER, Behaviour::SilentReply);
    let mut program = start(&world, &proxy, "blocking");
    wait_for_requests(&proxy, 1);
    kill_agent(&world);
    let begin = Instant::now();
    let line = program.next_line();
    assert!(line.starts_with("connect E") && line != "connect EINPROGRESS", "{line}");
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    drop(program);
    proxy.on(port::GREETER, Behaviour::Normal);
    serves(&world, &proxy);
    no_leaks(&world);
}

#[test]
fn while_a_socket_is_held_its_connection_fails() {
    let (world, proxy) = world();
    proxy.forget();
    proxy.on(port::GREETER, Behaviour::SilentReply);
    let mut program = start(&world, &proxy, "nonblocking");
    assert_eq!(program.next_line(), "connect EINPROGRESS");
    wait_for_requests(&proxy, 1);
    kill_agent(&world);
    let begin = Instant::now();
    let line = program.next_line();
    assert!(line.starts_with('E'), "an errno: {line}");
    // The kernel repeats a SYN after 1, 3 and 7 seconds, and for two minutes; nobody drops it then.
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    drop(program);
    proxy.on(port::GREETER, Behaviour::Normal);
    serves(&world, &proxy);
    no_leaks(&world);
}

#[test]
fn a_relayed_connection_is_reset_not_ended() {
    let (world, proxy) = world();
    let mut program = start(&world, &proxy, "nonblocking");
    for line in ["connect EINPROGRESS", "0", "greeting 6", "hello"] {
        assert_eq!(program.next_line(), line);
    }
    kill_agent(&world);
    program.say("go");
    let mut lines = vec![program.next_line()];
    if lines[0] == "send 4" {
        lines.push(program.next_line());
    }
    let last = lines.last().expect("a line");
    assert!(["send ECONNRESET", "send EPIPE", "recv ECONNRESET"].contains(&&**last), "{lines:?}");
    drop(program);
    serves(&world, &proxy);
    no_leaks(&world);
}

#[test]
fn a_connection_that_was_handed_off_goes_on() {
    let (world, proxy) = world();
    // Also where the proxy looks far away, as it may on a busy machine.
    let config = world.directory().join("always.toml");
    std::fs::write(&config, format!("proxy = '{}'\nhandoff = 'always'\n", proxy.url()))
        .expect("the directory is ours");
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(config).arg("--");
    let arguments = ["v4", "blocking", "1", &port::GREETER.to_string(), "pause"];
    let mut program = underpass.arg(artifacts::program("greeting")).args(arguments).spawn();
    for line in ["connect 0", "0", "greeting 6", "hello"] {
        assert_eq!(program.next_line(), line);
    }
    kill_agent(&world);
    program.say("go");
    for line in ["send 4", "echo word", "end 0"] {
        assert_eq!(program.next_line(), line);
    }
    assert_eq!(program.wait().code(), 0);
    serves(&world, &proxy);
    no_leaks(&world);
}

/// Programs that outlive an agent: the next agent knows their session and their names.
#[test]
fn a_session_and_its_names_survive_the_agent() {
    let (world, proxy) = world();
    let names = artifacts::program("names");
    let port = port::GREETER.to_string();
    let script = format!(
        "address=$({names} resolve kept.test {port} | tail -n1); echo $address; read line; {names} address $address {port}",
        names = names.display()
    );
    let mut program = world.wrapped(proxy.url(), "bash").args(["-c", &script]).spawn();
    assert!(program.next_line().starts_with("198.1"));
    kill_agent(&world);
    serves(&world, &proxy);
    proxy.forget();
    program.say("go");
    let done = program.wait();
    assert!(done.stdout.contains("connect 0\nrecv 6\nhello\n"), "{done}");
    assert_eq!(proxy.requests()[0].to_string(), "name kept.test 7006");
    no_leaks(&world);
}

#[test]
fn without_an_agent_a_program_gets_errors_and_never_a_direct_connection() {
    let (world, proxy) = world();
    let outcome = artifacts::program("outcome");
    let names = artifacts::program("names");
    let script = format!(
        "echo up; read line; for mode in blocking nonblocking; do {outcome} v4 $mode 1 7007 errno; done; \
         {names} resolve orphan.test 80; echo end",
        outcome = outcome.display(),
        names = names.display()
    );
    let mut program = world.wrapped(proxy.url(), "bash").args(["-c", &script]).spawn();
    assert_eq!(program.next_line(), "up");
    kill_agent(&world);
    program.say("go");
    let done = program.wait();
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines[..3], ["up", "ENETUNREACH", "ENETUNREACH"], "{done}");
    assert!(lines[3].starts_with("getaddrinfo: "), "{done}");
    no_leaks(&world);
    serves(&world, &proxy);
}
