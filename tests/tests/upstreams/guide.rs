//! docs/guide.md as it stands there: each section's commands are run one block after another, and the proxies' records
//! say which way was taken.
//!
//! The hosts are made true as for the recipes; `www.example` is a web server beyond. What is replaced nonetheless, each test lists.

use std::time::Duration;

use underpass_tests::proxies;
use underpass_tests::{Running, artifacts};

use crate::place::Place;
use crate::recipes::document::Recipe;
use crate::recipes::town::{open_low_ports, shell, town};

const DOCUMENT: &str = include_str!("../../../docs/guide.md");
/// What the web server sends.
const PAGE: &str = "the page of www.example\n";

/// The headings that have a test here.
const TESTED: [&str; 10] = [
    "The first run",
    "Through a proxy",
    "Without naming the proxy each time",
    "From proxychains",
    "From torsocks",
    "From ssh -D",
    "From graftcp",
    "In a CI job",
    "A relay",
    "How much is held",
];

#[test]
fn each_section_has_a_test() {
    let headings: Vec<String> = Recipe::all_of(DOCUMENT).into_iter().map(|section| section.heading).collect();
    assert_eq!(headings, TESTED);
}

/// A town with a web server beyond, on port 80.
fn town_with_web() -> Place {
    let place = town();
    open_low_ports(&place);
    let site = place.world.directory().join("site");
    std::fs::create_dir(&site).expect("the directory is ours");
    std::fs::write(site.join("index.html"), PAGE).expect("the directory is ours");
    let server = place.world.far("python3").args(["-m", "http.server", "80", "--directory"]).arg(site);
    server.limit(Duration::MAX).spawn().detach();
    place.world.wait_listening(80);
    place
}

/// Runs the shell blocks of a section, with these replacements each of which is in one of them; what each has said.
#[track_caller]
fn run(place: &Place, heading: &str, replacements: &[(&str, &str)]) -> Vec<String> {
    let section = section(heading);
    let blocks = section.blocks();
    for (there, _) in replacements {
        assert!(blocks.iter().any(|block| block.1.contains(there)), "{heading}: no {there:?} to replace");
    }
    let replaced = |text: &str| {
        replacements.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    };
    let shells = blocks.iter().filter(|block| block.0 == "sh");
    let said: Vec<String> = shells
        .map(|block| shell(place, &format!("unset CI\n{}", replaced(block.1))).run().success().to_owned())
        .collect();
    assert!(!said.is_empty(), "{heading}: nothing to run");
    said
}

fn section(heading: &str) -> Recipe {
    Recipe::below_in(DOCUMENT, heading)
}

#[test]
fn the_first_run() {
    let said = run(&town(), "The first run", &[]);
    assert!(said[0].contains("hello.internal, which no resolver on this machine was asked for"), "{said:?}");
}

#[test]
fn through_a_proxy() {
    let place = town_with_web();
    let proxy = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    let said = run(&place, "Through a proxy", &[]);
    assert!(said[0].ends_with(&format!("{PAGE}200\n")), "{said:?}");
    proxy.wait_served("www.example", 80, 2);
}

#[test]
fn without_naming_the_proxy_each_time() {
    let place = town_with_web();
    let proxy = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    let said = &run(&place, "Without naming the proxy each time", &[])[0];
    for words in
        ["www.example:80: carried by", "mail.example:25: refused, permission denied", PAGE, "ROUND TRIP"]
    {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    proxy.wait_served("www.example", 80, 1);
}

#[test]
fn from_proxychains() {
    let place = town_with_web();
    let proxy = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    let file =
        place.write("proxychains.conf", "strict_chain\nproxy_dns\n[ProxyList]\nsocks5 10.77.0.1 1080\n");
    let file = file.display().to_string();
    let said = run(&place, "From proxychains", &[("/etc/proxychains.conf", &file)]);
    assert!(said[0].ends_with(PAGE), "{said:?}");
    proxy.wait_served("www.example", 80, 1);
}

/// Tor is another machine's here, and a proxy that tells nothing apart.
#[test]
fn from_torsocks() {
    let place = town_with_web();
    let tor = proxies::microsocks_at(&place.world, 9050, None).allowed(&place.world);
    let elsewhere =
        [("--address 127.0.0.1", "--address 10.77.0.1"), ("socks5h://127.0.0.1:", "socks5h://10.77.0.1:")];
    // microsocks takes no credentials that it does not know.
    let plain = [(" -i ", " "), ("?isolate=program", "")];
    let said = run(&place, "From torsocks", &[elsewhere, plain].concat());
    assert_eq!(said, [PAGE, PAGE]);
    tor.wait_served("www.example", 80, 2);
}

#[test]
fn from_ssh() {
    let place = town_with_web();
    let sshd = proxies::sshd(&place.world, 2222);
    sshd.configure_client(&place.world);
    place.world.allow_proxy(2222);
    let said = run(&place, "From ssh -D", &[("ssh://ann@gate.example", "ssh://far@gate.example:2222")]);
    assert_eq!(said, [PAGE.to_owned(), PAGE.repeat(2)]);
    sshd.real.wait_served("www.example", 80, 3);
}

#[test]
fn from_graftcp() {
    let place = town_with_web();
    let proxy = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    let said = run(&place, "From graftcp", &[]);
    assert!(said[0].starts_with(PAGE) && said[0].contains("statically linked"), "{said:?}");
    proxy.wait_served("www.example", 80, 1);
}

#[test]
fn in_a_ci_job() {
    let place = town_with_web();
    let proxy = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    assert_eq!(run(&place, "In a CI job", &[]), [PAGE.repeat(2)]);
    proxy.wait_served("www.example", 80, 2);
}

/// The relay's blocks are run on its side. Its web server is at an address that a relay refuses unless a rule names it.
#[test]
fn a_relay() {
    let place = town_with_web();
    let section = section("A relay");
    let blocks = section.blocks();
    let [(_, relay_keys), (_, client_keys), (_, serves), (_, uses)] = blocks[..] else {
        panic!("{blocks:?}")
    };
    let private = "address = \"10.99.0.1\"\nverdict = \"permit\"";
    let far = |script: &str| {
        let directory = artifacts::agent().parent().expect("a file has a directory").display().to_string();
        place.world.far("sh").env("PATH", format!("{directory}:/usr/bin:/bin")).args(["-ec", script])
    };
    assert!(relay_keys.contains("verdict = \"permit\""));
    let said = far(&relay_keys.replace("verdict = \"permit\"", private)).run().success().to_owned();
    let url = said.lines().last().expect("the URL").to_owned();
    let said = shell(&place, client_keys).run().success().to_owned();
    place.write("authorized-keys", &format!("{}\n", said.lines().last().expect("the client's line")));
    let _relay: Running = far(&format!("exec {}", serves.trim())).limit(Duration::MAX).spawn();
    place.world.allow_proxy(443);
    place.world.wait_listening(443);
    let done = shell(&place, uses).env("URL", url).run();
    assert_eq!(done.success(), PAGE);
}

#[test]
fn how_much_is_held() {
    let place = town_with_web();
    let proxy = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    let said = &run(&place, "How much is held", &[])[0];
    assert_eq!(said.matches(PAGE).count(), 3, "{said}");
    proxy.wait_served("www.example", 80, 3);
}
