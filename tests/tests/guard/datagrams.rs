//! Datagrams under guard, and the names that programs ask for by them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use underpass_tests::servers::port;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::worlds::{Both, Case, FAMILIES, MODES};
use crate::{bare, guarded, no_leaks};

const fn case(what: &'static [&'static str]) -> Case {
    Case::new("datagrams", port::ECHO).more(what)
}

/// Static programs through Dante.
fn by_dante() -> Both {
    Both { tier: Some("auto"), ..Both::dante() }
}

#[test]
fn unconnected_sockets() {
    by_dante().compare(&[case(&["unconnected"]), case(&["several"]), case(&["controlled"])]);
}

#[test]
fn connected_sockets() {
    by_dante().compare(&[case(&["connected"]), case(&["shared"])]);
}

/// With ports of their own, so one after the other.
#[test]
fn bound_sockets() {
    let both = by_dante();
    for family in FAMILIES {
        for mode in MODES {
            both.compare_in(&[case(&["bound"])], &[family], &[mode]);
        }
    }
}

#[test]
fn waiting_and_sizes() {
    by_dante().compare(&[case(&["waiting"]), case(&["sizes"])]);
}

#[test]
fn through_relays() {
    let both = Both { tier: Some("auto"), ..Both::relays() };
    both.compare(&[case(&["unconnected"]), case(&["connected"])]);
}

/// The library leaves them to the supervisor.
#[test]
fn of_programs_that_load_the_library() {
    let both = Both::dante();
    let program = artifacts::program("datagrams");
    for family in FAMILIES {
        for what in ["unconnected", "several", "connected"] {
            let arguments = case(&[]).arguments(family, "blocking");
            let natively = both.native.client(&program).args(&arguments).arg(what).run().success();
            let line = guarded(&both.redirected, &both.upstream, &program).args(&arguments).arg(what);
            let done = line.run();
            assert_eq!(done.clone().success(), natively, "{family} {what}: {done}");
        }
    }
    both.no_leaks();
}

/// A world with a proxy that carries no datagrams, and names that it alone knows.
fn by_names() -> (World, proxies::Real) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::microsocks(&world, None);
    (world, proxy)
}

#[test]
fn busybox_by_names_that_are_known_beyond_the_proxy_alone() {
    let (world, proxy) = by_names();
    let page =
        "mkdir -p www && echo from afar >www/index.html && exec busybox httpd -f -p 10.99.0.1:8080 -h www";
    world.far("sh").args(["-c", page]).limit(Duration::MAX).spawn().detach();
    world.wait_listening(8080);
    let found = guarded(&world, proxy.url(), "busybox").args(["nslookup", "echo.test"]).run();
    assert!(found.stdout.contains("198.18.0."), "{found}");
    let line = ["wget", "-q", "-O", "-", "http://web.test:8080/"];
    let page = guarded(&world, proxy.url(), "busybox").args(line).run();
    assert_eq!(page.clone().success(), "from afar\n", "{page}");
    assert_eq!(proxy.served("web.test", 8080), 1);
    no_leaks(&world);
}

const RESOLVING: &str = r#"
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int failed = getaddrinfo(argv[argc - 2], argv[argc - 1], &hints, &found);
    if (failed) return puts(gai_strerror(failed)), 1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    char data[9] = "";
    if (connect(fd, found->ai_addr, found->ai_addrlen) || read(fd, data, 6) != 6) return perror("connect"), 1;
    fputs(data, stdout);
}
"#;

/// By the resolver that is part of them.
#[test]
fn musl_programs_by_name() {
    let (world, proxy) = by_names();
    std::fs::write(world.directory().join("resolving.c"), RESOLVING).expect("the directory is ours");
    let program: PathBuf = world.directory().join("resolving");
    for options in [&[][..], &["-static"]] {
        let built = world.client("musl-gcc").args(options).args(["-o", "resolving", "resolving.c"]).run();
        assert!(built.status.success(), "{built}");
        // As tier auto does with it.
        let line = world.wrapped(proxy.url(), &program).args(["echo.test", &port::BANNER.to_string()]);
        let done = line.run();
        assert_eq!(done.clone().success(), "hello\n", "{options:?}: {done}");
    }
    assert_eq!(proxy.served("echo.test", port::BANNER), 2);
    no_leaks(&world);
}

