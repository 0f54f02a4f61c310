//! How they are started: with sockets and credentials that are passed, or with nothing.

use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::proxies;
use underpass_tests::{World, artifacts, servers, wait};

use crate::place::{listens, no_leaks, service, world};

/// One of our own on the client's side, by systemd's own tool, which starts the agent when the first connection comes.
#[test]
fn a_socket_that_is_passed_is_the_door_that_its_name_says() {
    let (world, proxy, manager) = world();
    let agent = artifacts::agent();
    let activate = |name: &str, at: &str, options: &[&str]| {
        let activate = world.client("systemd-socket-activate").args(["-l", at, "--fdname", name]);
        let notify = format!("NOTIFY_SOCKET={}", world.directory().join("notify").display());
        let activate = activate.args(["-E", &notify, "-E", "TMPDIR=/tmp"]).arg(&agent).args(["run"]);
        activate.args(options).limit(Duration::MAX).spawn()
    };
    for (name, url) in [("socks5", "socks5h"), ("http", "http"), ("any", "socks5h"), ("any", "http")] {
        let running = activate(name, "127.0.0.1:1083", &["-x", proxy.url()]);
        wait("it listens", || listens(&world, 1083));
        let curl = world.client("curl").args(["-sS", "-p", "-x", &format!("{url}://127.0.0.1:1083")]);
        assert_eq!(curl.arg("telnet://far.test:7001").run().success(), "hello\n", "{name}");
        manager.wait("READY=1");
        running.signal(Signal::TERM);
        assert_eq!(running.wait().code(), 0);
    }
    // What is no name of a door, and what others could reach.
    for (name, at, why) in
        [("ftp", "127.0.0.1:1083", "neither socks5, http, any"), ("any", "0.0.0.0:1083", "not on loopback")]
    {
        let running = activate(name, at, &["-x", proxy.url()]);
        wait("it listens", || listens(&world, 1083));
        let knock = world.client("bash").args(["-c", "exec 3<>/dev/tcp/127.0.0.1/1083"]);
        knock.run().success();
        let done = running.wait();
        assert_eq!(done.code(), 125, "{done}");
        assert!(done.stderr.contains(why) && done.stderr.contains("\nhint: "), "{done}");
    }
    no_leaks(&world);
}

/// The usual place is served, where launches look, and for good.
#[test]
fn run_without_anything_serves_programs() {
    let (world, proxy, manager) = world();
    let agent = service(&world, &["run"]).spawn();
    manager.wait("READY=1");
    for _ in 0..2 {
        // In CI an agent that a launch has started leaves after its last program.
        let program = world.wrapped(proxy.url(), "bash").env("CI", "1");
        let hello = program.args(["-c", "exec 3<>/dev/tcp/far.test/7001; cat <&3"]).run();
        assert_eq!(hello.success(), "hello\n");
        assert_eq!(world.agents(), [agent.pid()]);
    }
    let second = service(&world, &["run"]).run();
    assert_eq!(second.code(), 125, "{second}");
    assert!(second.stderr.contains("another agent serves here"), "{second}");
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), 0);
    assert!(world.agents().is_empty());
    no_leaks(&world);
}

#[test]
fn a_relays_configuration_is_judged_and_nothing_is_served() {
    let world = World::new();
    let key = proxies::key(&world, "client");
    let first = proxies::relay(&world, 4433, &[&key], 1);
    first.real.kill();
    let config = world.directory().join("relay-4433.toml");
    let check = || world.far(artifacts::agent()).args(["relay", "--check", "--config"]).arg(&config).run();
    let good = check();
    assert_eq!((good.code(), &*good.stdout, &*good.stderr), (0, "", ""), "{good}");
    let text = std::fs::read_to_string(&config).expect("it is there");
    for (old, new, why) in [
        ("verdict = 'deny'", "verdict = 'dany'", "relay-4433.toml:7:"),
        ("relay-4433.key'", "no.key'", "no.key: there is no such key"),
        ("relay-4433.keys'", "no.keys'", "no.keys: No such file"),
    ] {
        assert!(text.contains(old), "{text}");
        std::fs::write(&config, text.replace(old, new)).expect("the directory is ours");
        let bad = check();
        assert_eq!((bad.code(), &*bad.stdout), (125, ""), "{bad}");
        assert!(bad.stderr.contains(why), "{bad}");
    }
}

