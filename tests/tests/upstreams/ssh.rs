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
fn ssh_as_the_last_hop_after_an_http_proxy() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    sshd.configure_client(&place.world);
    let squid = proxies::squid(&place.world, 3128, Squid::Open, DENIED).allowed(&place.world);
    place.visit(
        &[&squid.url_as("http"), &format!("ssh://far@{NAME}:{PORT}")],
        &[(&greeter(), GREETED), (&greeter_address(), GREETED)],
    );
    sshd.real.wait_served(NAME, port::GREETER, 2);
    drop(sshd);
    squid.wait_served(NAME, PORT, 1);
}