/// What listens on the machine's loopback is reached; before it comes what the program has there itself.
#[test]
fn datagrams_on_loopback_are_direct() {
    let (world, proxy) = by_names();
    let server = "
import socket, sys
s = socket.socket(socket.AF_INET6 if sys.argv[1] == '::1' else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
print(s.getsockname()[1], flush=True)
while True:
    data, whom = s.recvfrom(99)
    s.sendto(b'outside ' + data, whom)
";
    let script = "
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if host == '::1' else socket.AF_INET
def new():
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(10)
    return s
s = new()
s.sendto(b'one', (host, port))
data, whom = s.recvfrom(99)
print(data, whom[:2] == (host, port))
within = new()
within.bind((host, port))
s = new()
s.sendto(b'two', (host, port))
print(within.recvfrom(99)[0])
free = new()
free.bind((host, 0))
gone = free.getsockname()
free.close()
s.connect(gone)
s.send(b'three')
try:
    s.recv(99)
except ConnectionRefusedError:
    print('refused')
";
    for host in ["127.0.0.1", "::1"] {
        let mut outside = world.client("python3").args(["-c", server, host]).limit(Duration::MAX).spawn();
        let port = outside.next_line();
        outside.detach();
        let done = bare(&world, proxy.url()).args(["-c", script, host, &port]).run();
        assert_eq!(done.clone().success(), "b'outside one' True\nb'two'\nrefused\n", "{host}: {done}");
    }
    no_leaks(&world);
}

const TELLING: &str = "
import errno, socket
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    s.connect(('10.99.0.1', 7007))
    s.send(b'one')
    print(s.recv(9))
except OSError as error:
    print(errno.errorcode[error.errno])
";

/// By the proxy, and by the user.
#[test]
fn what_is_refused_is_told_to_a_connected_socket() {
    let (world, proxy) = by_names();
    let line = ["-c", TELLING];
    let refused = bare(&world, proxy.url()).args(line).run();
    assert_eq!(refused.clone().success(), "ENETUNREACH\n", "{refused}");
    let dante = proxies::dante(&world);
    let carried = bare(&world, dante.url()).args(line).run();
    assert_eq!(carried.clone().success(), "b'one'\n", "{carried}");
    let options = ["-x", dante.url(), "--udp", "refuse", "--tier", "guard", "--", "busybox"];
    let refused = world.client(artifacts::underpass()).args(options);
    let refused = refused.args(["env", "-i", "/usr/bin/python3"]).args(line).run();
    assert_eq!(refused.clone().success(), "ENETUNREACH\n", "{refused}");
    no_leaks(&world);
}

/// A packet does not say whose it is.
#[test]
fn routes_by_program_judge_datagrams() {
    let (world, _proxy) = by_names();
    let dante = proxies::dante(&world);
    for (program, outcome) in [("python3*", "ECONNREFUSED\n"), ("underpass", "b'one'\n")] {
        let route = format!("[[route]]\nprogram = '{program}'\nto = 'refuse'\nerrno = 'ECONNREFUSED'\n");
        let text = format!("proxy = '{}'\n{route}", dante.url());
        std::fs::write(world.directory().join("routes.toml"), text).expect("the directory is ours");
        let line = ["-f", "routes.toml", "--tier", "guard", "--", "busybox", "env", "-i", "/usr/bin/python3"];
        let done = world.client(artifacts::underpass()).args(line).args(["-c", TELLING]).run();
        assert_eq!(done.clone().success(), outcome, "{program}: {done}");
    }
    no_leaks(&world);
}

/// What the kernel is asked to cut up (udp(7), `UDP_SEGMENT`) is several datagrams.
#[test]
fn segments_are_datagrams() {
    let (world, _proxy) = by_names();
    let dante = proxies::dante(&world);
    let script = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
s.sendto(b'x' * 2500, ('10.99.0.1', 7007))
print(sorted(len(s.recv(9999)) for _ in range(3)))
";
    let done = bare(&world, dante.url()).args(["-c", script]).run();
    assert_eq!(done.clone().success(), "[500, 1000, 1000]\n", "{done}");
    no_leaks(&world);
}

/// Nothing is left out of that: no socket, and a line that says so.
#[test]
fn without_a_network_of_their_own_there_are_no_datagrams() {
    let (world, proxy) = by_names();
    let none =
        "echo 0 >/proc/sys/user/max_net_namespaces; echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\"";
    let line = ["--user", "--map-root-user", "sh", "-ec", none, "sh"];
    let options = ["-v", "-x", proxy.url(), "--tier", "guard", "--", "busybox", "env", "-i"];
    let done = world.client("unshare").args(line).arg(artifacts::underpass()).args(options);
    let done = done.args(["/usr/bin/python3", "-c", TELLING]).run();
    assert_eq!((done.code(), &*done.stdout), (0, "EACCES\n"), "{done}");
    assert!(done.stderr.contains("datagrams are refused: "), "{done}");
    no_leaks(&world);
}

/// Also when it ends at once, what a program has sent last arrives, and nobody of ours stays.
#[test]
fn the_last_datagram_arrives_and_nothing_is_left() {
    let world = World::new();
    let script = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.99.0.1', 9999))
print('ready', flush=True)
print(s.recv(9).decode(), flush=True)
";
    let dante = proxies::dante(&world);
    let mut server = world.far("python3").args(["-c", script]).limit(Duration::MAX).spawn();
    assert_eq!(server.next_line(), "ready");
    let sender = "
import os, socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'the last', ('10.99.0.1', 9999))
os._exit(0)
";
    bare(&world, dante.url()).args(["-c", sender]).run().success();
    assert_eq!(server.next_line(), "the last");
    let ours = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("underpass"))
    };
    let limit = Instant::now() + Duration::from_secs(30);
    while world.processes().iter().any(ours) {
        assert!(Instant::now() < limit, "a supervisor or a helper is left");
        std::thread::sleep(Duration::from_millis(20));
    }
    no_leaks(&world);
}
