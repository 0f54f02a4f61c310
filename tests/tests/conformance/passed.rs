//! Sockets that one process passes to another (SCM_RIGHTS).

use underpass_tests::servers::port;
use underpass_tests::{Command, Finished, World, artifacts, proxies, servers};

const WAYS: [&str; 4] = ["recvmsg", "recvmmsg", "recvmsg by_number", "recvmmsg by_number"];

/// Runs both; what the receiver has written.
fn passed(
    world: &World,
    way: &'static str,
    mode: &str,
    giver: impl Fn(Command) -> Command,
    receiver: impl Fn(Command) -> Command,
) -> Finished {
    let place = world.directory().join("place");
    let _ = std::fs::remove_file(&place);
    let (way, program) = match way.split_once(' ') {
        Some((way, header)) => (way, crate::worlds::Case::new("pass", 0).by(header).built()),
        None => (way, artifacts::program("pass")),
    };
    let port = port::ECHO.to_string();
    let line =
        |command: Command, way| command.arg(&program).args(["v4", mode, "1", &port]).arg(&place).arg(way);
    let mut gives = line(giver(world.client("env")), "give").spawn();
    while gives.next_line() != "listens" {}
    let received = line(receiver(world.client("env")), way).run();
    assert_eq!(gives.wait().code(), 0);
    received
}

fn underpass(world: &World, proxy: &str, foreign: &'static str) -> impl Fn(Command) -> Command {
    let config = world.directory().join(format!("{foreign}.toml"));
    let text = format!("proxy = \"{proxy}\"\nhandoff = \"always\"\nforeign-sockets = \"{foreign}\"\n");
    std::fs::write(&config, text).expect("the directory is ours");
    move |command| command.arg(artifacts::underpass()).arg("-f").arg(&config).arg("--")
}

#[test]
fn they_are_the_programs_own_unless_they_are_refused() {
    let world = World::direct();
    servers::start(&world);
    let natively = |command| command;
    let (keeping, refusing) = (underpass(&world, "local:", "keep"), underpass(&world, "local:", "refuse"));
    for mode in crate::worlds::MODES {
        for way in WAYS {
            let native = passed(&world, way, mode, natively, natively);
            assert!(native.stdout.ends_with("send 5\nrecv 5 given\n"), "{native}");
            let kept = passed(&world, way, mode, natively, &keeping);
            assert_eq!((kept.code(), &kept.stdout), (0, &native.stdout), "{kept}");
            // One that the agent has connected is no stranger.
            let known = passed(&world, way, mode, &refusing, &refusing);
            assert_eq!((known.code(), &known.stdout), (0, &native.stdout), "{known}");
            let refused = passed(&world, way, mode, natively, &refusing);
            assert_eq!(refused.code(), 0, "{refused}");
            let anew = native.stdout.replace("send 5\nrecv 5 given\n", "send EPIPE\n");
            assert!(refused.stdout.starts_with(&anew), "{refused}");
            assert!(refused.stdout.ends_with("echo anew\n"), "{refused}");
        }
    }
}

/// Its other end is the proxy, and the agent knows it all the same.
#[test]
fn one_that_was_handed_off_is_no_stranger() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let refusing = underpass(&world, proxy.url(), "refuse");
    for mode in crate::worlds::MODES {
        let known = passed(&world, "recvmsg", mode, &refusing, &refusing);
        assert!(known.stdout.ends_with("send 5\nrecv 5 given\n"), "{known}");
    }
    assert_eq!(proxy.requests().len(), 2);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
