//! A browser, and its doors past a proxy (L33): WebRTC, QUIC, and names by its own resolver.

use std::time::Duration;

use underpass_tests::{Command, World};

use crate::{PAGES, Place};

fn chromium(world: &World, command: Command, url: &str) -> Command {
    let quic = format!("--origin-to-force-quic-on=web.test:{PAGES}");
    let line = [
        "--headless=new",
        // Root and a namespace's only user have no sandbox of its kind.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--ignore-certificate-errors",
        "--enable-features=AsyncDns",
        "--enable-quic",
        &quic,
        "--timeout=60000",
        "--virtual-time-budget=8000",
        "--dump-dom",
    ];
    let profile = format!("--user-data-dir={}/profile", world.directory().display());
    command.args(line).arg(profile).arg(url).limit(Duration::from_secs(120))
}

#[test]
fn chromium_loads_a_page_and_its_side_doors_are_shut() {
    let place = Place::new().pages();
    let url = format!("http://web.test:{}/doors", PAGES + 1);
    for tier in ["guard", "sealed", "auto"] {
        let done = chromium(&place.world, place.under(tier, "chromium"), &url).run();
        // What the page's script has told, not its text.
        let told = done.stdout.split_once("id=\"told\">").and_then(|(_, rest)| rest.split_once("</p>"));
        let told = told.map(|(told, _)| told).unwrap_or_default();
        // WebRTC has looked for its addresses; QUIC, which the far end does not speak, was tried.
        for word in ["offered", "failed"] {
            assert!(told.contains(word), "{tier}: {word} is not in {told:?}: {done}");
        }
        place.no_leaks();
    }
    // The control: without a wrapper it asks the name server, at the least.
    let mut browser = chromium(&place.world, place.world.client("chromium"), &url).spawn();
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    while place.world.leaks() == 0 && !browser.has_ended() && std::time::Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(place.world.leaks(), 0, "{}", browser.end());
}
