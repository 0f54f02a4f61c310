//! Chains of proxies that other people wrote, up to five, in several orders. Only the first hop may
//! be reached from the client side, so that none can be left out; the record of each hop names the
//! next.

use underpass_tests::World;
use underpass_tests::proxies::{self, Certificate, Dante, Real, Squid, Sshd};
use underpass_tests::servers::port;

use crate::place::{ADDRESS, DENIED, GREETED, NAME, Place, greeter, greeter_address};

/// A kind of hop; each at most once in a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hop {
    /// SOCKS5 by microsocks.
    Microsocks,
    /// SOCKS5 by Dante.
    Dante5,
    /// SOCKS4 by Dante, on another port.
    Dante4,
    /// SOCKS4a by `ssh -D`.
    Ssh4a,
    /// CONNECT by squid, with Digest.
    Squid,
    /// The same inside TLS.
    SquidTls,
    /// CONNECT by tinyproxy, with Basic.
    Tinyproxy,
    /// CONNECT by privoxy.
    Privoxy,
}

use Hop::*;

const ALL: [Hop; 8] = [Microsocks, Dante5, Dante4, Ssh4a, Squid, SquidTls, Tinyproxy, Privoxy];

impl Hop {
    fn port(self) -> u16 {
        2001 + ALL
            .iter()
            .position(|hop| *hop == self)
            .and_then(|n| u16::try_from(n).ok())
            .expect("it is there")
    }

    fn scheme(self) -> &'static str {
        match self {
            Microsocks | Dante5 => "socks5h",
            Dante4 => "socks4",
            Ssh4a => "socks4a",
            Squid | Tinyproxy | Privoxy => "http",
            SquidTls => "https",
        }
    }

    fn start(self, world: &World, certificate: &Certificate) -> (Real, Option<Sshd>) {
        let port = self.port();
        let dante = Dante { port, ..Dante::default() };
        let real = match self {
            Microsocks => proxies::microsocks_at(world, port, Some(("me", "pw"))),
            Dante5 | Dante4 => proxies::dante_with(world, dante),
            Squid => proxies::squid(world, port, Squid::Digest("me", "pw"), DENIED),
            SquidTls => proxies::squid(world, port, Squid::Tls(certificate), DENIED),
            Tinyproxy => proxies::tinyproxy(world, port, Some(("me", "pw")), &ALL.map(Hop::port)),
            Privoxy => proxies::privoxy(world, port, DENIED),
            Ssh4a => {
                let sshd = proxies::sshd(world, 2222);
                return (proxies::ssh_dynamic(world, port, &sshd), Some(sshd));
            }
        };
        (real, None)
    }
}

struct Chain {
    place: Place,
    proxies: Vec<(Real, Option<Sshd>)>,
    urls: Vec<String>,
    /// How each hop but the first is named to the one before it.
    hosts: Vec<&'static str>,
}

fn chain(hops: &[Hop]) -> Chain {
    let place = Place::new();
    let certificate = proxies::certificate(&place.world, "good");
    let proxies: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            hops.iter().map(|hop| scope.spawn(|| hop.start(&place.world, &certificate))).collect();
        starts.into_iter().map(|start| start.join().expect("it starts")).collect()
    });
    place.world.allow_proxy(hops[0].port());
    // SOCKS4 takes no names.
    let before = |number: usize| number.checked_sub(1).map(|before| hops[before]);
    let host = |number| match before(number) {
        None => "10.77.0.1",
        Some(Dante4) => ADDRESS,
        Some(_) => NAME,
    };
    let hosts: Vec<_> = (0..hops.len()).map(host).collect();
    let url = |(number, hop): (usize, &Hop)| {
        let proxy: &(Real, _) = &proxies[number];
        let trust =
            if *hop == SquidTls { format!("?ca={}", certificate.authority.display()) } else { String::new() };
        format!("{}{trust}", proxy.0.url_at(hop.scheme(), hosts[number]))
    };
    let urls = hops.iter().enumerate().map(url).collect();
    Chain { place, urls, hosts, proxies }
}