#[test]
fn a_relay_with_too_few_descriptors_says_so() {
    let world = World::new();
    let key = proxies::key(&world, "client");
    proxies::relay(&world, 4433, &[&key], 1).real.kill();
    let line = format!("ulimit -n 10; exec {} relay --config relay-4433.toml", artifacts::agent().display());
    let done = world.far("sh").args(["-c", &line]).run();
    let why = "the limit on open files is 10, too low for a relay\nhint: ulimit -n 1024";
    assert!(done.code() == 125 && done.stderr.contains(why), "{done}");
}

/// As LoadCredential= of systemd.exec(5) passes it: root's, and with an access list's mask where others would be.
#[test]
fn a_relays_key_is_a_credential() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new();
    servers::start(&world);
    let client = proxies::key(&world, "client");
    let first = proxies::relay(&world, 4433, &[&client], 1).allowed(&world);
    first.real.kill();
    let config = world.directory().join("relay-4433.toml");
    let text = std::fs::read_to_string(&config).expect("it is there");
    let key = world.directory().join("relay-4433.key");
    let line = format!("key = '{}'", key.display());
    assert!(text.contains(&line), "{text}");
    std::fs::write(&config, text.replace(&line, "key = 'credential:relay.key'"))
        .expect("the directory is ours");
    let passed = world.directory().join("credentials");
    std::fs::create_dir(&passed).expect("the directory is ours");
    for end in ["", ".crt"] {
        let from = format!("{}{end}", key.display());
        std::fs::rename(&from, passed.join(format!("relay.key{end}"))).expect("the directory is ours");
    }
    std::fs::set_permissions(passed.join("relay.key"), PermissionsExt::from_mode(0o440)).expect("it is ours");
    let relay = || world.far(artifacts::agent()).args(["relay", "--config"]).arg(&config);
    let without = relay().run();
    assert_eq!(without.code(), 125, "{without}");
    assert!(without.stderr.contains("LoadCredential=relay.key:PATH"), "{without}");
    let _relay = relay().env("CREDENTIALS_DIRECTORY", &passed).limit(Duration::MAX).spawn();
    world.wait_listening(4433);
    let hello =
        world.wrapped(&first.url(&client), "bash").args(["-c", "exec 3<>/dev/tcp/far.test/7001; cat <&3"]);
    assert_eq!(hello.run().success(), "hello\n");
    no_leaks(&world);
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let world = World::new();
    let run = |before: &str, options: &str| {
        let line = format!("{before}; exec \"$0\" run {options}");
        let done = world.client("sh").args(["-c", &line]).arg(artifacts::agent()).run();
        assert_eq!((done.code(), &*done.stdout), (125, ""), "{done}");
        done.stderr
    };
    let door = "--listen socks5://127.0.0.1:1085 -x local:";
    assert_eq!(
        run(":", &format!("{door} --directory none")),
        "underpass-agent: none: no such file or directory\nhint: mkdir -m 700 none\n"
    );
    let few = run("ulimit -n 16", door);
    assert!(few.contains("the limit on open files is 16, too low"), "{few}");
    assert!(few.contains("\nhint: ulimit -n 1024"), "{few}");
    let typed = run(":", "-x socks5h://ann:secret@a:99999");
    assert_eq!(typed.lines().next(), Some("underpass-agent: --proxy: the port is not between 1 and 65535"));
    assert!(!typed.contains("secret"), "{typed}");
}

/// For a log that is closed, and one that is full: what three clients of a door hear, and how the agent ends.
const UNREAD: &str = r#"
import fcntl, os, subprocess, sys, time
for case in ("closed", "full"):
    r, w = os.pipe()
    if case == "full":
        fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
        os.write(w, b"x" * 4096)
    line = [sys.argv[1], "run", "--listen", "socks5://127.0.0.1:1085", "-x", sys.argv[2]]
    agent = subprocess.Popen(line, stderr=w, env=dict(os.environ, UNDERPASS_LOG="info", TMPDIR="/tmp"))
    os.close(w)
    if case == "closed":
        os.close(r)
    for _ in range(3):
        while True:
            curl = ["curl", "-sS", "-x", "socks5h://127.0.0.1:1085", "telnet://far.test:7001"]
            done = subprocess.run(curl, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 7 or agent.poll() is not None:
                break
            time.sleep(.02)
        print(case, done.stdout.strip())
    agent.terminate()
    print(agent.wait())
"#;

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (world, proxy, _manager) = world();
    let done = world.client("python3").args(["-c", UNREAD]).arg(artifacts::agent()).arg(proxy.url()).run();
    assert_eq!(
        done.success(),
        "closed hello\nclosed hello\nclosed hello\n0\nfull hello\nfull hello\nfull hello\n0\n"
    );
    no_leaks(&world);
}
