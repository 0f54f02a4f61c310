//! Who is not served hears an alert of TLS, or, where tokens are known, one constant answer; nothing is looked up
//! or dialled for them.

use std::time::Duration;

use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, PORT, Place, banner};

#[test]
fn without_a_known_key_there_is_an_alert_and_no_word_of_http() {
    let place = Place::new(EVERYTHING_HERE);
    place.key("other.key", "other");
    for (curl, alert) in [
        (place.bare_curl(), "alert certificate required"),
        (place.curl_with("other.key"), "alert access denied"),
    ] {
        let done = curl.args(["-v", &banner()]).run();
        assert!(!done.status.success() && done.stderr.contains(alert), "{done}");
        assert!(!done.stderr.contains("< HTTP"), "{done}");
    }
    let old = place.says("relay_h1.py", &["tls12", &format!("{NAME}:{}", port::BANNER)]);
    assert_eq!(old, "TLSV1_ALERT_PROTOCOL_VERSION\n");
    place.is_served();
    // Of the others there is no line: nothing was judged.
    place.audit(1);
}

#[test]
fn a_client_does_not_take_another_for_the_relay() {
    let place = Place::new(EVERYTHING_HERE);
    place.keygen(&["--relay", "--name", "10.77.0.1", "--out", "wrong.key"]);
    let curl = place.world.client("curl").args([
        "-sS",
        "-p",
        "-m",
        "60",
        "--noproxy",
        "",
        "--proxy-cacert",
        "wrong.key.crt",
    ]);
    let done = curl.args(["-x", &format!("https://10.77.0.1:{PORT}"), &banner()]).run();
    assert_eq!(done.code(), 60, "{done}");
}

/// Without TLS, and with what is no TLS.
#[test]
fn whoever_speaks_no_tls_is_told_nothing() {
    let place = Place::new(EVERYTHING_HERE);
    let at = format!("{NAME}:{}", port::BANNER);
    assert_eq!(place.says("relay_h1.py", &["plain", &at]), "alert\n");
    place.is_served();
    place.audit(1);
}

#[test]
fn a_captured_connection_says_nothing_twice() {
    let place = Place::new(EVERYTHING_HERE);
    let at = format!("{NAME}:{}", port::BANNER);
    let said = place.says("relay_h1.py", &["replay", &at, "1000"]);
    assert_eq!(said, "served once, and 1000 times not\n");
    place.audit(1);
}

/// One bit of what a client sends is another on its way: whatever bit it is, nothing else is asked for.
#[test]
fn a_flipped_bit_never_asks_for_anything_else() {
    let place = Place::new(EVERYTHING_HERE);
    let script = place.script("relay_h1.py", &["flip", &format!("{NAME}:{}", port::ECHO)]);
    let said = script.limit(Duration::from_secs(300)).run().success();
    assert!(said.ends_with("True\n"), "{said}");
    assert!(said.starts_with("['HTTP/1.1 200', 'refused']") || said.starts_with("['refused']"), "{said}");
    let audit = std::fs::read_to_string(place.world.directory().join("audit")).expect("there is a line");
    let other =
        audit.lines().find(|line| !line.contains(&format!(r#""host":"{NAME}","port":{}"#, port::ECHO)));
    assert_eq!(other, None);
}
