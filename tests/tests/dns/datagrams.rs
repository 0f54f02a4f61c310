//! The same by datagrams, as programs ask unless they are told otherwise.

use underpass_tests::{World, artifacts, proxies, servers};

use crate::place::{Native, Place, sorted};

#[test]
fn dig_host_and_nslookup_resolve_by_datagrams() {
    let (native, place) = (Native::new(), Place::new());
    let address = place.run("dig", &["+short", "@10.77.0.1", "echo.test"]).success();
    assert_eq!(address, "198.18.0.1\n");
    assert_eq!(place.run("dig", &["+short", "@127.0.0.53", "-x", "198.18.0.1"]).success(), "echo.test.\n");
    for (kind, name) in
        [("MX", "mail.test"), ("SRV", "_sip._tcp.test"), ("TXT", "text.test"), ("MX", "missing.test")]
    {
        let line = ["+short", "@10.77.0.1", "-t", kind, name];
        let natively = native.run("dig", &line).success();
        assert_eq!(sorted(&place.run("dig", &line).success()), sorted(&natively), "{kind} {name}");
    }
    let host = place.run("host", &["echo.test"]).success();
    assert!(host.contains("echo.test has address 198.18.0.1\n"), "{host}");
    let nslookup = place.run("nslookup", &["-type=MX", "mail.test"]).success();
    assert!(nslookup.contains("mail exchanger = 10 mx1.test."), "{nslookup}");
    place.no_leaks();
}

/// An answer that does not fit comes again by TCP, or is cut to what the question has room for.
#[test]
fn what_does_not_fit_a_datagram_is_truncated_and_asked_for_by_tcp() {
    let place = Place::new();
    let cut = place.run("dig", &["+ignore", "+bufsize=1232", "@10.77.0.1", "big.test", "TXT"]).success();
    assert!(cut.contains("flags: qr tc") || cut.contains("flags: qr aa tc"), "{cut}");
    let whole = place.run("dig", &["+bufsize=1232", "@10.77.0.1", "big.test", "TXT"]).success();
    assert_eq!(whole.matches("\tTXT\t\"").count(), 12, "{whole}");
    assert!(whole.contains("(TCP)"), "{whole}");
    let roomy = place.run("dig", &["+bufsize=4096", "@10.77.0.1", "big.test", "TXT"]).success();
    assert!(roomy.contains("(UDP)") && roomy.matches("\tTXT\t\"").count() == 12, "{roomy}");
    place.no_leaks();
}

const NODE: &str = "
const dns = require('dns').promises;
(async () => {
    console.log((await dns.resolve4('echo.test')).join(), (await dns.reverse('198.18.0.1')).join());
    console.log((await dns.resolveMx('mail.test')).map(found => found.exchange).sort().join());
    console.log(await dns.resolveMx('missing.test').catch(error => error.code));
})();
";

#[test]
fn node_resolves_by_datagrams() {
    let place = Place::new();
    let done = place.run("node", &["-e", NODE]).success();
    assert_eq!(done, "198.18.0.1 echo.test\nmx1.test,mx2.test\nENOTFOUND\n");
    place.no_leaks();
}

/// The agent resolves it and sends from this machine; what it stands for is shown as it was given.
#[test]
fn datagrams_for_a_name_that_a_route_sends_direct() {
    let world = World::direct();
    servers::start(&world);
    let resolver = servers::resolver(&world);
    let proxy = proxies::microsocks(&world, None);
    let path = world.directory().join("c.toml");
    let text = format!("proxy = '{}'\n[[route]]\ndomain = 'echo.test'\nto = 'direct'\n", proxy.url());
    std::fs::write(&path, text).expect("the directory is ours");
    let script = r#"
import errno, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
far = (socket.gethostbyname("echo.test"), 7007)
assert far[0].startswith("198.18.")
for word in (b"one", b"two"):
    s.sendto(word, far)
    assert s.recvfrom(100) == (word, far)
s.connect(far)
s.send(b"three")
assert s.recv(100) == b"three" and s.getpeername() == far
s.settimeout(None)
try:
    s.connect((socket.gethostbyname("alias.test"), 7007))
except OSError as error:
    print(errno.errorcode[error.errno])
"#;
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(&path).args(["--", "python3", "-c"]);
    // Another name goes by the chain, which carries no datagrams.
    assert_eq!(underpass.arg(script).run().success(), "ENOTSUP\n");
    assert!(resolver.questions().contains(&"A echo.test".to_owned()), "{:?}", resolver.questions());
    assert_eq!(proxy.served("echo.test", 7007), 0);
}
