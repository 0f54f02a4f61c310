//! A program that makes all its connections from one port: natively each needs another destination, and by way of a proxy they
//! all have the same.

use underpass_tests::servers::port;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::{agent, descriptors, no_descriptor_is_kept, no_leaks};

/// Greeted by so many names in turn, always from port 5000. The connection before is there until the next one is.
const FROM_ONE_PORT: &str = r#"
import socket, struct, sys
before = None
for turn in range(int(sys.argv[1])):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Whoever resets waits for nothing (TIME_WAIT).
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.bind(("0.0.0.0", 5000))
    try:
        s.connect((socket.gethostbyname(sys.argv[2 + turn % 3]), 7006))
        print(s.recv(6, socket.MSG_WAITALL).decode(), end="", flush=True)
    except OSError as error:
        print(error, flush=True)
    if before:
        before.close()
    before = s
"#;

const NAMES: [&str; 3] = ["web.test", "echo.test", "far.test"];

fn from_one_port(world: &World, configuration: &str, times: usize) {
    let file = world.directory().join("port.toml");
    std::fs::write(&file, configuration).expect("the directory is ours");
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(&file).args(["--", "python3", "-c"]);
    let done = underpass.args([FROM_ONE_PORT, &times.to_string()]).args(NAMES).run();
    assert_eq!(done.stdout, "hello\n".repeat(times), "{done}");
}

/// The kernel lets a port be connected to the proxy once. That is no fault of the proxy's, which nobody passes over for it.
#[test]
fn a_port_that_is_connected_to_the_proxy_already_speaks_against_no_hop() {
    let world = World::new();
    servers::start(&world);
    let hops = [2001, 2002].map(|port| proxies::fake_at(&world, port));
    let urls = hops.each_ref().map(|hop| hop.url());
    let text = format!("handoff = 'always'\n[chain.main]\nkind = 'dynamic'\nhops = {urls:?}\n");
    from_one_port(&world, &text, 3);
    from_one_port(&world, &text, 1);
    let requests = hops[0].requests();
    assert!(requests.len() >= 4 && requests.iter().all(|asked| asked.port == 2002), "{requests:?}");
    assert_eq!(hops[1].requests().iter().filter(|asked| asked.port == port::GREETER).count(), 4);
    no_leaks(&world);
}

/// What such a port was held at once it can be held at again.
#[test]
fn a_port_that_is_used_again_and_again_uses_no_descriptors_up() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let text = format!("handoff = 'never'\nproxy = {:?}\n", proxy.url());
    from_one_port(&world, &text, 4);
    let agent = agent(&world);
    let before = descriptors(agent);
    from_one_port(&world, &text, 30);
    no_descriptor_is_kept(agent, &before);
    no_leaks(&world);
}

/// Connections that are kept: how many are good, and what the others failed by; then, once all are closed, one more.
const KEPT: &str = r#"
import collections, errno, socket, struct
def connect():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.connect((socket.gethostbyname("web.test"), 7006))
    assert s.recv(6, socket.MSG_WAITALL) == b"hello\n"
    return s
connect().close()
print("ready", flush=True)
input()
kept, failed = [], collections.Counter()
for turn in range(6):
    try:
        kept.append(connect())
    except OSError as error:
        failed[errno.errorcode[error.errno]] += 1
print(len(kept), *(f"{n} {failed[n]}" for n in failed), flush=True)
input()
for s in kept:
    s.close()
connect()
print("again", flush=True)
input()
"#;

/// The agent itself has a port or two to connect to the proxy from.
#[test]
fn without_a_port_that_is_free_no_hop_has_failed() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let file = world.directory().join("range.toml");
    std::fs::write(&file, format!("handoff = 'never'\nwarm = false\nproxy = {:?}\n", proxy.url()))
        .expect("the directory is ours");
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(&file);
    let mut program = underpass.args(["--", "python3", "-c", KEPT]).spawn();
    assert_eq!(program.next_line(), "ready");
    let range = "echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range";
    world.client("sh").args(["-c", range]).run().success();
    program.say("");
    // Which ports of a range the kernel tries is its own affair.
    let line = program.next_line();
    assert!(["1 ENETUNREACH 5", "2 ENETUNREACH 4"].contains(&&*line), "{line}");
    let status = || world.client(artifacts::agent()).args(["status", "--json"]).run().success();
    let told: serde_json::Value = serde_json::from_str(&status()).expect("it is JSON");
    assert_eq!(told["hops"][0]["failures"], 0, "{told}");
    program.say("");
    assert_eq!(program.next_line(), "again");
    program.say("");
    no_leaks(&world);
}
