//! Whose the doors and files are, before another process takes the place and after.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::proxies;
use underpass_tests::{Command, World, artifacts, servers, wait};

use crate::place::{Manager, door, echo, listens, no_leaks, service, succeeded, succeeded_twice, world};

fn curl(world: &World, door: &Path) -> Command {
    let proxy = format!("socks5h://localhost{}", door.display());
    world.client("curl").args(["-sS", "-p", "-x", &proxy]).arg("telnet://far.test:7001")
}

/// Before it has prepared itself, and after.
#[test]
fn a_successor_that_fails_removes_nothing() {
    let (world, proxy, manager) = world();
    let unix = world.directory().join("door");
    let file = world.directory().join("c.toml");
    let write = |more: &str| {
        let text = format!("proxy = '{}'\n{more}", proxy.url());
        std::fs::write(&file, text).expect("the directory is ours");
    };
    write("");
    let url = format!("any://{}", unix.display());
    let agent = service(&world, &["run", "--listen", &url, "-f", file.to_str().expect("it is UTF-8")]);
    let mut agent = agent.env("UNDERPASS_LOG", "error").spawn();
    manager.wait("READY=1");
    for (more, why) in [
        ("[[listen]]\nat = 'any:///nowhere/door'\n", "no successor; this process goes on"),
        ("metrics = 'unix:/nowhere/m.sock'\n", "the successor does not serve; this process goes on"),
    ] {
        write(more);
        agent.signal(Signal::USR2);
        let mut said = Vec::new();
        wait("it says why", || {
            said.extend(agent.try_complaint());
            said.iter().any(|line| line.contains(why) && line.contains("/nowhere/"))
        });
        assert_eq!(curl(&world, &unix).run().success(), "hello\n", "{why}");
    }
    // The directory is there, too.
    write("");
    agent.signal(Signal::USR2);
    succeeded(&manager);
    assert_eq!(agent.succeeded(), Some(0));
    assert_eq!(curl(&world, &unix).run().success(), "hello\n");
    assert!(world.signal(world.agents()[0], Signal::TERM));
    wait("it ends", || world.agents().is_empty());
    assert!(!unix.exists());
    no_leaks(&world);
}

/// The successor has ended, and the first still drains.
#[test]
fn another_may_serve_where_the_successor_has_ended() {
    let (world, proxy, manager) = world();
    let own = world.directory().join("own");
    std::fs::DirBuilder::new().mode(0o700).create(&own).expect("the directory is ours");
    let agent = || door(&world, &proxy, &["--directory", own.to_str().expect("it is UTF-8")]).spawn();
    let first = agent();
    manager.wait("READY=1");
    let mut open = echo(&world);
    first.signal(Signal::USR2);
    succeeded(&manager);
    let second = world.agents().into_iter().find(|pid| *pid != first.pid()).expect("it serves");
    assert!(world.signal(second, Signal::TERM));
    wait("the second ends", || world.agents() == [first.pid()]);
    wait("nobody listens", || !listens(&world, 1081));
    let third = agent();
    manager.wait("READY=1");
    let mut new = echo(&world);
    for connection in [&mut open, &mut new] {
        connection.say("still");
        assert_eq!(connection.next_line(), "still");
    }
    drop(open);
    assert_eq!(first.succeeded(), Some(0));
    drop(new);
    third.signal(Signal::TERM);
    assert_eq!(third.succeeded(), Some(0));
    no_leaks(&world);
}

/// As systemd listens: what it has made is there for the next that it starts.
#[test]
fn a_unix_socket_that_was_passed_stays() {
    let (world, proxy, manager) = world();
    let unix = world.directory().join("door");
    let notify = format!("NOTIFY_SOCKET={}", world.directory().join("notify").display());
    let activate = world.client("systemd-socket-activate").args(["--fdname", "systemd", "-l"]).arg(&unix);
    let activate = activate.args(["-E", &notify, "-E", "TMPDIR=/tmp"]).arg(artifacts::agent());
    let url = format!("any://{}", unix.display());
    let agent = activate.args(["run", "--listen", &url, "-x", proxy.url()]).limit(Duration::MAX).spawn();
    wait("it listens", || unix.exists());
    assert_eq!(curl(&world, &unix).run().success(), "hello\n");
    manager.wait("READY=1");
    succeeded_twice(&world, &manager, agent);
    assert_eq!(curl(&world, &unix).run().success(), "hello\n");
    assert!(world.signal(world.agents()[0], Signal::TERM));
    wait("it ends", || world.agents().is_empty());
    assert!(unix.exists());
    no_leaks(&world);
}

/// Beside sockets that were passed, which it is to go on with, whichever they are.
#[test]
fn an_address_that_a_relay_is_to_leave_is_left() {
    let world = World::new();
    servers::start(&world);
    let manager = Manager::new(&world);
    let key = proxies::key(&world, "client");
    proxies::relay(&world, 4433, &[&key], 1).real.kill();
    let config = world.directory().join("relay-4433.toml");
    let text = std::fs::read_to_string(&config).expect("it is there");
    let write = |listen: &str| {
        let text = text.replace("listen = '[::]:4433'", &format!("listen = {listen}"));
        std::fs::write(&config, text).expect("the directory is ours");
    };
    write("['systemd', '0.0.0.0:4434']");
    let notify = format!("NOTIFY_SOCKET={}", world.directory().join("notify").display());
    let activate = world.far("systemd-socket-activate").args(["-l", "127.0.0.1:4433", "-E", &notify]);
    let relay = activate.arg(artifacts::agent()).args(["relay", "--config"]).arg(&config);
    let relay = relay.limit(Duration::MAX).spawn();
    world.wait_listening(4433);
    world.far("bash").args(["-c", "exec 3<>/dev/tcp/127.0.0.1/4433"]).run().success();
    manager.wait("READY=1");
    world.wait_listening(4434);
    relay.signal(Signal::USR2);
    let second = succeeded(&manager);
    assert_eq!(relay.succeeded(), Some(0));
    assert!(world.listens(4433) && world.listens(4434));
    write("['systemd']");
    world.far("kill").args(["-USR2", &second]).run().success();
    succeeded(&manager);
    wait("it is left", || !world.listens(4434));
    assert!(world.listens(4433));
    no_leaks(&world);
}
