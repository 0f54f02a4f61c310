//! HTTP proxies: squid open, with Basic, with Digest and inside TLS; tinyproxy; privoxy.

use underpass_tests::proxies::{self, Certificate, Real, Squid};
use underpass_tests::servers::port;

use crate::place::{ADDRESS, DENIED, GREETED, NAME, Place, greeter, greeter_address};

const PORT: u16 = 3128;
/// Not the right password; a test looks for the word in what is written to people.
const WRONG: &str = "secret-but-wrong";

/// What must come of the greeter by name and address, of a refused port, of an unreachable host and of
/// a port that the proxy's rules forbid.
struct Outcomes {
    refused: &'static str,
    unreachable: &'static str,
    denied: &'static str,
}

/// squid tells the errno of its own `connect()` in `X-Squid-Error`.
const SQUID: Outcomes = Outcomes { refused: "ECONNREFUSED", unreachable: "EHOSTUNREACH", denied: "EACCES" };
/// tinyproxy answers 500 to each failure.
const TINYPROXY: Outcomes = Outcomes { refused: "ENETUNREACH", unreachable: "ENETUNREACH", denied: "EACCES" };
/// privoxy answers 503 to each failure.
const PRIVOXY: Outcomes = Outcomes { refused: "EHOSTUNREACH", unreachable: "EHOSTUNREACH", denied: "EACCES" };

fn check(place: &Place, proxy: &Real, url: &str, outcomes: &Outcomes) {
    let refused = format!("{ADDRESS}:{}", port::REFUSED);
    let unreachable = format!("10.99.0.77:{}", port::GREETER);
    let denied = format!("{NAME}:{DENIED}");
    place.visit(
        &[url],
        &[
            (&greeter(), GREETED),
            (&greeter_address(), GREETED),
            (&refused, outcomes.refused),
            (&unreachable, outcomes.unreachable),
            (&denied, outcomes.denied),
        ],
    );
    // One blocking, one nonblocking; the name went to the proxy as a name.
    proxy.wait_served(NAME, port::GREETER, 2);
    proxy.wait_served(ADDRESS, port::GREETER, 2);
}

#[test]
fn squid_for_everyone() {
    let place = Place::new();
    let proxy = proxies::squid(&place.world, PORT, Squid::Open, DENIED).allowed(&place.world);
    check(&place, &proxy, &proxy.url_as("http"), &SQUID);
}

#[test]
fn squid_with_basic_authentication() {
    let place = Place::new();
    let proxy = Squid::Basic("me", "pass word");
    let proxy = proxies::squid(&place.world, PORT, proxy, DENIED).allowed(&place.world);
    let url = |password: &str| format!("http://me:{password}@10.77.0.1:{PORT}");
    check(&place, &proxy, &url("pass%20word"), &SQUID);
    wrong_login(&place, &proxy, &url(WRONG));
    from_elsewhere(&place, &proxy);
}

#[test]
fn squid_with_digest_authentication() {
    let place = Place::new();
    let proxy = Squid::Digest("me", "pass word");
    let proxy = proxies::squid(&place.world, PORT, proxy, DENIED).allowed(&place.world);
    let url = |password: &str| format!("http://me:{password}@10.77.0.1:{PORT}");
    check(&place, &proxy, &url("pass%20word"), &SQUID);
    wrong_login(&place, &proxy, &url(WRONG));
}

fn wrong_login(place: &Place, proxy: &Real, url: &str) {
    let served = proxy.log().matches(" 200 ").count();
    place.visit(&[url], &[(&greeter(), "EACCES")]);
    place.visit(&[&format!("http://10.77.0.1:{}", proxy.port())], &[(&greeter(), "EACCES")]);
    assert_eq!(proxy.log().matches(" 200 ").count(), served, "{}", proxy.log());
}

/// Credentials from a file and from a variable, and neither in a command line.
fn from_elsewhere(place: &Place, proxy: &Real) {
    let before = proxy.served(NAME, port::GREETER);
    let file = place.write("login", "me:pass word\n");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let url = format!("http://10.77.0.1:{}?login-file={}", proxy.port(), file.display());
    place.visit(&[&url], &[(&greeter(), GREETED)]);
    let url = format!("http://10.77.0.1:{}?login-env=FAR_LOGIN", proxy.port());
    let command = place.through(&[&url], "python3").env("FAR_LOGIN", "me:pass word");
    let done = command.args(crate::place::visit("blocking", [greeter().as_str()])).run();
    assert_eq!(done.stdout, "greeted\n", "{done}");
    proxy.wait_served(NAME, port::GREETER, before + 3);
}

#[test]
fn squid_inside_tls_by_an_authority_of_our_own_and_by_a_pinned_key() {
    let place = Place::new();
    let certificate = proxies::certificate(&place.world, "good");
    let other = proxies::certificate(&place.world, "other");
    let proxy = proxies::squid(&place.world, PORT, Squid::Tls(&certificate), DENIED).allowed(&place.world);
    let url = |trust: String| format!("{}{trust}", proxy.url_as("https"));
    let by_authority = |certificate: &Certificate| url(format!("?ca={}", certificate.authority.display()));
    let by_pin = |certificate: &Certificate| url(format!("?pin={}", certificate.pin));

    check(&place, &proxy, &by_authority(&certificate), &SQUID);
    place.visit(&[&by_pin(&certificate)], &[(&greeter(), GREETED)]);
    proxy.wait_served(NAME, port::GREETER, 4);

    // Who it is, nobody can say: nothing is asked of it.
    for url in [url(String::new()), by_authority(&other), by_pin(&other)] {
        place.visit(&[&url], &[(&greeter(), "EACCES")]);
    }
    assert_eq!(proxy.served(NAME, port::GREETER), 4, "{}", proxy.log());
}

