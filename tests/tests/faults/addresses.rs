//! A proxy whose name has several addresses, not all of which are good.

use std::io::Write;

use underpass_tests::{World, artifacts};

use crate::{GREETED, no_leaks, world};
use underpass_tests::servers::port;

/// Nobody answers there, and nobody says so: its frames are for another machine.
const SILENT: &str = "10.77.0.3";
/// Nothing listens there.
const REFUSES: &str = "127.0.0.1";
const GOOD: &str = "10.77.0.1";

/// From now on the client side knows these addresses by that name. What is nearest by RFC 6724 is told first:
/// loopback, then what has most in common with 10.77.0.2.
fn names(world: &World, addresses: &[&str], name: &str) {
    let hosts = world.directory().join("hosts");
    let mut hosts = std::fs::File::options().append(true).open(hosts).expect("it is there");
    for address in addresses {
        writeln!(hosts, "{address} {name}").expect("the directory is ours");
    }
}

#[test]
fn the_next_address_of_a_proxy_is_tried_when_one_fails_or_does_not_answer() {
    let (world, proxy) = world();
    let neighbour = ["neigh", "add", SILENT, "lladdr", "02:00:00:00:00:99", "dev", "veth-c"];
    world.client("ip").args(neighbour).run().success();
    names(&world, &[REFUSES, SILENT, GOOD], "both.test");
    names(&world, &[SILENT, GOOD], "silent.test");
    names(&world, &[REFUSES, SILENT], "none.test");
    let told = world.client("getent").args(["ahostsv4", "both.test"]).run().success();
    assert!(told.starts_with(REFUSES) && told.find(SILENT) < told.find(GOOD), "{told}");
    let port_of = proxy.url().rsplit_once(':').expect("it has a port").1;
    for handoff in ["auto", "always", "never"] {
        for name in ["both.test", "silent.test"] {
            // A configuration of its own has a chain of its own, which knows no good address yet.
            let file = world.directory().join(format!("{handoff}-{name}.toml"));
            let text = format!("proxy = 'socks5h://{name}:{port_of}'\nhandoff = '{handoff}'\n");
            std::fs::write(&file, text).expect("the directory is ours");
            for mode in ["blocking", "nonblocking"] {
                let underpass = world.client(artifacts::underpass()).arg("-f").arg(&file).arg("--");
                let arguments = ["v4", mode, "1", &port::GREETER.to_string()];
                let done = underpass.arg(artifacts::program("greeting")).args(arguments).run();
                assert_eq!(done.stdout, GREETED, "{handoff}, {name}, {mode}: {done}");
            }
        }
    }
    let short = world.directory().join("none.toml");
    let text = format!("proxy = 'socks5h://none.test:{port_of}'\ndeadline = 1\n");
    std::fs::write(&short, text).expect("the directory is ours");
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(&short).arg("--");
    let arguments = ["v4", "nonblocking", "1", &port::GREETER.to_string()];
    let done = underpass.arg(artifacts::program("greeting")).args(arguments).run();
    assert_eq!(done.stdout, "ETIMEDOUT\n", "{done}");
    no_leaks(&world);
}

/// There the kernel says `EADDRNOTAVAIL`, as it does where all ports are taken, which would speak against no hop.
#[test]
fn a_proxy_at_an_address_of_a_family_that_is_off_is_passed_over() {
    let (world, proxy) = world();
    let off =
        "echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    world.client("sh").args(["-c", off]).run().success();
    let connect = "import socket; print(socket.socket(socket.AF_INET6).connect_ex(('::1', 1080)))";
    let told = world.client("python3").args(["-c", connect]).run().success();
    assert_eq!(told, format!("{}\n", rustix::io::Errno::ADDRNOTAVAIL.raw_os_error()));
    for handoff in ["always", "never"] {
        let file = world.directory().join(format!("off-{handoff}.toml"));
        let text = format!(
            "handoff = '{handoff}'\n[chain.main]\nkind = 'failover'\nhops = ['socks5h://[::1]:1080', '{}']\n",
            proxy.url()
        );
        std::fs::write(&file, text).expect("the directory is ours");
        for family in ["v4", "v6"] {
            let underpass = world.client(artifacts::underpass()).arg("-f").arg(&file).arg("--");
            let arguments = [family, "blocking", "1", &port::GREETER.to_string()];
            let done = underpass.arg(artifacts::program("greeting")).args(arguments).run();
            assert_eq!(done.stdout, GREETED, "{handoff}, {family}: {done}");
        }
    }
    no_leaks(&world);
}
