//! Routes that name loopback: what a program says to its own machine goes through a chain, or nowhere.

use underpass_tests::proxies::{self, Real};
use underpass_tests::servers::port;
use underpass_tests::{Finished, World, artifacts};

use crate::place::{MODES, Place, visit};

const TARGETS: [&str; 5] = ["127.0.0.1:7006", "127.9.9.9:7006", "::1:7006", "localhost:7006", "0.0.0.0:7006"];

/// By each call that connects: `connect`, TCP Fast Open by `sendto` and `sendmsg`; then a datagram to
/// itself, and a stream to port 53, on which something listens, and which the agent answers.
const CALLS: &str = r#"
import errno, socket, sys
def said(call, after=lambda stream: stream.recv(6).decode().strip()):
    try:
        with socket.socket() as stream:
            call(stream)
            return after(stream)
    except OSError as error:
        return errno.errorcode[error.errno]
there = ("127.0.0.1", 7006)
print(said(lambda s: s.connect(there)))
print(said(lambda s: s.sendto(b"x", socket.MSG_FASTOPEN, there)))
print(said(lambda s: s.sendmsg([b"x"], [], socket.MSG_FASTOPEN, there)))
with socket.socket(type=socket.SOCK_DGRAM) as here:
    here.bind(("127.0.0.1", 0))
    here.sendto(b"itself", here.getsockname())
    print(here.recv(6).decode())
with socket.create_server(("127.0.0.1", 53)) as stub:
    stub.settimeout(0.5)
    def reached(stream):
        try:
            return stub.accept() and "the stub"
        except TimeoutError:
            return "somebody else"
    print(said(lambda s: s.connect(("127.0.0.1", 53)), reached))
"#;

/// The servers of `far-server`, on the client side.
fn serve_here(world: &World) {
    let mut server = world.client(artifacts::helper("far-server")).spawn();
    assert_eq!(server.next_line(), "ready");
    server.detach();
}

fn proxied(route: &str) -> (Place, Real, String) {
    let place = Place::new();
    let proxy = proxies::microsocks(&place.world, None);
    let text = format!("proxy = \"{}\"\n{route}", proxy.url());
    (place, proxy, text)
}

fn calls(place: &Place, text: &str) -> Finished {
    place.configured("loopback.toml", text, "python3").args(["-c", CALLS]).run()
}

fn visited(place: &Place, text: &str, mode: &str) -> String {
    let arguments = visit(mode, TARGETS);
    place.configured("loopback.toml", text, "python3").args(arguments).run().stdout
}

#[test]
fn loopback_goes_through_the_chain_of_the_route_that_names_it() {
    let native = World::direct();
    serve_here(&native);
    for route in ["address = [\"127.0.0.0/8\", \"::1\"]", "domain = \"localhost\""] {
        // Nothing listens on the loopback of the client side.
        let (place, proxy, text) = proxied(&format!("[[route]]\n{route}\nto = \"main\"\n"));
        for mode in MODES {
            let here = native.client("python3").args(visit(mode, TARGETS)).run();
            assert_eq!(visited(&place, &text, mode), here.stdout, "{route}, {mode}");
        }
        let redirected = calls(&place, &text);
        let here = native.client("python3").args(["-c", CALLS]).run();
        // A known difference: a resolver's stub is never reached, the agent answers.
        assert_eq!(
            redirected.stdout,
            here.stdout.replace("the stub", "somebody else"),
            "{redirected}\n{here}"
        );
        for (host, times) in [("127.0.0.1", 2 + 3), ("127.9.9.9", 2), ("::1", 4), ("0.0.0.0", 2)] {
            proxy.wait_served(host, port::GREETER, times);
        }
    }
}

#[test]
fn loopback_is_refused_with_the_errno_of_its_route() {
    let (place, proxy, text) = proxied(
        "[[route]]\naddress = [\"127.0.0.0/8\", \"::1\"]\nto = \"refuse\"\nerrno = \"EHOSTUNREACH\"\n",
    );
    serve_here(&place.world);
    for mode in MODES {
        assert_eq!(visited(&place, &text, mode), "EHOSTUNREACH\n".repeat(TARGETS.len()), "{mode}");
    }
    let done = calls(&place, &text);
    assert_eq!(done.stdout, "EHOSTUNREACH\nEHOSTUNREACH\nEHOSTUNREACH\nitself\nEHOSTUNREACH\n", "{done}");
    assert_eq!(proxy.log(), "");
}

#[test]
fn loopback_is_direct_where_no_route_names_it_or_the_one_that_does_is_for_something_else() {
    for route in [
        "[[route]]\naddress = [\"0.0.0.0/0\", \"::/0\"]\nto = \"refuse\"\n",
        "[[route]]\nport = \"1-65535\"\nto = \"main\"\n",
        "[[route]]\nprogram = \"*\"\nto = \"refuse\"\n",
        "[[route]]\naddress = \"127.7.7.7\"\nto = \"refuse\"\n",
        "[[route]]\ndomain = \"localhost\"\nport = 7001\nto = \"main\"\n",
        "[[route]]\ndomain = \"localhost\"\nprogram = \"curl\"\nto = \"main\"\n",
        "no-proxy = \"localhost\"\n[[route]]\ndomain = \"localhost\"\nto = \"main\"\n",
    ] {
        let (place, proxy, text) = proxied(route);
        serve_here(&place.world);
        for mode in MODES {
            assert_eq!(visited(&place, &text, mode), "greeted\n".repeat(TARGETS.len()), "{route}, {mode}");
        }
        let done = calls(&place, &text);
        assert_eq!(done.stdout, "hello\nhello\nhello\nitself\nsomebody else\n", "{route}: {done}");
        assert_eq!(proxy.log(), "", "{route}");
    }
}

/// A port of loopback by the chain and the others direct, in one process, one after the other.
#[test]
fn ports_of_loopback_have_ways_of_their_own() {
    let (place, proxy, text) = proxied("[[route]]\ndomain = \"localhost\"\nport = 7006\nto = \"main\"\n");
    let here = "import socket\nserver = socket.create_server(('127.0.0.1', 7777))\nprint('ready', flush=True)\n\
                while True:\n c = server.accept()[0]; c.sendall(b'hello\\n'); c.sendall(c.recv(10)); c.close()\n";
    let mut server = place.world.client("python3").args(["-c", here]).spawn();
    assert_eq!(server.next_line(), "ready");
    let targets = ["web.test:7006", "127.0.0.1:7777", "127.0.0.1:7006", "127.0.0.1:7777", "localhost:7006"];
    for mode in MODES {
        let done = place.configured("ports.toml", &text, "python3").args(visit(mode, targets)).run();
        assert_eq!(done.stdout, "greeted\n".repeat(targets.len()), "{mode}: {done}");
    }
    proxy.wait_served("127.0.0.1", port::GREETER, 2);
    assert!(!proxy.log().contains("7777"), "{}", proxy.log());
}
