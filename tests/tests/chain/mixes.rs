//! Relays behind proxies that other people wrote, and such proxies behind relays.

use underpass_tests::World;
use underpass_tests::proxies::{self, Real};
use underpass_tests::servers::port;

use crate::place::{ADDRESS, DENIED, GREETED, NAME, Place, greeter, greeter_address};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hop {
    Relay,
    Microsocks,
    Dante,
    Squid,
}

use Hop::*;

impl Hop {
    fn start(self, world: &World, port: u16) -> (Real, String) {
        match self {
            Relay => {
                let key = proxies::key(world, &format!("client-{port}"));
                let relay = proxies::relay(world, port, &[&key], DENIED);
                let url = relay.url_at("HOST", &key);
                (relay.real, url)
            }
            Microsocks => {
                let real = proxies::microsocks_at(world, port, Some(("me", "pw")));
                let url = real.url_at("socks5h", "HOST");
                (real, url)
            }
            Dante => {
                let real = proxies::dante_with(world, proxies::Dante { port, ..Default::default() });
                let url = real.url_at("socks5h", "HOST");
                (real, url)
            }
            Squid => {
                let real = proxies::squid(world, port, proxies::Squid::Digest("me", "pw"), DENIED);
                let url = real.url_at("http", "HOST");
                (real, url)
            }
        }
    }
}

fn through(hops: &[Hop]) {
    let place = Place::new();
    let started: Vec<_> = hops.iter().zip(2001..).map(|(hop, port)| hop.start(&place.world, port)).collect();
    place.world.allow_proxy(2001);
    let host = |number| if number == 0 { "10.77.0.1" } else { NAME };
    let urls = started.iter().enumerate().map(|(number, (_, url))| url.replace("HOST", host(number)));
    let urls: Vec<_> = urls.collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let (by_name, by_address) = (greeter(), greeter_address());
    let refused = format!("{NAME}:{}", port::REFUSED);
    place.visit(&urls, &[(&by_name, GREETED), (&by_address, GREETED), (&refused, "ECONNREFUSED")]);
    place.curl(&urls);
    let last = &started.last().expect("a chain has hops").0;
    last.wait_served(NAME, port::GREETER, 2);
    last.wait_served(ADDRESS, port::GREETER, 2);
}

#[test]
fn a_relay_behind_socks() {
    through(&[Dante, Relay]);
}

#[test]
fn socks_behind_a_relay() {
    through(&[Relay, Dante]);
    through(&[Relay, Relay, Microsocks]);
}

#[test]
fn a_relay_between_proxies() {
    through(&[Squid, Relay, Microsocks]);
}

#[test]
fn a_proxy_between_relays() {
    through(&[Relay, Squid, Relay]);
    through(&[Relay, Microsocks, Relay, Relay]);
}
