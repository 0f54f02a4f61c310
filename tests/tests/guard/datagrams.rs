//! Datagrams under guard: of programs that no library can be loaded into.

use std::path::PathBuf;

use underpass_tests::proxies::{self, Real};
use underpass_tests::servers::{self, port};
use underpass_tests::{Command, World, artifacts};

/// A world with a proxy that carries datagrams.
struct Place {
    world: World,
    proxy: Real,
}

impl Place {
    fn new() -> Self {
        let world = World::new();
        servers::start(&world);
        let proxy = proxies::dante(&world);
        Self { world, proxy }
    }

    /// A program under guard.
    fn guarded(&self, options: &[&str], program: impl AsRef<std::ffi::OsStr>) -> Command {
        let underpass = self.world.client(artifacts::underpass()).args(["--tier", "guard"]);
        underpass.args(["-x", self.proxy.url()]).args(options).arg("--").arg(program)
    }

    #[track_caller]
    fn no_leaks(&self) {
        assert_eq!(self.world.leaks(), 0, "leaked: {:?}", self.world.leaked());
    }
}

fn static_program(name: &str) -> PathBuf {
    artifacts::compiled(name, &format!("{name}-static"), &["-static"])
}

/// The calls of `programs/datagrams.c` natively and under guard.
fn compare(whats: &[&str]) {
    let native = World::direct();
    servers::start(&native);
    let place = Place::new();
    let program = static_program("datagrams");
    let port = port::ECHO.to_string();
    for what in whats {
        for family in ["v4", "v6", "mapped"] {
            for mode in ["blocking", "nonblocking"] {
                let arguments = [family, mode, "1", &port, what];
                let natively = native.client(&program).args(arguments).run().success();
                let guarded = place.guarded(&[], &program).args(arguments).run();
                assert_eq!(guarded.stdout, natively, "{arguments:?}: {guarded}");
            }
        }
    }
    place.no_leaks();
}

#[test]
fn unconnected_sockets() {
    compare(&["unconnected", "several", "controlled"]);
}

#[test]
fn connected_sockets() {
    compare(&["connected", "shared"]);
}

#[test]
fn bound_sockets() {
    compare(&["bound"]);
}

#[test]
fn waiting_and_sizes() {
    compare(&["waiting", "sizes"]);
}

/// By datagrams to the name server of the client side, which cannot be reached but by the proxy.
#[test]
fn busybox_by_names_that_are_known_beyond_the_proxy_alone() {
    let place = Place::new();
    let found = place.guarded(&[], "busybox").args(["nslookup", "echo.test"]).run();
    assert!(found.stdout.contains("198.18.0."), "{found}");
    place.no_leaks();
}
