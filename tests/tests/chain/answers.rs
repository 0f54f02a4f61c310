//! What the exit says is what the program gets, as if it had dialled by itself.

use underpass_tests::proxies;
use underpass_tests::servers::port;

use crate::place::{ADDRESS, DENIED, GREETED, NAME, Place, greeter, visit};
use crate::relays::row;

#[test]
fn of_the_destination() {
    let row = row(2);
    let (refused, denied) = (format!("{NAME}:{}", port::REFUSED), format!("{NAME}:{DENIED}"));
    let refused_address = format!("{ADDRESS}:{}", port::REFUSED);
    let (host, network) = (format!("10.99.0.77:{}", port::GREETER), format!("10.99.0.78:{}", port::GREETER));
    let unknown = format!("no-such-name.test:{}", port::GREETER);
    let well = greeter();
    row.place.visit(
        &row.urls(),
        &[
            (&refused, "ECONNREFUSED"),
            (&refused_address, "ECONNREFUSED"),
            (&denied, "EACCES"),
            (&unknown, "EHOSTUNREACH"),
            (&host, "EHOSTUNREACH"),
            (&network, "ENETUNREACH"),
            (&well, GREETED),
        ],
    );
}

#[test]
fn of_a_destination_that_is_silent() {
    let row = row(2);
    let silent = format!("10.99.0.66:{}", port::GREETER);
    let text = format!("proxy = {:?}\ndeadline = 8\n", row.urls());
    let args = crate::place::visit("blocking", [silent.as_str(), greeter().as_str()]);
    let done = row.place.configured("chain.toml", &text, "python3").args(args).run();
    assert_eq!(done.success(), format!("ETIMEDOUT\n{GREETED}\n"));
}

/// A hop that is down is no refusal, wherever it stands.
#[test]
fn of_a_relay_that_is_down() {
    let row = row(3);
    let well = greeter();
    for dead in [2, 1, 0] {
        row.relays[dead].real.kill();
        row.place.visit(&row.urls(), &[(&well, "ENETUNREACH")]);
    }
    row.relays.iter().for_each(|relay| relay.real.revive(&row.place.world));
    row.place.visit(&row.urls(), &[(&well, GREETED)]);
}

/// It says so of itself, and not of the proxy that it is asked for: nothing passes that over, and the rest of a burst is
/// later.
#[test]
fn of_a_relay_that_is_asked_too_fast() {
    const BURST: usize = 12;
    let place = Place::new();
    let world = &place.world;
    let key = proxies::key(world, "client");
    let relay = proxies::relay_with(world, 4431, &[&key], DENIED, "[limits]\nnew = 5\n").allowed(world);
    let last = proxies::microsocks_at(world, 1081, None);
    let hops = [relay.url(&key), last.url_at("socks5h", NAME)];
    let text = format!("[chain.main]\nkind = 'dynamic'\nhops = {hops:?}\n");
    let target = greeter();
    let args = visit("nonblocking", [target.as_str(); BURST]);
    let done = place.configured("fast.toml", &text, "python3").args(args).run();
    assert_eq!(done.success(), format!("{GREETED}\n").repeat(BURST));
    last.wait_served(NAME, port::GREETER, BURST);
    assert_eq!(last.served(NAME, port::GREETER), BURST);
}
