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

#[test]
fn ssh_behind_other_proxies() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    sshd.configure_client(&place.world);
    let squid = proxies::squid(&place.world, 3128, Squid::Open, DENIED);
    place.world.allow_proxy(3128);
    let refused = format!("{ADDRESS}:{}", port::REFUSED);
    let chain = [squid.url_at("http", "10.77.0.1"), format!("ssh://far@{NAME}:{PORT}")];
    let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
    place.visit(&chain, &[(&greeter(), GREETED), (&greeter_address(), GREETED), (&refused, "ECONNREFUSED")]);
    squid.wait_served(NAME, PORT, 2);
    sshd.real.wait_served(NAME, port::GREETER, 2);
    place.curl(&chain);
}

#[test]
fn ssh_between_other_proxies() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    sshd.configure_client(&place.world);
    let squid = proxies::squid(&place.world, 3128, Squid::Open, DENIED).allowed(&place.world);
    let microsocks = proxies::microsocks_at(&place.world, 1081, None);
    place.visit(
        &[&squid.url_as("http"), &format!("ssh://far@{NAME}:{PORT}"), &microsocks.url_at("socks5h", NAME)],
        &[(&greeter(), GREETED), (&greeter_address(), GREETED)],
    );
    microsocks.wait_served(NAME, port::GREETER, 2);
    sshd.real.wait_served(NAME, microsocks.port(), 1);
    squid.wait_served(NAME, PORT, 1);
}

/// The user's configuration says so: who he is, is shown once. A shared connection says only that the
/// other side has refused ("Session open refused by peer", mux.c), not why.
#[test]
fn connections_share_one_of_ssh() {
    let place = Place::new();
    let sshd = proxies::sshd(&place.world, PORT);
    let socket = place.world.directory().join("home/.ssh/shared").display().to_string();
    let shared = format!("ControlMaster auto\nControlPath {socket}\nControlPersist 20\n");
    sshd.configure_client_with(&place.world, &shared);
    place.world.allow_proxy(PORT);
    let url = format!("ssh://far@10.77.0.1:{PORT}");
    let refused = format!("{ADDRESS}:{}", port::REFUSED);
    place.visit(&[&url], &[(&greeter(), GREETED), (&refused, "ENETUNREACH"), (&greeter_address(), GREETED)]);
    place.curl(&[&url]);
    sshd.real.wait_served(NAME, port::GREETER, 2);
    assert_eq!(sshd.real.log().matches("Accepted publickey for far").count(), 1, "{}", sshd.real.log());
}

/// They would be two over one connection; ssh itself can do that better.
#[test]
fn ssh_after_ssh_is_refused_with_words() {
    let place = Place::new();
    let url = format!("ssh://far@{NAME}:{PORT}");
    let done = place.through(&[&url, &url], "true").run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("ProxyJump"), "{done}");
}
