//! The same by datagrams, as programs ask unless they are told otherwise.

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
