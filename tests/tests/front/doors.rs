//! What real programs and odd ones say at the doors.

use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::servers::port;
use underpass_tests::{World, artifacts, proxies, servers, wait};

use crate::place::{complaint, no_leaks, open, python, world};

/// The banner of the destination by curl, with what follows, or curl's exit code and last words.
fn curl(world: &World, proxy: &str, to: &str) -> Result<String, (i32, String)> {
    let done = world.client("curl").args(["-sS", "-x", proxy, &format!("telnet://{to}")]).run();
    match done.code() {
        0 => Ok(done.stdout.clone()),
        code => Err((code, done.stderr.lines().last().unwrap_or_default().to_owned())),
    }
}

#[test]
fn curl_comes_in_by_both_doors_and_dante_serves_it() {
    let world = World::new();
    servers::start(&world);
    let dante = proxies::dante(&world);
    let front = open(&world, &["-x", &dante.url_as("socks5h")]);
    let hello = Ok("hello\n".to_owned());
    for proxy in ["socks5h://127.0.0.1:1081", "http://127.0.0.1:1082"] {
        // curl asks an HTTP proxy for a tunnel only if it is told to.
        let tunnel = |to: &str| {
            let done = world.client("curl").args(["-sS", "-p", "-x", proxy, &format!("telnet://{to}")]).run();
            (done.code(), done.stdout.clone(), done.stderr.clone())
        };
        let before = dante.served("far.test", 7001);
        assert_eq!(tunnel("far.test:7001"), (0, "hello\n".to_owned(), String::new()), "{proxy}");
        dante.wait_served("far.test", 7001, before + 1);
    }
    assert_eq!(curl(&world, "socks5h://127.0.0.1:1081", "10.99.0.1:7001"), hello);
    no_leaks(&world);
    drop(front);
}

#[test]
fn failures_are_told_in_the_words_of_the_protocol() {
    let (world, proxy) = world();
    let front = open(&world, &["-x", proxy.url()]);
    let code = |to: &str| {
        let (code, words) = curl(&world, "socks5h://127.0.0.1:1081", to).unwrap_err();
        assert_eq!(code, 97, "{words}");
        words.rsplit_once('(').and_then(|(_, rest)| rest.split(')').next()?.parse::<u8>().ok())
    };
    assert_eq!(code(&format!("far.test:{}", port::REFUSED)), Some(5));
    assert_eq!(code("missing.test:1"), Some(4));
    // An address that stands for a name nobody has asked for is never dialled.
    assert_eq!(code("198.18.99.99:1"), Some(4));
    let asked = proxy.requests();
    assert!(!asked.iter().any(|request| request.host.starts_with("198.18.")), "{asked:?}");

    let python = r#"
import socket, struct
def door(port, *pieces):
    s = socket.create_connection(("127.0.0.1", port), 60)
    s.settimeout(60)
    for piece in pieces:
        s.sendall(piece)
    answer = b""
    try:
        while piece := s.recv(4096):
            answer += piece
    except ConnectionResetError:
        answer += b"<reset>"
    return answer
print(door(1081, b"\x05\x01\x02"))
# This machine is no exit.
print(door(1081, b"\x05\x01\x00\x05\x02\x00\x01\x7f\0\0\x01\0\x01"))
# The fake proxy carries no datagrams, and so neither does the door.
print(door(1081, b"\x05\x01\x00\x05\x00\x00\x01\x7f\0\0\x01\0\x01"))
print(door(1081, b"\x05\x01\x00\x05\x01\x00\x09\x7f\0\0\x01\0\x01"))
print(door(1081, b"GET / HTTP/1.1\r\n\r\n") in (b"", b"<reset>"))
head = lambda answer: answer.split(b"\r\n")[0].decode()
print(head(door(1082, b"GET http://far.test/ HTTP/1.1\r\nHost: far.test\r\n\r\n")))
print(head(door(1082, b"CONNECT far.test:7099 HTTP/1.1\r\nHost: far.test\r\n\r\n")))
print(head(door(1082, b"CONNECT far.test HTTP/1.1\r\n\r\n")))
print(head(door(1082, b"CONNECT far.test:7001 HTTP/1.1\r\nA: " + b"x" * 20000 + b"\r\n\r\n")))
# The head byte by byte, with bytes for the far end behind it.
print(door(1081, *[bytes([b]) for b in b"\x05\x01\x00\x05\x01\x00\x03\x08far.test" + struct.pack("!H", 7001)]))
s = socket.create_connection(("127.0.0.1", 1082)); s.settimeout(60)
s.sendall(b"CONNECT far.test:7007 HTTP/1.1\r\n\r\nearly"); s.shutdown(socket.SHUT_WR)
answer = b""
while piece := s.recv(4096): answer += piece
print(answer)
# A stream that was cut does not look complete.
print(door(1082, b"CONNECT far.test:7002 HTTP/1.1\r\n\r\nx").split(b"\r\n\r\n")[1])
"#;
    let expected = r"b'\x05\xff'
b'\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00'
b'\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00'
b'\x05\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00'
True
HTTP/1.1 501 Not Implemented
HTTP/1.1 502 Bad Gateway
HTTP/1.1 400 Bad Request
HTTP/1.1 431 Request Header Fields Too Large
b'\x05\x00\x05\x00\x00\x01\xc0\x00\x02\x01\x124hello\n'
b'HTTP/1.1 200 Connection established\r\n\r\nearly'
b'<reset>'
";
    assert_eq!(world.client("python3").args(["-c", python]).run().success(), expected);
    no_leaks(&world);
    drop(front);
}

