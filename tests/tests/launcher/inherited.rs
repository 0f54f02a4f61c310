//! Internet sockets that are there before the launch: kept, closed, or no launch.

use underpass_tests::servers::port;
use underpass_tests::{Command, World, artifacts, servers};

/// Opens descriptor 5, or 0, and becomes what follows.
fn with_socket(world: &World, descriptor: u32, kind: &str) -> Command {
    let script = format!("exec {descriptor}<>/dev/{kind}/10.99.0.1/{}; exec \"$@\"", port::ECHO);
    world.client("bash").args(["-c", &script, "bash"])
}

fn underpass(command: Command, options: &[&str]) -> Command {
    command.arg(artifacts::underpass()).args(["-x", "local:"]).args(options).arg("--")
}

/// A program that uses the descriptor.
fn echo(command: Command, descriptor: u32) -> Command {
    let script = format!("echo hello >&{descriptor} && printf 'got ' && head -c 6 <&{descriptor}");
    command.args(["bash", "-c", &script])
}

fn world() -> World {
    let world = World::direct();
    servers::start(&world);
    world
}

#[test]
fn they_are_kept_and_named_where_one_asks() {
    let world = world();
    for (descriptor, kind, what) in
        [(5, "tcp", "a TCP socket"), (0, "tcp", "a TCP socket"), (5, "udp", "a datagram socket")]
    {
        let natively = echo(with_socket(&world, descriptor, kind), descriptor).run();
        assert_eq!(natively.stdout, "got hello\n", "{natively}");
        for options in [&[][..], &["--inherited", "keep"], &["-v"]] {
            let kept = echo(underpass(with_socket(&world, descriptor, kind), options), descriptor).run();
            assert_eq!((kept.code(), &kept.stdout), (0, &natively.stdout), "{kept}");
            let line = format!(
                "underpass: descriptor {descriptor} is {what} connected to 10.99.0.1:{}, inherited: \
                 what uses it as it is is not carried\n",
                port::ECHO
            );
            assert_eq!(kept.stderr.contains(&line), options == ["-v"], "{kept}");
        }
    }
}

#[test]
fn they_are_closed() {
    let world = world();
    for kind in ["tcp", "udp"] {
        let closed = underpass(with_socket(&world, 5, kind), &["--inherited", "close"]);
        let closed = echo(closed, 5).run();
        assert_eq!((closed.code(), closed.stdout.as_str()), (1, ""), "{closed}");
        assert!(closed.stderr.contains("5: Bad file descriptor"), "{closed}");
    }
    // What is no internet socket stays.
    let pipe = world.client("bash").args(["-c", "exec 5< <(echo piped); exec \"$@\"", "bash"]);
    let pipe = underpass(pipe, &["--inherited", "close"]).args(["bash", "-c", "cat <&5"]).run();
    assert_eq!(pipe.stdout, "piped\n", "{pipe}");
}

#[test]
fn a_standard_descriptor_is_not_closed() {
    let world = world();
    let refused = echo(underpass(with_socket(&world, 0, "tcp"), &["--inherited", "close"]), 0).run();
    let message = format!(
        "underpass: descriptor 0 is a TCP socket connected to 10.99.0.1:{}, inherited: \
         a standard descriptor is not closed\nhint: --inherited keep lets the program have it\n",
        port::ECHO
    );
    assert_eq!((refused.code(), refused.stderr), (125, message));
    assert_eq!(refused.stdout, "");
}

#[test]
fn they_are_refused() {
    let world = world();
    for descriptor in [0, 5] {
        let refused = with_socket(&world, descriptor, "tcp");
        let refused = echo(underpass(refused, &["--inherited", "refuse"]), descriptor).run();
        let message = format!(
            "underpass: descriptor {descriptor} is a TCP socket connected to 10.99.0.1:{}, inherited\n\
             hint: --inherited keep lets the program have it\n",
            port::ECHO
        );
        assert_eq!((refused.code(), refused.stderr), (125, message));
        assert_eq!(refused.stdout, "");
    }
    let config = world.directory().join("refuse.toml");
    std::fs::write(&config, "proxy = \"local:\"\ninherited = \"refuse\"\n").expect("the directory is ours");
    let by_file = with_socket(&world, 5, "tcp").arg(artifacts::underpass()).arg("-f").arg(&config);
    assert_eq!(by_file.arg("true").run().code(), 125);
    // The command line has the last word.
    let kept = with_socket(&world, 5, "tcp").arg(artifacts::underpass()).arg("-f").arg(&config);
    assert_eq!(kept.args(["--inherited", "keep", "true"]).run().code(), 0);
}

/// As socket activation passes it.
#[test]
fn a_socket_that_listens_is_nobodys_way_out() {
    let world = world();
    let script = "
import os, socket, sys
listener = socket.create_server(('0.0.0.0', 0))
os.dup2(listener.fileno(), 7)
os.execv(sys.argv[1], sys.argv[1:])";
    for wanted in ["refuse", "close"] {
        let listening = world.client("python3").args(["-c", script]);
        let listening = underpass(listening, &["--inherited", wanted]);
        let listening = listening.args(["sh", "-c", "readlink /proc/self/fd/7"]).run();
        assert!(listening.stdout.starts_with("socket:["), "{listening}");
        assert_eq!(listening.code(), 0, "{listening}");
    }
}
