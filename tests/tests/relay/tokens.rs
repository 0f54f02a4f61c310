//! Clients that have no key, but a token: who shows the right one is served, and all others hear one constant answer.

use underpass_tests::Command;
use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, PORT, Place, banner};

const TOKEN: &str = "open sesame";

/// A relay that knows a key, and the token of `browser`.
pub(crate) fn place() -> Place {
    let mut place = Place::without_relay(&format!(
        "authorized-keys = \"authorized\"\ntokens = \"tokens\"\n{EVERYTHING_HERE}"
    ));
    let script = "printf %s \"$1\" | openssl dgst -sha256 -binary | openssl base64";
    let digest = place.world.far("sh").args(["-c", script, "sh", TOKEN]).run().success();
    place.write("tokens", &format!("sha256//{} browser\n", digest.trim()));
    place.start();
    place
}

/// The head of what curl is answered instead of a tunnel.
fn head(curl: Command, target: &str) -> Vec<String> {
    let done = curl.args(["-v", target]).run();
    assert!(!done.status.success(), "{done}");
    done.stderr.lines().filter_map(|line| line.strip_prefix("< ")).map(str::to_owned).collect()
}

#[test]
fn whoever_shows_none_hears_one_constant_answer() {
    let place = place();
    let nobody = head(place.bare_curl(), &banner());
    assert!(nobody[0].starts_with("HTTP/1.1 407 "), "{nobody:?}");
    for target in ["http://nowhere.test/", "http://10.1.1.1:25/"] {
        assert_eq!(head(place.bare_curl(), target), nobody, "{target}");
        assert_eq!(head(place.bare_curl().args(["--proxy-user", "me:wrong"]), target), nobody, "{target}");
    }
    // And one body, whatever was asked, in both protocols.
    let said = place.says("relay_tokens.py", &["body", &format!("{NAME}:{}", port::ECHO)]);
    let first = said.lines().next().expect("it has said something");
    assert!(first.starts_with("(407, ") && first.contains("wants to know who asks.\\n"), "{first}");
    assert!(said.lines().all(|line| line == first) && said.lines().count() == 11, "{said}");
    // A key that is not known is refused before that, by an alert.
    place.key("other.key", "other");
    let other = place.curl_with("other.key").args(["-v", &banner()]).run();
    assert!(other.stderr.contains("alert access denied") && !other.stderr.contains("< HTTP"), "{other}");
}

/// Who guesses is written down, once a second, and nothing of what was asked for is: it was not judged.
#[test]
fn whoever_guesses_is_written_down() {
    let place = place();
    head(place.bare_curl(), &banner());
    head(place.bare_curl().args(["--proxy-user", "me:wrong"]), &banner());
    let lines = place.audit(1);
    let line = lines[0].as_object().expect("a line is an object");
    assert_eq!(line.keys().collect::<Vec<_>>(), ["reason", "time", "verdict"]);
    assert_eq!((&line["verdict"], &line["reason"]), (&"deny".into(), &"a token that is not known".into()));
}

#[test]
fn whoever_shows_the_right_one_is_served() {
    let place = place();
    let basic = place.bare_curl().args(["--proxy-user", &format!("anybody:{TOKEN}"), &banner()]);
    assert_eq!(basic.run().success(), "hello\n");
    let field = format!("Proxy-Authorization: Bearer {TOKEN}");
    let bearer = place.bare_curl().args(["--proxy-header", &field, &banner()]);
    assert_eq!(bearer.run().success(), "hello\n");
    place.is_served();
    let clients: Vec<_> = place.audit(3).iter().map(|line| line["client"].clone()).collect();
    assert_eq!(clients, ["browser", "browser", "me"]);
}

/// Our own client has a token for a relay that it takes for any proxy inside TLS, which is HTTP/1.1.
#[test]
fn a_program_is_carried_by_a_token() {
    let place = place();
    let certificate = place.world.directory().join("relay.key.crt");
    let url = format!("https://anybody:open%20sesame@10.77.0.1:{PORT}?ca={}", certificate.display());
    let curl = place.world.wrapped(&url, "curl").args(["-sS", "--http0.9", "--noproxy", "*", &banner()]);
    assert_eq!(curl.run().success(), "hello\n");
    let line = &place.audit(1)[0];
    assert_eq!((&line["client"], &line["host"]), (&"browser".into(), &NAME.into()), "{line}");
}

#[test]
fn one_client_has_so_many_sessions_and_no_more() {
    let place = place();
    let greeter = format!("{NAME}:{}", port::GREETER);
    for (client, token, last) in [("browser", Some(TOKEN), "('GOAWAY', 6)"), ("me", None, "('cut', 6)")] {
        let arguments: Vec<_> = ["sessions", &greeter].into_iter().chain(token).collect();
        let said = place.says("relay_tokens.py", &arguments);
        let mut counts = [last, "('200', 64)"];
        counts.sort_unstable();
        assert_eq!(said, format!("{}\nanother is served\n", counts.join(" ")), "{client}");
        // It is written down, once a second; what was asked for, if anything was, is not in it.
        let line = place.line(|line| line["client"] == client && line.get("host").is_none());
        let keys: Vec<_> = line.as_object().expect("a line is an object").keys().collect();
        assert_eq!(keys, ["client", "key", "reason", "time", "verdict"]);
        assert_eq!(line["verdict"], "deny");
        assert_eq!(line["reason"], "the client has as many sessions as it may");
    }
    // Nobody else has fewer for that.
    place.is_served();
}
