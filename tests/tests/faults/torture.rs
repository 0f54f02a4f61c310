//! Every system call of the agent's may fail, and of a relay's. Whichever it is, it serves on, or ends in a way that the next
//! launch mends, or the relay's next start; programs see an errno, wait for nobody, and nothing goes round the proxy.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::proxies;
use underpass_tests::servers::port;
use underpass_tests::{Command, PATIENCE, Running, artifacts};

use crate::{GREETED, agent, no_leaks, world};

/// What can fail between a program's question and the end of its relay.
const CALLS: &str = "socket,connect,bind,listen,accept4,getsockopt,setsockopt,getsockname,getpeername,shutdown,read,\
    write,recvfrom,recvmsg,sendto,sendmsg,epoll_ctl,pipe2,splice,fcntl,ioctl,openat,pidfd_open";
/// asm-generic/errno-base.h.
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
/// Longer than any deadline that is set here.
const LIMIT: Duration = Duration::from_secs(40);

/// An agent or a relay one of whose calls can be made to fail (`programs/failing.c`).
struct Tortured {
    agent: Running,
}

impl Tortured {
    /// With these arguments of the agent's program, until it says that it is ready.
    fn start(failing: Command, arguments: &[&str], ready: &str) -> Self {
        let failing = failing.env("UNDERPASS_LOG", "info").limit(Duration::MAX);
        let mut agent = failing.arg(CALLS).arg(artifacts::agent()).args(arguments).spawn();
        let limit = Instant::now() + PATIENCE;
        while !agent.try_complaint().is_some_and(|line| line.contains(ready)) {
            assert!(Instant::now() < limit, "it is not ready");
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { agent }
    }

    /// From now on the call with this number fails; how many were made since the last time. `None` if it has ended.
    fn arm(&mut self, number: u64, errno: i32) -> Option<u64> {
        if self.agent.has_ended() {
            return None;
        }
        self.agent.say(&format!("{number} {errno}"));
        self.agent.next_line().parse().ok()
    }

    /// What it has said since the last time, and which call has failed.
    fn said(&mut self) -> String {
        std::iter::from_fn(|| self.agent.try_complaint()).map(|line| line + "\n").collect()
    }

    /// How it has ended, as a shell says it.
    fn status(mut self) -> u32 {
        let line = self.agent.next_line();
        line.strip_prefix("ended ").and_then(|status| status.parse().ok()).expect("it has ended")
    }
}

/// A greeting as far as it came, and then an errno.
fn is_honest(said: &str) -> bool {
    let (mut expected, mut lines) = (GREETED.lines(), said.lines());
    loop {
        match (lines.next(), expected.next()) {
            (None, None) => return true,
            (Some(line), Some(wanted)) if line == wanted => {}
            // Whoever reads on after the errno of a reset reads an end, as natively.
            (Some(line), _) => return line.rsplit(' ').next().unwrap_or_default().starts_with('E'),
            (None, Some(_)) => return false,
        }
    }
}

/// Whose calls fail.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// The agent's, beside a SOCKS proxy: a blocking connection is handed off, another is relayed.
    Proxied,
    /// The agent's, beside a relay of our own: TLS, HTTP/2.
    Relayed,
    /// The relay's.
    Relays,
}

/// Has one call after the other fail, `step` apart.
fn fails(whose: Whose, errno: i32, step: usize) {
    let (world, proxy) = world();
    let key = proxies::key(&world, "client");
    let relay = proxies::relay(&world, 4433, &[&key], 1).allowed(&world);
    let hop = if whose == Whose::Proxied { proxy.url().to_owned() } else { relay.url(&key) };
    let normal = agent(&world);
    let directory = world.agent_directory(normal).display().to_string();
    if whose == Whose::Relays {
        relay.real.kill();
    } else {
        assert!(world.signal(normal, Signal::KILL));
    }
    let configuration = world.directory().join("short.toml");
    let text = format!("proxy = '{hop}'\ndeadline = 3\n");
    std::fs::write(&configuration, text).expect("the directory is ours");
    let greets = |mode: &str| {
        let underpass = world.client(artifacts::underpass()).arg("-f").arg(&configuration).arg("--");
        let arguments = ["v4", mode, "1", &port::GREETER.to_string()];
        underpass.arg(artifacts::program("greeting")).args(arguments).limit(LIMIT).run_or_kill()
    };
    let settings = world.directory().join("relay-4433.toml").display().to_string();
    let failing = artifacts::program("failing");
    let start = || match whose {
        Whose::Relays => {
            Tortured::start(world.far(&failing), &["relay", "--config", &settings], "a relay serves")
        }
        _ => Tortured::start(
            world.client(&failing),
            &["run", "--foreground", "--directory", &directory],
            "ready",
        ),
    };
    let mut tortured = start();
    for mode in ["nonblocking", "blocking"] {
        assert_eq!(greets(mode).stdout, GREETED, "{}", tortured.said());
        tortured.arm(0, 0).expect("it lives");
        assert_eq!(greets(mode).stdout, GREETED);
        let calls = tortured.arm(0, 0).expect("it lives");
        assert!(calls > 20, "{mode}: {calls}");
        // A few more: what is tried again makes more calls.
        for number in (1..=calls + 10).step_by(step) {
            let armed = tortured.arm(number, errno);
            assert!(armed.is_some(), "{mode}: it has ended before call {number}");
            let done = greets(mode);
            // The launcher's own questions may be what has failed.
            let refused = !done.killed && done.code() == 125 && done.stderr.starts_with("underpass: ");
            let is_good = !done.killed && (refused || is_honest(&done.stdout));
            assert!(is_good, "{mode}, call {number}: {done}{}", tortured.said());
            if tortured.arm(0, 0).is_none() {
                let status = tortured.status();
                assert!(status < 128 || status == 134, "{mode}, call {number}: it has ended with {status}");
                tortured = start();
            }
            let after = greets(mode);
            let said = tortured.said();
            assert_eq!(after.stdout, GREETED, "{mode}, after call {number} has failed: {after}{said}");
        }
    }
    no_leaks(&world);
}

#[test]
fn some_calls_fail() {
    fails(Whose::Proxied, ENOMEM, 19);
    fails(Whose::Relayed, ENFILE, 29);
    fails(Whose::Relays, ENOMEM, 9);
}

#[test]
#[ignore = "long: each call fails once"]
fn each_call_fails() {
    for whose in [Whose::Proxied, Whose::Relayed, Whose::Relays] {
        fails(whose, ENOMEM, 1);
        fails(whose, ENFILE, 1);
    }
}
