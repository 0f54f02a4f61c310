//! Relays on machines that the test chooses.

use std::path::PathBuf;
use std::time::Duration;

use underpass_tests::proxies::Key;
use underpass_tests::{Command, Running, World, artifacts};

/// Writes the configuration of a relay with this key that serves one client; its record is `NAME.audit`.
pub(crate) fn configuration(world: &World, name: &str, port: u16, own: &Key, client: &Key) -> PathBuf {
    let file = |end: &str| world.directory().join(format!("{name}.{end}"));
    let text = format!(
        "listen = '[::]:{port}'\nkey = '{key}'\nauthorized-keys = '{keys}'\nallow-udp = true\n\
         [limits]\nnew = 100000\n\
         [audit]\nto = '{audit}'\n\
         [[rule]]\naddress = ['10.77.0.1', '10.99.0.1', '10.0.0.0/8']\nprivate = true\nverdict = 'permit'\n",
        key = own.path.display(),
        keys = file("keys").display(),
        audit = file("audit").display(),
    );
    std::fs::write(file("keys"), format!("{} somebody\n", client.pin)).expect("the directory is ours");
    std::fs::write(file("toml"), text).expect("the directory is ours");
    file("toml")
}

/// Starts a relay by a shell on its machine. Its log, with all that it has to say, is `NAME.log`.
pub(crate) fn start(world: &World, shell: Command, name: &str) -> Running {
    let file = |end: &str| world.directory().join(format!("{name}.{end}"));
    let shell = shell.args(["-c", r#"exec "$@" 2>>"$0""#]).arg(file("log"));
    let relay = shell.arg(artifacts::agent()).args(["relay", "--config"]).arg(file("toml"));
    relay.env("UNDERPASS_LOG", "debug").limit(Duration::MAX).spawn()
}

/// The URL of a relay with this key at this place, for this client.
pub(crate) fn url(host: &str, port: u16, own: &Key, client: &Key) -> String {
    let pin = own.pin.replace('+', "%2B");
    format!("relay://{host}:{port}?pin={pin}&key={}", client.path.display())
}

/// What a relay has written, its record or its log.
pub(crate) fn written(world: &World, name: &str, end: &str) -> String {
    std::fs::read_to_string(world.directory().join(format!("{name}.{end}"))).expect("it is there")
}
