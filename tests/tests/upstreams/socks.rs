//! SOCKS servers: Dante as SOCKS4 and SOCKS5, microsocks with a password, `ssh -D` as all versions,
//! and tor, which has no network here.

use std::time::Duration;

use underpass_tests::proxies::{self, Dante};
use underpass_tests::servers::port;
use underpass_tests::{PATIENCE, artifacts};

use crate::place::{self, ADDRESS, DENIED, GREETED, MODES, NAME, Place, greeter, greeter_address};

const PORT: u16 = 1085;

#[test]
fn dante_as_socks5() {
    let place = Place::new();
    let dante = Dante { denied: Some(DENIED), ..Dante::default() };
    let proxy = proxies::dante_with(&place.world, dante).allowed(&place.world);
    place.visit(
        &[proxy.url()],
        &[
            (&greeter(), GREETED),
            (&greeter_address(), GREETED),
            (&format!("{NAME}:{}", port::REFUSED), "ECONNREFUSED"),
            (&format!("10.99.0.77:{}", port::GREETER), "EHOSTUNREACH"),
            (&format!("{NAME}:{DENIED}"), "EACCES"),
        ],
    );
    proxy.wait_served(ADDRESS, port::GREETER, 4);
    place.curl(&[proxy.url()]);
    proxy.wait_served(ADDRESS, port::BANNER, 1);
}

#[test]
fn dante_with_a_password() {
    let place = Place::new();
    let dante = Dante { login: Some(("me", "password")), ..Dante::default() };
    let proxy = proxies::dante_with(&place.world, dante).allowed(&place.world);
    place.visit(&[proxy.url()], &[(&greeter(), GREETED), (&greeter_address(), GREETED)]);
    proxy.wait_served(ADDRESS, port::GREETER, 4);
    for login in ["me:secret-but-wrong@", "nobody:password@", ""] {
        let url = format!("socks5h://{login}10.77.0.1:{}", proxy.port());
        place.visit(&[&url], &[(&greeter(), "EACCES")]);
    }
    assert_eq!(proxy.served(ADDRESS, port::GREETER), 4, "{}", proxy.log());
}

/// SOCKS4 knows one failure. A name is not for it, and says so without asking.
#[test]
fn dante_as_socks4() {
    let place = Place::new();
    let dante = Dante { denied: Some(DENIED), ..Dante::default() };
    let proxy = proxies::dante_with(&place.world, dante).allowed(&place.world);
    place.visit(
        &[&proxy.url_as("socks4")],
        &[
            (&greeter_address(), GREETED),
            (&format!("{ADDRESS}:{}", port::REFUSED), "ENETUNREACH"),
            (&format!("10.99.0.77:{}", port::GREETER), "ENETUNREACH"),
            (&format!("{ADDRESS}:{DENIED}"), "ENETUNREACH"),
            (&greeter(), "EAFNOSUPPORT"),
        ],
    );
    proxy.wait_served(ADDRESS, port::GREETER, 2);
    assert_eq!(proxy.served(ADDRESS, port::GREETER), 2, "{}", proxy.log());
}

/// Dante sends no names on, so SOCKS4a is asked of it in vain: it dials the address 0.0.0.1.
#[test]
fn a_socks4_server_that_does_not_know_4a_fails() {
    let place = Place::new();
    let proxy = proxies::dante(&place.world);
    place.visit(&[&proxy.url_as("socks4a")], &[(&greeter(), "ENETUNREACH"), (&greeter_address(), GREETED)]);
    proxy.wait_log(&format!("0.0.0.1.{}", port::GREETER));
}

#[test]
fn microsocks_with_a_password() {
    let place = Place::new();
    let proxy = proxies::microsocks(&place.world, Some(("me", "p@ss:w%rd")));
    let url = |password: &str| format!("socks5h://me:{password}@10.77.0.1:{}", proxy.port());
    place.visit(
        &[&url("p%40ss%3Aw%25rd")],
        &[
            (&greeter(), GREETED),
            (&greeter_address(), GREETED),
            (&format!("{NAME}:{}", port::REFUSED), "ECONNREFUSED"),
            (&format!("10.99.0.77:{}", port::GREETER), "EHOSTUNREACH"),
        ],
    );
    proxy.wait_served(NAME, port::GREETER, 2);
    proxy.wait_served(ADDRESS, port::GREETER, 2);
    place.visit(&[&url("secret-but-wrong")], &[(&greeter(), "EACCES")]);
    place.visit(&[&format!("socks5h://10.77.0.1:{}", proxy.port())], &[(&greeter(), "EACCES")]);
    assert_eq!(proxy.served(NAME, port::GREETER), 2, "{}", proxy.log());
}

/// Dante reads a greeting and what follows it; microsocks takes both for a greeting, and waits for more.
#[test]
fn greeting_and_request_in_one_flight_where_the_url_asks_for_it() {
    let place = Place::new();
    let dante = proxies::dante(&place.world);
    let one = |proxy: &proxies::Real| format!("{}?flights=one", proxy.url());
    let refused = format!("{ADDRESS}:{}", port::REFUSED);
    place.visit(
        &[&one(&dante)],
        &[(&greeter(), GREETED), (&greeter_address(), GREETED), (&refused, "ECONNREFUSED")],
    );
    dante.wait_served(NAME, port::GREETER, 4);
    // As a later hop, too.
    let microsocks = proxies::microsocks(&place.world, None);
    let later = format!("{}?flights=one", dante.url_at("socks5h", ADDRESS));
    place.visit(&[microsocks.url(), &later], &[(&greeter(), GREETED)]);
    dante.wait_served(NAME, port::GREETER, 6);

    for mode in MODES {
        let text = format!("deadline = 2\nwarm = false\nproxy = \"{}\"\n", one(&microsocks));
        let arguments = place::visit(mode, [greeter().as_str()]);
        let done = place.configured("one.toml", &text, "python3").args(arguments).run();
        assert_eq!(done.stdout, "ETIMEDOUT\n", "{mode}: {done}");
    }
    assert_eq!(microsocks.served(NAME, port::GREETER), 0, "{}", microsocks.log());
}

