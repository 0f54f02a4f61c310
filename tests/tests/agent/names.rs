//! Fake addresses that the agent does not know are refused: whatever is beyond the proxy at
//! 198.18.0.0/15, it is not what the program meant.

use underpass_tests::artifacts;

use crate::{agent, end, no_leaks, says_hello, world};

#[test]
fn a_fake_address_that_stands_for_nothing_is_refused_and_never_dialled() {
    let (world, proxy) = world();
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    proxy.forget();
    let names = artifacts::program("names");
    for address in ["198.18.0.0", "198.18.7.7", "198.19.255.254", "198.19.255.255"] {
        let done = world.wrapped(proxy.url(), &names).args(["address", address, "7001"]).run();
        assert!(done.stdout.contains("connect E"), "{done}");
    }
    for address in ["fd75:6e64:6572:7061::7", "fd75:6e64:6572:7061:ffff:ffff:ffff:ffff", "::ffff:198.18.9.9"]
    {
        let connect = format!("exec 3<>/dev/tcp/{address}/7001");
        let done = world.wrapped(proxy.url(), "bash").args(["-c", &connect]).run();
        assert_ne!(done.code(), 0, "{done}");
    }
    assert_eq!(proxy.requests(), []);
    no_leaks(&world);
}

/// A name and its address are the same for every program of the user, also after a crash.
#[test]
fn a_name_keeps_its_address_in_other_launches_and_through_another_agent() {
    let (world, proxy) = world();
    let names = artifacts::program("names");
    let resolve = |name: &str| {
        let done = world.wrapped(proxy.url(), &names).args(["resolve", name, "7001"]).run();
        done.success().lines().last().unwrap_or_default().to_owned()
    };
    let first = resolve("kept.test");
    assert!(first.starts_with("198.1"), "{first}");
    assert_ne!(resolve("other.test"), first);
    assert_eq!(resolve("KEPT.test."), first, "names know no case, and no last dot");
    for signal in [rustix::process::Signal::KILL, rustix::process::Signal::TERM] {
        let program = world.wrapped(proxy.url(), "sleep").arg("100").spawn();
        end(&world, agent(&world), signal);
        assert_eq!(resolve("kept.test"), first);
        drop(program);
    }
    proxy.forget();
    let done = world.wrapped(proxy.url(), &names).args(["address", &first, "7001"]).run();
    assert!(done.stdout.contains("hello\n"), "{done}");
    assert_eq!(proxy.requests()[0].to_string(), "name kept.test 7001");
    no_leaks(&world);
}