/// Visits by both mechanisms, by name and by address, and reads the records of all hops.
fn through(hops: &[Hop]) {
    let chain = chain(hops);
    let urls: Vec<&str> = chain.urls.iter().map(String::as_str).collect();
    let last_takes_names = hops.last() != Some(&Dante4);
    let (by_name, by_address) = (greeter(), greeter_address());
    let named = if last_takes_names { GREETED } else { "EAFNOSUPPORT" };
    chain.place.visit(&urls, &[(&by_name, named), (&by_address, GREETED)]);
    for (number, pair) in chain.proxies.windows(2).enumerate() {
        pair[0].0.wait_served(chain.hosts[number + 1], pair[1].0.port(), 1);
    }
    let last = &chain.proxies.last().expect("a chain has hops").0;
    if last_takes_names {
        last.wait_served(NAME, port::GREETER, 2);
    }
    last.wait_served(ADDRESS, port::GREETER, 2);
}

#[test]
fn of_one_hop() {
    through(&[Privoxy]);
}

#[test]
fn of_two_hops() {
    through(&[Microsocks, Squid]);
    through(&[Squid, Microsocks]);
}

#[test]
fn of_two_hops_the_last_of_which_takes_no_names() {
    through(&[Tinyproxy, Dante4]);
}

#[test]
fn of_three_hops() {
    through(&[SquidTls, Dante4, Tinyproxy]);
    through(&[Ssh4a, Privoxy, Dante5]);
}

#[test]
fn of_five_hops() {
    through(&[Microsocks, Squid, Ssh4a, SquidTls, Dante5]);
}

#[test]
fn of_five_hops_in_the_other_order() {
    through(&[Dante5, SquidTls, Ssh4a, Squid, Microsocks]);
}

#[test]
fn of_five_hops_with_the_others() {
    through(&[Privoxy, Dante4, Tinyproxy, Microsocks, SquidTls]);
}

/// What the hop before says of it is no word of the destination.
#[test]
fn a_hop_that_is_down_is_no_refusal_wherever_it_stands() {
    let chain = chain(&[Microsocks, Squid, Dante5]);
    let down = "socks5h://web.test:2099";
    let urls: Vec<&str> = chain.urls.iter().map(String::as_str).collect();
    let targets = [(greeter(), "ENETUNREACH")];
    let targets: Vec<_> = targets.iter().map(|(target, line)| (target.as_str(), *line)).collect();
    chain.place.visit(&[urls[0], down], &targets);
    chain.place.visit(&[urls[0], urls[1], down], &targets);
    chain.place.visit(&[urls[0], down, urls[2]], &targets);
    chain.place.visit(&[urls[0], urls[1], urls[2], down], &targets);
}

#[test]
fn what_the_last_hop_says_is_what_the_program_gets() {
    let chain = chain(&[Squid, Tinyproxy, Microsocks]);
    let urls: Vec<&str> = chain.urls.iter().map(String::as_str).collect();
    let refused = format!("{NAME}:{}", port::REFUSED);
    let unreachable = format!("10.99.0.77:{}", port::GREETER);
    chain.place.visit(&urls, &[(&refused, "ECONNREFUSED"), (&unreachable, "EHOSTUNREACH")]);
}

#[test]
fn a_wrong_password_at_a_later_hop() {
    let chain = chain(&[Microsocks, Squid, Tinyproxy]);
    let urls: Vec<&str> = chain.urls.iter().map(String::as_str).collect();
    let wrong: Vec<String> = urls.iter().map(|url| url.replace("me:pw@", "me:secret-but-wrong@")).collect();
    let target = greeter();
    chain.place.visit(&[urls[0], &wrong[1], urls[2]], &[(&target, "EACCES")]);
    chain.place.visit(&[urls[0], urls[1], &wrong[2]], &[(&target, "EACCES")]);
    chain.place.visit(&[&wrong[0], urls[1]], &[(&target, "EACCES")]);
}
