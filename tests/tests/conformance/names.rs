//! Names: each gets a stand-in address, and reaches the proxy as the name that it is.

use underpass_tests::proxies::{self, Fake};
use underpass_tests::servers::{self, port};
use underpass_tests::{Finished, World, artifacts};

fn world() -> (World, Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

fn run(world: &World, proxy: &Fake, how: &str, name: &str) -> Finished {
    let program = artifacts::program("names");
    world.wrapped(proxy.url(), program).args([how, name, &port::GREETER.to_string()]).run()
}

const REACHED: &str =
    "address of 198.18.0.0/15\nconnect 0\nrecv 6\nhello\nthe peer is what was asked for: yes\n";

#[test]
fn a_name_reaches_the_proxy_as_a_name() {
    let (world, proxy) = world();
    for how in [
        "getaddrinfo",
        "gethostbyname",
        "gethostbyname2",
        "gethostbyname_r",
        "gethostbyname2_r",
        "child",
        "exec",
    ] {
        proxy.forget();
        let name = format!("{}.test", how.replace('_', "-"));
        let done = run(&world, &proxy, how, &name);
        assert!(done.stdout.ends_with(REACHED), "{done}");
        if how.starts_with("gethostbyname") {
            assert!(done.stdout.starts_with(&format!("name {name}, type 2, length 4\n")), "{done}");
        } else {
            let shape = "family 2, type 1, protocol 6, port 7006, length 16, entries 1\n";
            assert!(done.stdout.starts_with(shape), "{done}");
        }
        let requests: Vec<String> = proxy.requests().iter().map(ToString::to_string).collect();
        assert_eq!(requests, [format!("name {name} 7006")], "{done}");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn an_address_means_the_same_name_to_another_launch() {
    let (world, proxy) = world();
    let done = run(&world, &proxy, "resolve", "sibling.test");
    let address = done.stdout.lines().last().expect("an address").to_owned();
    assert!(address.starts_with("198.1"), "{done}");
    let done = run(&world, &proxy, "address", &address);
    assert_eq!(done.stdout, REACHED, "{done}");
    assert_eq!(proxy.requests()[0].to_string(), "name sibling.test 7006");
    // The same name keeps its address, another gets another.
    assert!(run(&world, &proxy, "resolve", "sibling.test").stdout.ends_with(&format!("{address}\n")));
    assert!(!run(&world, &proxy, "resolve", "other.test").stdout.ends_with(&format!("{address}\n")));
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn an_unknown_stand_in_is_never_dialled() {
    let (world, proxy) = world();
    let done = run(&world, &proxy, "address", "198.19.200.1");
    assert_eq!(done.stdout, "address of 198.18.0.0/15\nconnect EHOSTUNREACH\n", "{done}");
    assert_eq!(proxy.requests(), []);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn a_name_that_the_proxy_does_not_know_is_unreachable() {
    let (world, proxy) = world();
    let done = run(&world, &proxy, "getaddrinfo", "missing.test");
    assert!(done.stdout.ends_with("connect EHOSTUNREACH\n"), "{done}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// Natively `files` answers these without a packet; underpass must do no worse and no better.
#[test]
fn local_names_numeric_hosts_and_services_stay_local() {
    let (world, proxy) = world();
    for (how, name) in [
        ("resolve", "localhost"),
        ("resolve", "127.0.0.1"),
        ("resolve", "10.99.0.1"),
        ("service", "x.test"),
        ("neither", "x.test"),
        ("gethostbyname", "10.99.0.999"),
    ] {
        let redirected = run(&world, &proxy, how, name);
        if name == "10.99.0.999" {
            // Four numbers, but no address: not a name either.
            assert!(redirected.stdout.starts_with("gethostbyname: Unknown host"), "{redirected}");
        } else {
            let program = artifacts::program("names");
            let native = world.client(program).args([how, name, &port::GREETER.to_string()]).run();
            assert_eq!(redirected.stdout, native.stdout, "{how} {name}");
        }
    }
    assert_eq!(proxy.requests(), []);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn a_constructor_that_connects_before_main_is_carried() {
    let (world, proxy) = world();
    let expected = "constructor: connect 0\nconstructor: recv 6\nhello\n";
    // Linked: constructors of what a program needs run before those of what is preloaded.
    let library = artifacts::shared_library("early");
    let directory = library.parent().expect("a file has a directory").display().to_string();
    let linked = artifacts::compiled(
        "outcome",
        "outcome-early",
        &["-Wl,--no-as-needed", &library.display().to_string(), &format!("-Wl,-rpath,{directory}")],
    );
    let arguments = ["v4", "blocking", "1", "7007"];
    let done = world.wrapped(proxy.url(), linked).args(arguments).run();
    assert!(done.stdout.starts_with(expected), "{done}");
    // Preloaded by the user, and set where ours was.
    let preload = format!("LD_PRELOAD={}", library.display());
    let done = world.wrapped(proxy.url(), "env").arg(preload).arg(artifacts::program("outcome"));
    let done = done.args(arguments).run();
    assert!(done.stdout.contains(expected), "{done}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
