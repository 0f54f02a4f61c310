//! Language runtimes, each with its own way to connect and to wait.

use std::path::PathBuf;
use std::time::Duration;

use underpass_tests::proxies::{self, Fake};
use underpass_tests::servers::{self, port};
use underpass_tests::{PATIENCE, World, artifacts};

use crate::far::{HTTP, PAGE};
use crate::place::{self, NAME, Place, through_each};

#[test]
fn python_urllib() {
    place::microsocks(|place| {
        place.start_web();
        let script = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode(), end='')";
        let python = place.wrapped("python3").args(["-c", script]);
        assert_eq!(python.arg(format!("http://{NAME}/")).run().success(), PAGE);
        place.proxied(HTTP, 1);
    });
}

through_each! {
    fn python_asyncio_two_hundred_at_once(place: &Place) {
        servers::start(&place.world);
        let python = place.wrapped("python3").arg(source("storm.py"));
        let done = python.args([NAME, &port::GREETER.to_string(), "200"]).run();
        assert_eq!(done.success(), "200 at once\n");
        place.proxied(port::GREETER, 200);
    }
}

#[test]
fn node_fetch() {
    place::dante(|place| {
        place.start_web();
        let script = "fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t))";
        let node = place.wrapped("node").args(["-e", script]);
        assert_eq!(node.arg(format!("http://{NAME}/")).run().success(), PAGE);
        place.proxied(HTTP, 1);
    });
}

through_each! {
    fn node_a_hundred_at_once(place: &Place) {
        servers::start(&place.world);
        let node = place.wrapped("node").arg(source("storm.mjs"));
        let done = node.args([NAME, &port::GREETER.to_string(), "100"]).run();
        assert_eq!(done.success(), "100 at once\n");
        place.proxied(port::GREETER, 100);
    }
}

/// All of Java's sockets are IPv6 ones, with mapped addresses.
#[test]
fn java_nio_fifty_at_once() {
    place::microsocks(|place| {
        servers::start(&place.world);
        compile_storm(&place.world);
        let java = place.wrapped("java").args(["-cp", ".", "Storm"]);
        let done = java.args([NAME, &port::GREETER.to_string(), "50"]).run();
        assert_eq!(done.success(), "50 at once\n");
        place.proxied(port::GREETER, 50);
    });
}

#[test]
fn bash_dev_tcp() {
    place::microsocks(|place| {
        servers::start(&place.world);
        let greeter = port::GREETER;
        let script = format!(
            "exec 3<>/dev/tcp/{NAME}/{greeter}; read -r greeting <&3; echo again >&3; read -r answer <&3
             echo \"$greeting $answer\""
        );
        assert_eq!(place.script(&script).run().success(), "hello again\n");
        place.proxied(greeter, 1);
    });
}

/// The proxy takes a second to answer each request; one after the other they would take three minutes.
#[test]
fn a_slow_proxy_holds_up_no_event_loop() {
    let world = World::new();
    servers::start(&world);
    compile_storm(&world);
    let proxy = proxies::fake(&world);
    let slow = port::slow(port::GREETER).to_string();

    let storms: [(&str, Vec<PathBuf>); 3] = [
        ("python3", vec![source("storm.py")]),
        ("node", vec![source("storm.mjs")]),
        ("java", ["-cp", ".", "Storm"].map(PathBuf::from).into()),
    ];
    for (program, arguments) in storms {
        proxy.forget();
        let done = world.wrapped(proxy.url(), program).args(arguments).args([NAME, &slow, "200"]).run();
        assert!(done.elapsed < PATIENCE, "{done}");
        assert_eq!(done.success(), "200 at once\n");
        assert_eq!(by_name(&proxy), 200, "{program}");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

fn by_name(proxy: &Fake) -> usize {
    proxy.requests().iter().filter(|request| request.kind == "name" && request.host == NAME).count()
}

/// A program in `tests/programs`, by its path.
fn source(name: &str) -> PathBuf {
    artifacts::workspace().join("tests/programs").join(name)
}

fn compile_storm(world: &World) {
    let javac = world.client("javac").args(["-d", "."]).arg(source("Storm.java"));
    javac.limit(Duration::from_secs(200)).run().success();
}
