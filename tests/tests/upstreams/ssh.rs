//! Hops by the user's own OpenSSH.

use underpass_tests::proxies::{self, Squid};
use underpass_tests::servers::port;

use crate::place::{ADDRESS, DENIED, GREETED, NAME, Place, greeter, greeter_address};

const PORT: u16 = 2222;

#[test]
fn an_account_on_a_machine_is_an_exit() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    sshd.configure_client(&place.world);
    place.world.allow_proxy(PORT);
    let url = format!("ssh://far@10.77.0.1:{PORT}");
    let refused = format!("{ADDRESS}:{}", port::REFUSED);
    place.visit(&[&url], &[(&greeter(), GREETED), (&greeter_address(), GREETED), (&refused, "ECONNREFUSED")]);
    sshd.real.wait_served(NAME, port::GREETER, 2);
    sshd.real.wait_served(ADDRESS, port::GREETER, 2);
    place.curl(&[&url]);
}

/// The server ends without having read what the program has sent, which OpenSSH then leaves unread, too.
#[test]
fn the_far_end_may_end_first() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    sshd.configure_client(&place.world);
    place.world.allow_proxy(PORT);
    for _ in 0..5 {
        place.curl(&[&format!("ssh://far@10.77.0.1:{PORT}")]);
    }
    sshd.real.wait_served(NAME, port::BANNER, 5);
}

#[test]
fn an_unknown_user_is_not_let_in() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    sshd.configure_client(&place.world);
    place.world.allow_proxy(PORT);
    place.visit(&[&format!("ssh://nobody@10.77.0.1:{PORT}")], &[(&greeter(), "ENETUNREACH")]);
    assert_eq!(sshd.real.served(NAME, port::GREETER), 0);
}

#[test]
fn other_proxies_behind_ssh() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    sshd.configure_client(&place.world);
    place.world.allow_proxy(PORT);
    let squid = proxies::squid(&place.world, 3128, Squid::Open, DENIED);
    let microsocks = proxies::microsocks_at(&place.world, 1081, None);
    place.visit(
        &[
            &format!("ssh://far@10.77.0.1:{PORT}"),
            &squid.url_at("http", NAME),
            &microsocks.url_at("socks5h", ADDRESS),
        ],
        &[(&greeter(), GREETED), (&greeter_address(), GREETED)],
    );
    sshd.real.wait_served(NAME, squid.port(), 1);
    squid.wait_served(ADDRESS, microsocks.port(), 1);
    microsocks.wait_served(NAME, port::GREETER, 2);
    microsocks.wait_served(ADDRESS, port::GREETER, 2);
}

/// It is refused before anything starts.
#[test]
fn ssh_after_another_hop_is_refused_with_words() {
    let place = Place::new();
    let done = place.through(&["http://10.77.0.1:3128", &format!("ssh://far@{NAME}:{PORT}")], "true").run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains(&format!("hop 2, ssh://far@{NAME}:{PORT}")), "{done}");
    assert!(done.stderr.contains("first hop"), "{done}");
}
