//! Hops that other people wrote, taken for relays: squid, which speaks HTTP/1.1 inside TLS, nghttpx before a squid, which
//! speaks HTTP/2 as well, and HAProxy, which ends TLS before a relay of ours and wants HTTP/1.1 on both sides.

use std::time::Duration;

use underpass_tests::proxies::{self, Key, Real};
use underpass_tests::servers::port;
use underpass_tests::{Running, World};

use crate::place::{DENIED, GREETED, NAME, Place, greeter, greeter_address};
use crate::relays;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hop {
    Relay,
    Squid,
    Nghttpx,
    Haproxy,
}

use Hop::{Haproxy, Nghttpx, Relay, Squid};

/// A hop that has started.
struct Started {
    // Of these it has one or more.
    squid: Option<Real>,
    _others: Vec<Running>,
    pin: String,
}

const HAPROXY: &str = "
global
  log stderr format raw local0 warning
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen pass
  bind :{port} ssl crt {name}.own.pem alpn http/1.1
  server relay 127.0.0.1:{behind} ssl verify none crt {name}.client.pem alpn http/1.1
";

impl Hop {
    fn start(self, world: &World, port: u16, client: &Key) -> Started {
        let name = format!("hop-{port}");
        let relay = |port, client| {
            let own = proxies::key(world, &format!("relay-{port}"));
            relays::configuration(world, &name, port, &own, client);
            let relay = relays::start(world, world.far("sh"), &name);
            world.wait_listening(port);
            (relay, own.pin)
        };
        if self == Relay {
            let (relay, pin) = relay(port, client);
            return Started { squid: None, _others: vec![relay], pin };
        }
        let certificate = proxies::certificate(world, &name);
        let pin = certificate.pin.clone();
        if self == Squid {
            let squid = proxies::squid(world, port, proxies::Squid::Tls(&certificate), DENIED);
            return Started { squid: Some(squid), _others: Vec::new(), pin };
        }
        if self == Haproxy {
            let behind = port + 1000;
            let passes = proxies::key(world, &format!("passes-{port}"));
            let (relay, _) = relay(behind, &passes);
            let [own, client] = ["own", "client"].map(|end| format!("{name}.{end}.pem"));
            let join = "cat \"$1\" \"$2\" >\"$3\"; cat \"$4.crt\" \"$4\" >\"$5\"";
            let join = world.far("sh").args(["-ec", join, "sh"]).arg(certificate.chain).arg(certificate.key);
            join.arg(own).arg(passes.path).arg(client).run().success();
            let (port, behind) = (port.to_string(), behind.to_string());
            let text = HAPROXY.replace("{port}", &port).replace("{behind}", &behind).replace("{name}", &name);
            let file = format!("{name}.haproxy");
            std::fs::write(world.directory().join(&file), text).expect("the directory is ours");
            let haproxy = world.far("haproxy").args(["-db", "-f", &file]).limit(Duration::MAX).spawn();
            world.wait_listening(port.parse().expect("a port"));
            return Started { squid: None, _others: vec![relay, haproxy], pin };
        }
        let squid = proxies::squid(world, port + 1000, proxies::Squid::Open, DENIED);
        let nghttpx = world.far("nghttpx").args(["--conf=/dev/null", "--http2-proxy", "--workers=1"]);
        let nghttpx = nghttpx.args([format!("-f*,{port}"), format!("-b127.0.0.1,{}", port + 1000)]);
        let nghttpx = nghttpx.arg("--errorlog-file=/dev/null").arg(certificate.key).arg(certificate.chain);
        let nghttpx = nghttpx.limit(Duration::MAX).spawn();
        world.wait_listening(port);
        Started { squid: Some(squid), _others: vec![nghttpx], pin }
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
    let target = format!("{NAME}/{}", port::ECHO);
    match hops.last() {
        Some(Squid | Haproxy) => {
            // Without HTTP/2 there are none.
            let send = format!("echo x >/dev/udp/{target}");
            let done = place.through(&urls, "bash").args(["-c", &send]).run();
            assert!(done.stderr.contains("Network is unreachable"), "{done}");
        }
        Some(Relay) => {
            // Whatever is before it carries bytes alone. The name is one that this side does not know.
            let ask = format!("exec 3<>/dev/udp/{target}; echo well >&3; head -c5 <&3");
            let done = place.through(&urls, "bash").args(["-c", &ask]).run();
            assert_eq!(done.success(), "well\n", "{hops:?}");
        }
        _ => {}
    }
    if let Some((at, _)) = started.last().filter(|_| matches!(hops.last(), Some(Relay | Haproxy))) {
        let log = relays::written(&place.world, &format!("hop-{at}"), "audit");
        assert!(log.contains(&format!("\"host\":\"{NAME}\",\"port\":{},", port::GREETER)), "{log}");
        assert!(hops.last() != Some(&Haproxy) || !log.contains("udp"), "{log}");
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

/// TLS to the relay is ended on the way to it, and nobody speaks HTTP/2: a connection for each.
#[test]
fn a_relay_that_is_spoken_to_by_http_1() {
    through(&[Haproxy]);
    through(&[Relay, Haproxy]);
}

#[test]
fn nghttpx_before_a_squid() {
    through(&[Nghttpx]);
    through(&[Relay, Nghttpx]);
    through(&[Nghttpx, Relay]);
    through(&[Relay, Nghttpx, Relay]);
}