/// Whoever comes while the agent is busy waits in the kernel's queue, and is not sent away to come again a second later.
#[test]
fn hundreds_come_at_once() {
    let (world, proxy) = world();
    let front = open(&world, &["-x", proxy.url()]);
    let python = r#"
import select, socket, struct, sys
s = []
for port in 1081, 1082:
    for _ in range(200):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
        s.append(one)
def wait(events):
    poll = select.poll()
    for one in s:
        poll.register(one, events)
    left = len(s)
    while left and (ready := poll.poll(20_000)):
        for fd, _ in ready:
            poll.unregister(fd)
        left -= len(ready)
    return left
print(wait(select.POLLOUT), flush=True)
sys.stdin.readline()
for one in s[:200]:
    one.send(b"\x05\x01\x00\x05\x01\x00\x03\x08far.test" + struct.pack("!H", 7001))
for one in s[200:]:
    one.send(b"CONNECT far.test:7001 HTTP/1.1\r\n\r\n")
for one in s:
    one.setblocking(True)
    one.settimeout(30)
    answer = b""
    while piece := one.recv(4096):
        answer += piece
    assert answer.endswith(b"hello\n"), answer
print("served", flush=True)
"#;
    // Nothing is accepted.
    front.signal(Signal::STOP);
    let mut program = world.client("python3").args(["-c", python]).spawn();
    assert_eq!(program.next_line(), "0", "all are connected");
    front.signal(Signal::CONT);
    program.say("");
    assert_eq!(program.next_line(), "served");
    no_leaks(&world);
    drop(front);
}

