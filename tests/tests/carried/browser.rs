//! A browser, and its doors past a proxy (L33): WebRTC, QUIC, and names by its own resolver.

use std::time::Duration;

use underpass_tests::{Command, artifacts};

use crate::{PAGES, Place};

/// `home` is its user's; `alone` is whether it confines its processes, which it does for nobody who is root.
fn chromium(command: Command, home: &str, alone: bool, url: &str) -> Command {
    let quic = format!("--origin-to-force-quic-on=web.test:{PAGES}");
    let line = [
        "--headless=new",
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
    let profile = format!("--user-data-dir={home}/profile");
    let command = command.args((!alone).then_some("--no-sandbox")).args(line);
    command.arg(profile).arg(url).limit(Duration::from_secs(120))
}

#[test]
fn chromium_loads_a_page_and_its_side_doors_are_shut() {
    let place = Place::new().pages();
    let url = format!("http://web.test:{}/doors", PAGES + 1);
    let home = place.world.directory().display().to_string();
    for tier in ["guard", "sealed", "auto"] {
        let done = chromium(place.under(tier, "chromium"), &home, false, &url).run();
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
    let mut browser = chromium(place.world.client("chromium"), &home, false, &url).spawn();
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    while place.world.leaks() == 0 && !browser.has_ended() && std::time::Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(place.world.leaks(), 0, "{}", browser.end());
}

/// As an ordinary user has it: its processes are in namespaces and behind filters of its own.
#[test]
#[ignore = "long: a browser under each tier"]
fn chromium_keeps_its_own_sandbox() {
    let place = Place::new().pages();
    let url = format!("http://web.test:{}/page", PAGES + 1);
    let home = place.world.directory().join("h").display().to_string();
    // In the world of an ordinary user all others are names of that one.
    let (user, owner): (&[&str], &[&str]) = if rustix::process::geteuid().is_root() {
        (&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], &["-o", "65534", "-g", "65534"])
    } else {
        (&["unshare", "--user", "--map-user=1234", "--map-group=1234"], &[])
    };
    place.world.client("chmod").args(["711", "."]).run().success();
    place.world.client("install").args(["-d", "-m", "700"]).args(owner).arg(&home).run().success();
    for tier in ["hook", "guard", "sealed", "auto"] {
        let program = place.world.client(user[0]).args(&user[1..]).arg(artifacts::underpass());
        let program = program.args(["--tier", tier, "-x", place.proxy.url(), "--", "chromium"]);
        let program = program.env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
        let done = chromium(program, &home, true, &url).run();
        assert!(done.stdout.contains("a page of its own"), "{tier}: {done}");
        assert!(!done.stderr.contains("No usable sandbox"), "{tier}: {done}");
        place.no_leaks();
    }
}
