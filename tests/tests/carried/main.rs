//! Programs into which no library can be loaded, or that lose it, by names that only the far end knows.

mod browser;
mod compiled;

use std::time::Duration;

use underpass_tests::proxies::{self, Real};
use underpass_tests::servers::port;
use underpass_tests::{Command, World, artifacts, servers};

/// Pages over TLS, and at the next port without ([`Place::pages`]).
const PAGES: u16 = 7443;

/// A world whose proxy carries datagrams.
struct Place {
    world: World,
    proxy: Real,
}

impl Place {
    fn new() -> Self {
        let world = World::new();
        servers::start(&world);
        let proxy = proxies::dante(&world);
        // On a slow machine an answer may take longer than the second of other worlds.
        let resolver = "nameserver 10.77.0.1\noptions timeout:5 attempts:5\n";
        std::fs::write(world.directory().join("resolv.conf"), resolver).expect("the directory is ours");
        Self { world, proxy }
    }

    /// Starts the server of pages.
    fn pages(self) -> Self {
        let key = proxies::key(&self.world, "site");
        let program = artifacts::workspace().join("tests/programs/pages.py");
        let server = self.world.far("/usr/bin/python3").arg(program).arg(PAGES.to_string()).arg(&key.path);
        let mut server = server.limit(Duration::MAX).spawn();
        assert_eq!(server.next_line(), "serves");
        server.detach();
        self
    }

    /// A program under this tier.
    fn under(&self, tier: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let options = ["--tier", tier, "-x", self.proxy.url(), "--"];
        let underpass = self.world.client(artifacts::underpass()).args(options).arg(program);
        underpass.limit(Duration::from_secs(180))
    }

    #[track_caller]
    fn no_leaks(&self) {
        assert_eq!(self.world.leaks(), 0, "leaked: {:?}", self.world.leaked());
    }
}

/// Go's own resolver and connections: 100 at once, over TLS.
#[test]
fn go() {
    let place = Place::new().pages();
    let site = format!("https://web.test:{PAGES}/page");
    let line = ["-n", "300", "-c", "100", "-t", "60", "-disable-keepalive", &site];
    for tier in ["guard", "sealed", "auto"] {
        let program = place.under(tier, "hey").args(line).env("GODEBUG", "netdns=go");
        let done = program.run();
        assert!(done.stdout.contains("[200]\t300 responses"), "{tier}: {done}");
    }
    // Started by a program that is hooked.
    let script = format!("GODEBUG=netdns=go hey -n 100 -c 10 -t 60 {site}; exit $?");
    let done = place.under("auto", "sh").args(["-c", &script]).run();
    assert!(done.stdout.contains("[200]\t100 responses"), "{done}");
    place.no_leaks();
}

/// Linked with all of its C library (build.rs).
const STATIC_RUST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/carried-static"));

#[test]
fn a_static_rust_program() {
    let place = Place::new();
    let program = place.world.directory().join("carried-static");
    std::fs::write(&program, STATIC_RUST).expect("the directory is ours");
    place.world.client("chmod").args(["755", "carried-static"]).run().success();
    let told = place.world.client(artifacts::underpass()).arg("--explain").arg(&program).run().success();
    assert!(told.contains("statically linked"), "{told}");
    let there = format!("echo.test:{}", port::ECHO);
    for tier in ["guard", "sealed", "auto"] {
        let done = place.under(tier, &program).arg(&there).run();
        assert_eq!(done.stdout, format!("word from {}\n", port::ECHO), "{tier}: {done}");
    }
    place.no_leaks();
}

/// As runtimes do where the kernel has no rings.
#[test]
fn a_program_of_io_uring_falls_back() {
    let place = Place::new();
    let program = artifacts::compiled("leak_beside", "leak_beside", &["-lresolv"]);
    for tier in ["guard", "sealed"] {
        let done = place.under(tier, &program).arg("ring-or-not").run();
        assert_eq!(done.stdout, "no ring: Function not implemented\nthrough\n", "{tier}: {done}");
    }
    place.no_leaks();
}

#[test]
fn a_program_whose_environment_is_empty() {
    let place = Place::new().pages();
    let script = "import subprocess, sys\n\
        inner = 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())'\n\
        sys.exit(subprocess.call([sys.executable, '-c', inner, sys.argv[1]], env={}))";
    let there = format!("http://web.test:{}/page", PAGES + 1);
    for tier in ["guard", "sealed", "auto"] {
        let done = place.under(tier, "/usr/bin/python3").args(["-c", script, &there]).run();
        assert_eq!(done.stdout, "a page of its own\n", "{tier}: {done}");
    }
    place.no_leaks();
}

/// L36: of all names this one alone is asked for, by the agent.
#[test]
fn the_proxys_own_name_is_the_only_one_to_be_asked_for() {
    let world = World::direct();
    servers::start(&world);
    let resolver = servers::resolver_with(&world, "host-record=proxy.test,10.77.0.1");
    let proxy = proxies::fake(&world);
    let url = proxy.url().replace("10.77.0.1", "proxy.test");
    let script = format!(
        "import socket\nfor _ in range(3):\n    s = socket.create_connection(('echo.test', {}))\n    print(s.recv(9))",
        port::BANNER
    );
    for tier in ["hook", "guard", "sealed"] {
        resolver.forget();
        let options = ["--tier", tier, "-x", &url, "--", "/usr/bin/python3", "-c", &script];
        let done = world.client(artifacts::underpass()).args(options).run();
        assert_eq!(done.stdout, "b'hello\\n'\n".repeat(3), "{tier}: {done}");
        let questions = resolver.questions();
        assert!(!questions.is_empty(), "{tier}");
        assert!(questions.iter().all(|question| question.ends_with(" proxy.test")), "{tier}: {questions:?}");
    }
    assert_eq!(proxy.requests().len(), 9);
}