#[test]
fn a_certificate_that_has_expired_or_is_for_another_host_is_refused_unless_its_key_is_pinned() {
    let place = Place::new();
    let expired = proxies::expired_certificate(&place.world, "expired");
    let foreign = proxies::foreign_certificate(&place.world, "foreign");
    for (at, certificate) in [(PORT, expired), (PORT + 1, foreign)] {
        let proxy = proxies::squid(&place.world, at, Squid::Tls(&certificate), DENIED).allowed(&place.world);
        let by_authority = format!("{}?ca={}", proxy.url_as("https"), certificate.authority.display());
        place.visit(&[&by_authority], &[(&greeter(), "EACCES")]);
        assert!(!proxy.log().contains("CONNECT"), "{}", proxy.log());
        let by_pin = format!("{}?pin={}", proxy.url_as("https"), certificate.pin);
        place.visit(&[&by_pin], &[(&greeter(), GREETED)]);
        proxy.wait_served(NAME, port::GREETER, 2);
    }
}

/// Where the URL says nothing, the system's list counts: here with an authority of ours.
#[test]
fn squid_inside_tls_by_the_authorities_of_the_system() {
    let place = Place::new();
    let certificate = proxies::certificate(&place.world, "good");
    let other = proxies::foreign_certificate(&place.world, "other");
    let list = "/etc/ssl/certs/ca-certificates.crt";
    let mut bundle = std::fs::read_to_string(list).expect("ca-certificates is installed");
    for certificate in [&certificate, &other] {
        bundle += &std::fs::read_to_string(&certificate.authority).expect("it was made");
    }
    let bundle = place.write("bundle.pem", &bundle);
    place.world.client("mount").arg("--bind").arg(bundle).arg(list).run().success();
    let proxy = proxies::squid(&place.world, PORT, Squid::Tls(&certificate), DENIED).allowed(&place.world);
    place.visit(&[&proxy.url_as("https")], &[(&greeter(), GREETED)]);
    proxy.wait_served(NAME, port::GREETER, 2);
    let foreign = proxies::squid(&place.world, PORT + 1, Squid::Tls(&other), DENIED).allowed(&place.world);
    place.visit(&[&foreign.url_as("https")], &[(&greeter(), "EACCES")]);
    assert!(!foreign.log().contains("CONNECT"), "{}", foreign.log());
}

/// As people make them for a proxy of their own, and as curl takes them by `--proxy-cacert`.
#[test]
fn a_certificate_that_has_signed_itself_is_its_own_authority() {
    let place = Place::new();
    let certificate = proxies::self_signed_certificate(&place.world, "own");
    let proxy = proxies::squid(&place.world, PORT, Squid::Tls(&certificate), DENIED).allowed(&place.world);
    let authority = certificate.authority.display().to_string();
    let curl = place.world.client("curl").args(["-sS", "-p", "--http0.9", "-m", "60", "--noproxy", ""]);
    let curl = curl.args(["--proxy-cacert", &authority, "-x", &proxy.url_as("https")]);
    assert_eq!(curl.arg(format!("http://{NAME}:{}/", port::BANNER)).run().success(), "hello\n");
    place.visit(&[&format!("{}?ca={authority}", proxy.url_as("https"))], &[(&greeter(), GREETED)]);
    proxy.wait_served(NAME, port::GREETER, 2);
}

#[test]
fn a_proxy_without_tls_is_not_spoken_to_as_one_with_it() {
    let place = Place::new();
    let proxy = proxies::squid(&place.world, PORT, Squid::Open, DENIED).allowed(&place.world);
    place.visit(&[&proxy.url_as("https")], &[(&greeter(), "ECONNRESET")]);
    assert!(!proxy.log().contains("CONNECT"), "{}", proxy.log());
}

#[test]
fn tinyproxy_open_and_with_basic_authentication() {
    let place = Place::new();
    let open = proxies::tinyproxy(&place.world, PORT, None, &[]).allowed(&place.world);
    check(&place, &open, &open.url_as("http"), &TINYPROXY);
    let login = Some(("me", "password"));
    let proxy = proxies::tinyproxy(&place.world, PORT + 1, login, &[]).allowed(&place.world);
    check(&place, &proxy, &proxy.url_as("http"), &TINYPROXY);
    // It notes requests before it asks who it is.
    let wrong = format!("http://me:{WRONG}@10.77.0.1:{}", proxy.port());
    place.visit(&[&wrong], &[(&greeter(), "EACCES")]);
    place.visit(&[&format!("http://10.77.0.1:{}", proxy.port())], &[(&greeter(), "EACCES")]);
}

#[test]
fn privoxy_for_everyone() {
    let place = Place::new();
    let proxy = proxies::privoxy(&place.world, PORT, DENIED).allowed(&place.world);
    check(&place, &proxy, &proxy.url_as("http"), &PRIVOXY);
}

#[test]
fn curl_through_each() {
    let place = Place::new();
    let hop = [port::BANNER];
    let squid = proxies::squid(&place.world, PORT, Squid::Open, DENIED).allowed(&place.world);
    let tinyproxy = proxies::tinyproxy(&place.world, PORT + 1, None, &hop).allowed(&place.world);
    let privoxy = proxies::privoxy(&place.world, PORT + 2, DENIED).allowed(&place.world);
    for proxy in [&squid, &tinyproxy, &privoxy] {
        place.curl(&[&proxy.url_as("http")]);
        proxy.wait_served(NAME, port::BANNER, 1);
    }
}
