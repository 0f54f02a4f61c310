//! A relay from its key to its end.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use underpass_tests::{artifacts, servers};

use crate::place::{EVERYTHING_HERE, NAME, PORT, Place, banner};

#[test]
fn keygen_says_what_the_other_side_has_to_know() {
    let place = Place::without_relay("authorized-keys = \"authorized\"\n");
    let said =
        place.keygen(&["--relay", "--name", "relay.test", "--name", "fd77::1", "--out", "new/relay.key"]);
    let pin = said.lines().find_map(|line| line.strip_prefix("Pin:")).expect("it says the pin").trim();
    assert!(said.contains(&format!("relay://relay.test:443?pin={pin}\n")), "{said}");
    assert!(said.ends_with(&format!("relay://[fd77::1]:443?pin={pin}\n")), "{said}");
    // As others compute it.
    let script = "openssl x509 -in new/relay.key.crt -pubkey -noout | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | openssl base64";
    let computed = place.world.far("sh").args(["-c", script]).run().success();
    assert_eq!(pin, format!("sha256//{}", computed.trim()));
    let mode = |file: &str| {
        let found = std::fs::metadata(place.world.directory().join(file)).expect("it was made");
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("new/relay.key"), mode("new")), (0o600, 0o700));
    // Nothing is overwritten, and the key is nowhere but in its file.
    let again = place.world.far(artifacts::agent()).args(["keygen", "--out", "new/relay.key"]).run();
    assert_eq!(again.code(), 125, "{again}");
    assert!(!said.contains("PRIVATE"));
    // Where nothing is said, it is where the agent looks for it.
    let home = place.world.far(artifacts::agent()).arg("keygen").run().success();
    assert!(home.contains("/home/.config/underpass/client.key\n"), "{home}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let place = Place::without_relay(&format!("authorized-keys = \"authorized\"\n{EVERYTHING_HERE}"));
    let key = place.world.directory().join("relay.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).expect("it is ours");
    let done = place.relay_command().run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("relay.key: others have access to it"), "{done}");
}

#[test]
fn nobody_is_served_anonymously_but_on_loopback() {
    let place = Place::without_relay("anonymous = true\n");
    let done = place.relay_command().run();
    assert_eq!(done.code(), 125, "{done}");
    assert!(done.stderr.contains("loopback"), "{done}");
    let place = Place::without_relay("");
    assert_eq!(place.relay_command().run().code(), 125);
}

#[test]
fn a_key_that_is_taken_away_is_refused_from_then_on() {
    let mut place = Place::new(EVERYTHING_HERE);
    place.is_served();
    place.write("authorized", "# nobody\n");
    place.relay().signal(Signal::HUP);
    let refused = || !place.curl().arg(banner()).run().status.success();
    let limit = std::time::Instant::now() + underpass_tests::PATIENCE;
    while !refused() {
        assert!(std::time::Instant::now() < limit, "it is still served");
    }
}

#[test]
fn a_relay_ends_when_it_is_told_to_and_writes_down_what_it_knew() {
    let mut place = Place::new(EVERYTHING_HERE);
    let mut open =
        place.script("relay_h2.py", &["wait", &format!("{NAME}:{}", servers::port::GREETER)]).spawn();
    assert_eq!((open.next_line(), open.next_line()), ("200".to_owned(), "hello".to_owned()));
    let relay = place.take_relay();
    relay.signal(Signal::TERM);
    assert!(relay.wait().status.success());
    assert_eq!(open.next_line(), "cut");
    assert_eq!(place.audit(1)[0]["reason"], "the relay has ended");
}

/// As systemd passes it (sd_listen_fds(3)).
#[test]
fn a_socket_may_be_inherited() {
    let place = Place::without_relay(&format!("authorized-keys = \"authorized\"\n{EVERYTHING_HERE}"));
    let settings = std::fs::read_to_string(place.world.directory().join("relay.toml")).expect("it is there");
    place.write("relay.toml", &settings.replace(&format!("\"10.77.0.1:{PORT}\""), "\"systemd\""));
    let none = place.relay_command().run();
    assert_eq!(none.code(), 125, "{none}");
    let script = "import os, socket, sys
sock = socket.create_server(('10.77.0.1', 4433))
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])";
    let relay = place.world.far("python3").args(["-c", script]).arg(artifacts::agent());
    let _relay = relay.args(["relay", "--config", "relay.toml"]).limit(std::time::Duration::MAX).spawn();
    place.world.wait_listening(PORT);
    place.is_served();
}