/// OpenSSH has no word for a destination that it cannot reach: it closes without a reply.
#[test]
fn ssh_dynamic_as_socks_of_all_versions() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, 2222);
    let proxy = proxies::ssh_dynamic(&place.world, PORT, &sshd).allowed(&place.world);
    let refused = format!("{ADDRESS}:{}", port::REFUSED);
    place.visit(
        &[proxy.url()],
        &[(&greeter(), GREETED), (&greeter_address(), GREETED), (&refused, "ECONNRESET")],
    );
    proxy.wait_served(NAME, port::GREETER, 2);
    place.visit(&[&proxy.url_as("socks4a")], &[(&greeter(), GREETED), (&greeter_address(), GREETED)]);
    place.visit(&[&proxy.url_as("socks4")], &[(&greeter_address(), GREETED), (&greeter(), "EAFNOSUPPORT")]);
    sshd.real.wait_served(NAME, port::GREETER, 4);
    sshd.real.wait_served(ADDRESS, port::GREETER, 6);
    place.curl(&[&proxy.url_as("socks4a")]);
}

/// At a proxy that tells credentials apart as Tor does: the same for one host on all ports, others for another.
#[test]
fn credentials_are_made_up_for_each_destination() {
    let place = Place::new();
    let script = artifacts::workspace().join("tests/programs/isolating.py");
    let proxy = place.world.far("python3").arg(script).arg(PORT.to_string());
    let mut proxy = proxy.limit(Duration::MAX).spawn();
    assert_eq!(proxy.next_line(), "ready");
    place.world.allow_proxy(PORT);
    let url = format!("socks5h://10.77.0.1:{PORT}?isolate=destination");
    let by_port = format!("{NAME}:{}", port::slow(port::GREETER));
    place.visit(&[&url], &[(&greeter(), GREETED), (&greeter_address(), GREETED), (&by_port, GREETED)]);
    let lines: Vec<String> = (0..6).map(|_| proxy.next_line()).collect();
    let seen = |destination: &str| -> Vec<&str> {
        let there = lines.iter().filter_map(|line| line.split_once(' ')).filter(|it| it.1 == destination);
        there.map(|it| it.0).collect()
    };
    let (name, address) = (seen(&greeter()), seen(&greeter_address()));
    assert_eq!((name.len(), address.len()), (MODES.len(), MODES.len()), "{lines:?}");
    assert_eq!(name[0], name[1], "{lines:?}");
    assert_eq!(name, seen(&by_port), "{lines:?}");
    assert_eq!(address[0], address[1], "{lines:?}");
    assert_ne!(name[0], address[0], "{lines:?}");
}

/// Also where another proxy comes after it, which is what it is asked for then.
#[test]
fn credentials_are_made_of_the_destination_wherever_the_hop_stands() {
    let place = Place::new();
    let script = artifacts::workspace().join("tests/programs/isolating.py");
    let first = place.world.far("python3").arg(script).arg(PORT.to_string());
    let mut first = first.limit(Duration::MAX).spawn();
    assert_eq!(first.next_line(), "ready");
    place.world.allow_proxy(PORT);
    let last = proxies::microsocks_at(&place.world, 1081, None);
    let urls = [format!("socks5h://10.77.0.1:{PORT}?isolate=destination"), last.url_at("socks5h", ADDRESS)];
    let urls = urls.each_ref().map(String::as_str);
    for handoff in ["always", "never"] {
        let text = format!("handoff = '{handoff}'\nproxy = {urls:?}\n");
        for mode in MODES {
            let targets = [greeter(), greeter_address(), greeter()];
            let args = place::visit(mode, targets.iter().map(String::as_str));
            let done = place.configured("isolating.toml", &text, "python3").args(args).run();
            assert_eq!(done.success(), format!("{GREETED}\n").repeat(3));
            let lines: Vec<String> = (0..3).map(|_| first.next_line()).collect();
            let users: Vec<_> = lines.iter().filter_map(|line| line.split_once(' ')).collect();
            let next = format!("{ADDRESS}:1081");
            assert!(users.iter().all(|(_, asked)| *asked == next), "{lines:?}");
            assert_eq!(users[0], users[2], "{handoff}, {mode}: {lines:?}");
            assert_ne!(users[0], users[1], "{handoff}, {mode}: {lines:?}");
        }
    }
}

/// Without a network tor can serve nothing: it waits for a circuit, for longer than our deadline, and
/// refuses private addresses at once.
#[test]
fn tor_without_a_network_times_out_at_the_deadline() {
    let place = Place::new();
    let proxy = proxies::tor(&place.world, 9050).allowed(&place.world);
    let text = format!("deadline = 8\nproxy = \"{}\"\n", proxy.url());
    for mode in MODES {
        let private = greeter_address();
        let targets = ["far.example:443", private.as_str()];
        let done = place.configured("tor.toml", &text, "python3").args(place::visit(mode, targets)).run();
        assert_eq!(done.stdout, "ETIMEDOUT\nENETUNREACH\n", "{mode}\n{done}");
        assert!(done.elapsed < PATIENCE, "{done}");
    }
    proxy.wait_log("Rejecting SOCKS request for anonymous connection to private address 10.99.0.1");
}
