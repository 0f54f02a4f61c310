//! Who a relay is, and who its client is.

use underpass_tests::proxies;
use underpass_tests::servers::port;

use crate::place::{GREETED, NAME, greeter};
use crate::relays::row;

#[test]
fn a_wrong_pin_is_refused_wherever_the_relay_stands() {
    let row = row(2);
    let well = greeter();
    let other = format!("sha256//{}", "A".repeat(43) + "=");
    for place in [0, 1] {
        let mut urls = row.urls.clone();
        let (start, rest) = urls[place].split_once("pin=").expect("it has one");
        let (_, key) = rest.split_once('&').expect("it has a key");
        urls[place] = format!("{start}pin={other}&{key}");
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        row.place.visit(&urls, &[(&well, "EACCES")]);
    }
    assert_eq!(row.relays[1].real.served(NAME, port::GREETER), 0);
    row.place.visit(&row.urls(), &[(&well, GREETED)]);
}

#[test]
fn a_key_that_a_relay_does_not_know_is_refused_wherever_it_stands() {
    let row = row(2);
    let well = greeter();
    let stranger = proxies::key(&row.place.world, "stranger");
    for place in [0, 1] {
        let mut urls = row.urls.clone();
        let known = row.keys[place].path.display().to_string();
        urls[place] = urls[place].replace(&known, &stranger.path.display().to_string());
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        row.place.visit(&urls, &[(&well, "EACCES")]);
    }
    assert_eq!(row.relays[1].real.served(NAME, port::GREETER), 0);
}

#[test]
fn a_key_that_is_renewed_is_shown_by_the_next_launch() {
    let row = row(1);
    let well = greeter();
    let mut lives = row.place.through(&row.urls(), "cat").spawn();
    row.place.visit(&row.urls(), &[(&well, GREETED)]);
    let stranger = proxies::key(&row.place.world, "stranger");
    for end in ["", ".crt"] {
        let of = |key: &proxies::Key| format!("{}{end}", key.path.display());
        std::fs::rename(of(&stranger), of(&row.keys[0])).expect("the directory is ours");
    }
    row.place.visit(&row.urls(), &[(&well, "EACCES")]);
    lives.close_input();
    assert_eq!(lives.wait().code(), 0);
}

#[test]
fn who_has_no_key_is_told_how_to_make_one() {
    let row = row(1);
    let (url, _) = row.urls[0].split_once("&key=").expect("it has a key");
    let done = row.place.through(&[url], "true").run();
    assert_eq!(done.code(), 125, "{done}");
    let words = "home/.config/underpass/client.key: there is no such key; underpass-agent keygen makes one";
    assert!(done.stderr.contains(words), "{done}");
    // And having done that, and told the relay, is served.
    let home = row.place.world.directory().join("home/.config/underpass");
    std::fs::create_dir_all(&home).expect("the directory is ours");
    for end in ["", ".crt"] {
        let name = format!("{}{end}", row.keys[0].path.display());
        std::fs::copy(name, home.join(format!("client.key{end}"))).expect("it is there");
    }
    row.place.curl(&[url]);
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let row = row(1);
    let loose = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&row.keys[0].path, loose).expect("it is ours");
    let done = row.place.through(&row.urls(), "true").run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("others have access to it; chmod 600"), "{done}");
}
