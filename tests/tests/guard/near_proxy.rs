//! A proxy on this machine: what a program's socket reaches though it is bound to loopback, it is handed off to.

use underpass_tests::servers::port;
use underpass_tests::{Running, World, artifacts, proxies, servers};

use crate::no_leaks;
use crate::worlds::{Both, Case, Known};

const PORT: u16 = 1098;

const LEAVES_BY: Known = Known {
    native: "address, port",
    redirected: "loopback, port",
    reason: "the connection that leaves is the proxy's, and ours ends on loopback",
    seldom: false,
};

/// What listens on the program's loopback and leads to the proxy, as `ssh -D` does.
pub(super) fn forwarded(world: &World) -> Running {
    let script = format!(
        r#"
import socket, threading
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        for s in a, b:
            s.close()
listeners = [socket.create_server((ip, {PORT}), family=family, backlog=256) for ip, family in (("127.0.0.1", 2), ("::1", 10))]
def serve(listener):
    while True:
        near, far = listener.accept()[0], socket.create_connection(("10.77.0.1", 1080))
        for pair in (near, far), (far, near):
            threading.Thread(target=pump, args=pair, daemon=True).start()
threading.Thread(target=serve, args=[listeners[1]], daemon=True).start()
print("ready", flush=True)
serve(listeners[0])
"#
    );
    let mut running = world.client("python3").args(["-c", &script]).spawn();
    assert_eq!(running.next_line(), "ready");
    running
}

pub(super) fn configuration(world: &World, login: &str, more: &str) -> String {
    let file = world.directory().join("near.toml");
    // However near it looks on a busy machine.
    let text = format!("proxy = 'socks5h://{login}127.0.0.1:{PORT}'\nhandoff = 'always'\n{more}");
    std::fs::write(&file, text).expect("the directory is ours");
    file.to_str().expect("a path of ours is UTF-8").to_owned()
}

/// Prints what the program's socket is connected with in truth.
const SHOWN: &str = r#"
import os, socket
def shown(s):
    inode = str(os.fstat(s.fileno()).st_ino)
    for line in open("/proc/self/net/tcp"):
        words = line.split()
        if words[9] == inode:
            return int(words[2].split(":")[1], 16)
s = socket.create_connection(("10.99.0.1", 7001))
print(s.getpeername(), s.recv(9), shown(s) == 1098, s.connect_ex(("10.99.0.1", 7001)))
"#;

fn shown(world: &World, file: &str, before: &str) -> String {
    let script = format!("{before}\n{SHOWN}");
    let line = ["-f", file, "--tier", "guard", "--", "busybox", "env", "-i", "/usr/bin/python3", "-c"];
    let done = world.client(artifacts::underpass()).args(line).arg(&script).run();
    done.clone().success()
}

#[test]
fn a_blocking_socket_is_handed_off_to_it() {
    let both = Both::guarded();
    let _forwarder = forwarded(&both.redirected);
    let file = configuration(&both.redirected, "", "");
    let both = Both { configuration: Some(file.into()), ..both };
    both.compare(&[
        Case::new("outcome", port::ECHO).known(&[LEAVES_BY]),
        Case::new("outcome", port::REFUSED).more(&["errno"]),
        Case::new("outcome", port::slow(port::REFUSED)).more(&["errno"]),
        Case::new("again", port::slow(port::ECHO)).more(&["connect"]),
        Case::new("reconnect", port::ECHO),
    ]);
    assert!(!both.proxy.requests().is_empty());
}

#[test]
fn a_signal_turns_a_hand_off_into_a_hold() {
    const LATE_GOOD: u16 = port::late(port::ECHO);
    const LATE_BAD: u16 = port::late(port::REFUSED);
    let both = Both::guarded();
    let _forwarder = forwarded(&both.redirected);
    let file = configuration(&both.redirected, "", "");
    let both = Both { configuration: Some(file.into()), ..both };
    let cases = [
        Case::new("signals", LATE_GOOD).more(&["interrupt"]),
        Case::new("signals", LATE_GOOD).more(&["restart"]),
        Case::new("signals", LATE_BAD).more(&["interrupt"]),
        Case::new("signals", LATE_BAD).more(&["restart"]),
    ];
    both.compare_in(&cases, &["v4"], &["blocking"]);
}

#[test]
fn what_a_program_might_gain_by_it_is_held() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let _forwarder = forwarded(&world);
    let expected = |handed_off| format!("('10.99.0.1', 7001) b'hello\\n' {handed_off} 106\n");
    let file = configuration(&world, "", "");
    assert_eq!(shown(&world, &file, ""), expected("True"));
    // another thread could see the greeting;
    let thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()";
    assert_eq!(shown(&world, &file, thread), expected("False"));
    // where routes name loopback, the proxy is not the program's to reach;
    let file = configuration(&world, "", "[[route]]\naddress = '127.0.0.2'\nto = 'refuse'\n");
    assert_eq!(shown(&world, &file, ""), expected("False"));
    assert_eq!(proxy.requests().len(), 3);
    no_leaks(&world);
}

#[test]
fn a_greeted_connection_of_a_login_is_no_programs() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake_with_password(&world, "alice", "swordfish");
    let _forwarder = forwarded(&world);
    let file = configuration(&world, "alice:swordfish@", "");
    assert_eq!(shown(&world, &file, ""), "('10.99.0.1', 7001) b'hello\\n' False 106\n");
    assert_eq!(proxy.requests().len(), 1);
    no_leaks(&world);
}
