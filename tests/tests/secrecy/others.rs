//! Hops that other people wrote, taken for relays: squid, which speaks HTTP/1.1 inside TLS, and nghttpx before a
//! squid, which speaks HTTP/2 as well.

use std::time::Duration;

use underpass_tests::proxies::{self, Key, Real};
use underpass_tests::servers::port;
use underpass_tests::{Running, World};

use crate::place::{DENIED, GREETED, NAME, Place, greeter, greeter_address};
use crate::relays;

#[derive(Clone, Copy, PartialEq)]
enum Hop {
    Relay,
    Squid,
    Nghttpx,
}

use Hop::{Nghttpx, Relay, Squid};

/// A hop that has started.
struct Started {
    // Of these it has one or the other, or both.
    squid: Option<Real>,
    _other: Option<Running>,
    pin: String,
}

impl Hop {
    fn start(self, world: &World, port: u16, client: &Key) -> Started {
        let name = format!("hop-{port}");
        if self == Relay {
            let own = proxies::key(world, &name);
            relays::configuration(world, &name, port, &own, client);
            let relay = relays::start(world, world.far("sh"), &name);
            world.wait_listening(port);
            return Started { squid: None, _other: Some(relay), pin: own.pin };
        }
        let certificate = proxies::certificate(world, &name);
        let pin = certificate.pin.clone();
        if self == Squid {
            let squid = proxies::squid(world, port, proxies::Squid::Tls(&certificate), DENIED);
            return Started { squid: Some(squid), _other: None, pin };
        }
        let squid = proxies::squid(world, port + 1000, proxies::Squid::Open, DENIED);
        let nghttpx = world.far("nghttpx").args(["--conf=/dev/null", "--http2-proxy", "--workers=1"]);
        let nghttpx = nghttpx.args([format!("-f*,{port}"), format!("-b127.0.0.1,{}", port + 1000)]);
        let nghttpx = nghttpx.arg("--errorlog-file=/dev/null").arg(certificate.key).arg(certificate.chain);
        let nghttpx = nghttpx.limit(Duration::MAX).spawn();
        world.wait_listening(port);
        Started { squid: Some(squid), _other: Some(nghttpx), pin }
    }
}

fn through(hops: &[Hop]) {
    let place = Place::new();
    let client = proxies::key(&place.world, "client");
    let started: Vec<_> =
        (2001..).zip(hops).map(|(at, hop)| (at, hop.start(&place.world, at, &client))).collect();
    place.world.allow_proxy(2001);
    let urls = started.iter().map(|(at, hop)| {
        let host = if *at == 2001 { "10.77.0.1" } else { NAME };
        relays::url(host, *at, &Key { pin: hop.pin.clone(), path: client.path.clone() }, &client)
    });
    let urls: Vec<_> = urls.collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let (by_name, by_address) = (greeter(), greeter_address());
    place.visit(&urls, &[(&by_name, GREETED), (&by_address, GREETED)]);
    place.curl(&urls);
    if hops.last() == Some(&Squid) {
        // Without HTTP/2 there are none.
        let send = format!("echo x >/dev/udp/{NAME}/{}", port::ECHO);
        let done = place.through(&urls, "bash").args(["-c", &send]).run();
        assert!(done.stderr.contains("Network is unreachable"), "{done}");
    }
    if let Some(squid) = started.last().and_then(|(_, hop)| hop.squid.as_ref()) {
        // It writes down what has ended; nghttpx does not pass on that a client is done, only that a server is.
        squid.wait_served(NAME, port::BANNER, 1);
    }
}

#[test]
fn squid_inside_tls() {
    through(&[Squid]);
    through(&[Relay, Squid]);
    through(&[Squid, Relay]);
    through(&[Relay, Squid, Relay]);
}

#[test]
fn nghttpx_before_a_squid() {
    through(&[Nghttpx]);
    through(&[Relay, Nghttpx]);
    through(&[Nghttpx, Relay]);
    through(&[Relay, Nghttpx, Relay]);
}
