//! The proxies themselves, asked by curl without underpass: what fails here is no fault of ours.

use underpass_tests::proxies::{self, Dante, Real, Squid};
use underpass_tests::servers::port;

use crate::place::{ADDRESS, DENIED, NAME, Place};

#[track_caller]
fn curl(place: &Place, proxy: &Real, scheme: &str, arguments: &[&str]) {
    // For socks4 curl would resolve the name here.
    let host = if scheme == "socks4" { ADDRESS } else { NAME };
    let url = format!("http://{host}:{}/", port::BANNER);
    let command = place.world.client("curl").args(["-sS", "-p", "--http0.9", "--noproxy", "", "-m", "60"]);
    let done = command.args(arguments).args(["-x", &proxy.url_as(scheme), &url]).run();
    assert_eq!(done.stdout, "hello\n", "{done}\n{}", proxy.log());
    proxy.wait_served(host, port::BANNER, 1);
}

#[test]
fn each_proxy_serves_curl_and_writes_it_down() {
    let place = Place::new();
    let world = &place.world;
    let certificate = proxies::certificate(world, "good");
    let login = ("me", "password");
    let sshd = proxies::sshd(world, 2222);
    let start: [&(dyn Fn() -> (Real, &'static str) + Sync); 8] = [
        &|| (proxies::squid(world, 3128, Squid::Open, DENIED), "http"),
        &|| (proxies::squid(world, 3129, Squid::Basic(login.0, login.1), DENIED), "http"),
        &|| (proxies::squid(world, 3130, Squid::Digest(login.0, login.1), DENIED), "http"),
        &|| (proxies::squid(world, 3131, Squid::Tls(&certificate), DENIED), "https"),
        &|| (proxies::tinyproxy(world, 3132, None, &[port::BANNER]), "http"),
        &|| (proxies::privoxy(world, 3133, DENIED), "http"),
        &|| (proxies::dante_with(world, Dante::default()), "socks4"),
        &|| (proxies::ssh_dynamic(world, 1085, &sshd), "socks4a"),
    ];
    std::thread::scope(|scope| {
        for start in start {
            scope.spawn(|| {
                let (proxy, scheme) = start();
                let proxy = proxy.allowed(world);
                let authority = certificate.authority.display().to_string();
                curl(&place, &proxy, scheme, &["--proxy-anyauth", "--proxy-cacert", &authority]);
            });
        }
    });
    sshd.real.wait_served(NAME, port::BANNER, 1);
}