#[test]
fn a_file_has_routes_for_the_door_too() {
    let (world, proxy) = world();
    let text = format!(
        "proxy = '{}'\n[[route]]\ndomain = 'refused.test'\nto = 'refuse'\n[[route]]\nport = 7001\n\
         domain = 'far.test'\nto = 'main'\n",
        proxy.url()
    );
    let path = world.directory().join("c.toml");
    std::fs::write(&path, &text).expect("the directory is ours");
    let mut front = open(&world, &["-f", path.to_str().unwrap()]);
    assert_eq!(curl(&world, "socks5h://127.0.0.1:1081", "far.test:7001"), Ok("hello\n".to_owned()));
    // Doors are as they were at the start, which is said.
    let with_door = format!("{text}[[listen]]\nat = 'any://127.0.0.1:1083'\n");
    std::fs::write(&path, with_door).expect("the directory is ours");
    front.signal(Signal::HUP);
    complaint(&mut front, "[[listen]], and [[expose]] with to, stay as they were until a restart");
    let asked = proxy.requests().len();
    assert_eq!(curl(&world, "socks5h://127.0.0.1:1081", "refused.test:1").unwrap_err().0, 97);
    assert_eq!(proxy.requests().len(), asked);
    // It shares nothing with the agent of the programs, and takes its directory with it.
    let mut program = world.wrapped(proxy.url(), "cat").spawn();
    program.say("up");
    assert_eq!(program.next_line(), "up");
    assert_eq!(world.agents().len(), 2);
    program.close_input();
    assert_eq!(program.wait().code(), 0);
    let own = || std::fs::read_dir(world.directory().join("tmp")).expect("it is there").count();
    assert_eq!(own(), 1);
    front.signal(Signal::TERM);
    front.wait();
    assert_eq!(own(), 0);
    no_leaks(&world);
}

#[test]
fn a_door_that_cannot_be_is_said() {
    let (world, proxy) = world();
    let run = |arguments: &[&str]| {
        let done = world.client(artifacts::agent()).arg("run").args(arguments).run();
        assert_ne!(done.code(), 0, "{done}");
        assert_eq!(done.stdout, "");
        (done.code(), done.stderr.clone())
    };
    let url = proxy.url();
    let (_, why) = run(&["--listen", "socks5://0.0.0.0:1080", "-x", url]);
    assert!(why.contains("not on loopback"), "{why}");
    let (code, why) = run(&["--listen", "socks5://127.0.0.1:1085"]);
    assert_eq!(code, 125);
    assert!(why.starts_with("underpass-agent: no proxy given: add -x URL"), "{why}");
    let (code, why) = run(&["--listen", "socks5://127.0.0.1:1085", "-f", "/no/such.toml"]);
    assert_eq!(code, 125);
    assert!(why.contains("/no/such.toml: cannot be read"), "{why}");
    let front = open(&world, &["-x", url]);
    let (code, why) = run(&["--listen", "socks5://127.0.0.1:1081", "-x", url]);
    assert_eq!(code, 125);
    assert!(why.starts_with("underpass-agent: socks5://127.0.0.1:1081: "), "{why}");
    front.signal(Signal::TERM);
    front.wait();
    wait("it ends", || world.agents().is_empty());
    no_leaks(&world);
}

/// A proxy within TLS that ends without a word of TLS (close_notify) may have been cut off, and that is a reset; what came
/// before it arrives, however slowly it is read.
#[test]
fn what_came_before_an_end_without_a_word_is_read_to_the_last_byte() {
    let world = World::new();
    let certificate = proxies::certificate(&world, "proxy");
    world.allow_proxy(8443);
    let proxy = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("10.77.0.1", 8443))
while True:
    client = listener.accept()[0]
    client = context.wrap_socket(client, server_side=True)
    head = b""
    while not head.endswith(b"\r\n\r\n"): head += client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3000000)
    client.close()
"#;
    let files = [&certificate.chain, &certificate.key].map(|path| path.to_str().unwrap().to_owned());
    let proxy = world.far("/usr/bin/python3").args(["-c", proxy, &files[0], &files[1]]);
    let proxy = proxy.limit(Duration::MAX).spawn();
    world.wait_listening(8443);
    let url = format!("https://10.77.0.1:8443?ca={}", certificate.authority.display());
    let front = open(&world, &["-x", &url]);
    let script = r#"
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.settimeout(60)
s.connect(("127.0.0.1", 1082))
s.sendall(b"CONNECT far.test:80 HTTP/1.1\r\nHost: far.test:80\r\n\r\n")
head = b""
while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
count = 0
try:
    while piece := s.recv(16384):
        count += len(piece)
        time.sleep(0.005)
    print(count, "end")
except ConnectionResetError:
    print(count, "reset")
"#;
    assert_eq!(python(&world, script), "3000000 reset\n");
    no_leaks(&world);
    drop((front, proxy));
}
