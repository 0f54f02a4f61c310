//! A world in which the recipes' hosts are there, and what is asked of it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use underpass_tests::proxies::Real;
use underpass_tests::servers::port;
use underpass_tests::{Command, PATIENCE, Running, artifacts};

use crate::place::{self, ADDRESS, MODES, Place};

/// The hosts of the recipes' URLs.
const HOPS: &str = "proxy.example gate.example relay.example first.example last.example \
                    exit-1.example exit-2.example exit-3.example";
/// Destinations that only the far side can resolve.
const DESTINATIONS: &str = "www.example db.internal bank.example my.health.example";

/// A place in which the recipes' hosts are there.
pub(crate) fn town() -> Place {
    let place = Place::new();
    let append = |file: &str, lines: String| {
        let path = place.world.directory().join(file);
        let before = std::fs::read_to_string(&path).expect("the file is there");
        // In its place, since it is mounted over the one in /etc.
        std::fs::write(path, before + &lines).expect("the directory is ours");
    };
    append("hosts", format!("10.77.0.1 {HOPS}\n"));
    append("far-hosts", format!("{ADDRESS} {HOPS} {DESTINATIONS}\n"));
    place
}

/// Lets ordinary users listen on ports below 1024 of the far side.
pub(crate) fn open_low_ports(place: &Place) {
    let script = "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start";
    place.world.far("sh").args(["-c", script]).run().success();
}

/// A name server of the client side that knows one name, as [`NEAR`]'s.
pub(crate) fn name_server(place: &Place, name: &str) -> Running {
    place.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    let script = artifacts::workspace().join("tests/programs/nameserver.py");
    let server = place.world.client("python3").arg(script).args([name, "10.77.0.1"]);
    let mut server = server.limit(Duration::MAX).spawn();
    assert_eq!(server.next_line(), "ready");
    place.world.allow_proxy(port::GREETER);
    server
}

/// Saves a configuration where the document says that it is found, and visits `HOST:PORT`s in both modes;
/// each must end as it says.
#[track_caller]
pub(crate) fn visit(place: &Place, toml: &str, targets: &[(&str, &str)]) {
    let expected = targets.iter().fold(String::new(), |mut text, (_, line)| {
        writeln!(text, "{line}").expect("a string takes all");
        text
    });
    for mode in MODES {
        let done = configured(place, toml, "python3").args(arguments(mode, targets)).run();
        assert_eq!(done.stdout, expected, "{mode}: {targets:?}\n{toml}\n{done}");
        assert_eq!(done.stderr, "", "{done}");
    }
}

pub(crate) fn arguments(mode: &str, targets: &[(&str, &str)]) -> Vec<String> {
    place::visit(mode, targets.iter().map(|target| target.0))
}

pub(crate) fn configured(place: &Place, toml: &str, program: &str) -> Command {
    let directory = place.world.directory().join("home/.config/underpass");
    std::fs::create_dir_all(&directory).expect("the directory is ours");
    std::fs::write(directory.join("config.toml"), toml).expect("the directory is ours");
    place.world.client(artifacts::underpass()).arg("--").arg(program)
}

/// How often each has connected to this, when all of these connections are in their logs.
#[track_caller]
pub(crate) fn settled(proxies: &[Real; 3], host: &str, all: usize) -> [usize; 3] {
    let limit = Instant::now() + PATIENCE;
    loop {
        let counts = proxies.each_ref().map(|proxy| proxy.served(host, port::GREETER));
        if counts.iter().sum::<usize>() >= all {
            return counts;
        }
        assert!(Instant::now() < limit, "{counts:?} are not {all}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the agent knows of the hops at these ports how far they are, or that they are too far to be measured.
#[track_caller]
pub(crate) fn are_measured(place: &Place, ports: [u16; 3]) {
    let limit = Instant::now() + PATIENCE;
    loop {
        let said = place.world.client(artifacts::agent()).args(["status", "--json"]).run().success();
        let status: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
        let hops = status["hops"].as_array().expect("a list");
        let is_known = |port: u16| {
            let at = |url: &str| url.ends_with(&format!(":{port}"));
            let hop = hops.iter().find(|hop| hop["url"].as_str().is_some_and(at));
            hop.is_some_and(|hop| hop["round_trip_microseconds"].is_u64() || hop["failures"] != 0)
        };
        if ports.into_iter().all(is_known) {
            return;
        }
        assert!(Instant::now() < limit, "they are not measured: {said}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Checks that this name was asked for on the client side, and no other.
#[track_caller]
pub(crate) fn only_asked_for(names: &mut Running, name: &str) {
    assert_eq!(names.next_line(), name);
    while let Some(other) = names.try_line() {
        assert_eq!(other, name);
    }
}

/// From now on connections to these proxies take the second until the kernel repeats the SYN.
pub(crate) fn far_away(place: &Place, ports: &str) {
    let rules = format!(
        "add set inet world tried {{ type inet_service . inet_service; flags dynamic, timeout; size 65535; timeout 5s; }}\n\
         insert rule inet world in iifname veth-n tcp flags & (syn | ack) == syn tcp dport {{ {ports} }} \
         tcp sport . tcp dport != @tried add @tried {{ tcp sport . tcp dport }} drop\n"
    );
    let file = place.write("far.nft", &rules);
    place.world.far("nft").arg("-f").arg(file).run().success();
}

/// Checks that a tinyproxy was asked for this, and for nothing else.
#[track_caller]
pub(crate) fn only_asked(proxy: &Real, destination: &str) {
    let log = proxy.log();
    let mut requests = log.lines().filter(|line| line.contains(": CONNECT ")).peekable();
    let wanted = format!(": CONNECT {destination} HTTP/1.1");
    assert!(requests.peek().is_some() && requests.all(|line| line.ends_with(&wanted)), "{log}");
}

/// The client side's shell, which finds `underpass` as one that has installed it does.
pub(crate) fn shell(place: &Place, script: &str) -> Command {
    let directory = artifacts::underpass().parent().expect("a file has a directory").display().to_string();
    let path = format!("{directory}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    place.world.client("sh").env("PATH", path).env("CI", "1").args(["-ec", script])
}
