//! A world with servers, a relay on its far side, and clients of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use underpass_tests::servers::{self, port};
use underpass_tests::{Command, Finished, PATIENCE, Running, World, artifacts};

/// Where the relay listens.
pub(crate) const PORT: u16 = 4433;
/// The destinations' name, which only the far side can resolve.
pub(crate) const NAME: &str = "web.test";

/// Rules for the destinations: private addresses of the relay's own machine have to be named.
pub(crate) const EVERYTHING_HERE: &str = r#"
[[rule]]
name = "here"
address = ["10.99.0.1", "fd99::1", "10.99.0.77", "10.99.0.66"]
verdict = "permit"
"#;

/// A world, a relay, and the key of one client, `client.key`, whom it knows as `me`.
pub(crate) struct Place {
    pub(crate) world: World,
    relay: Option<Running>,
}

impl Place {
    /// A relay with these lines in its configuration, beside where it listens, its key, and its clients.
    pub(crate) fn new(lines: &str) -> Self {
        let mut place = Self::without_relay(&format!("authorized-keys = \"authorized\"\n{lines}"));
        place.start();
        place
    }

    /// With everything ready but the relay.
    pub(crate) fn without_relay(lines: &str) -> Self {
        let world = World::new();
        servers::start(&world);
        let place = Self { world, relay: None };
        place.world.allow_proxy(PORT);
        place.keygen(&["--relay", "--name", "10.77.0.1", "--name", "relay.test", "--out", "relay.key"]);
        let line = place.key("client.key", "me");
        place.write("authorized", &line);
        let settings = format!("listen = \"10.77.0.1:{PORT}\"\nkey = \"relay.key\"\n{lines}");
        let audit = if lines.contains("[audit]") { "" } else { "\n[audit]\nto = \"./audit\"\n" };
        place.write("relay.toml", &format!("{settings}{audit}"));
        place
    }

    /// Starts the relay, again if it has ended.
    pub(crate) fn start(&mut self) {
        self.relay = Some(self.relay_command().limit(Duration::MAX).spawn());
        self.world.wait_listening(PORT);
    }

    /// The relay as a program on the far side.
    pub(crate) fn relay_command(&self) -> Command {
        self.world.far(artifacts::agent()).args(["relay", "--config", "relay.toml"])
    }

    pub(crate) fn relay(&mut self) -> &mut Running {
        self.relay.as_mut().expect("it was started")
    }

    /// The relay, which is no longer looked after.
    pub(crate) fn take_relay(&mut self) -> Running {
        self.relay.take().expect("it was started")
    }

    /// Makes a key, and gives what was said.
    pub(crate) fn keygen(&self, arguments: &[&str]) -> String {
        self.world.far(artifacts::agent()).arg("keygen").args(arguments).run().success()
    }

    /// Makes a client's key, and gives its line for the authorized keys.
    pub(crate) fn key(&self, file: &str, name: &str) -> String {
        let said = self.keygen(&["--out", file, "--name", name]);
        let line = said.lines().last().expect("the last line is for the other side");
        format!("{line}\n")
    }

    /// Writes a file into the world's directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.world.directory().join(name);
        std::fs::write(&path, text).expect("the directory is ours");
        path
    }

    /// curl on the client side through the relay, with the known client's key.
    pub(crate) fn curl(&self) -> Command {
        self.curl_with("client.key")
    }

    /// The same with another key.
    pub(crate) fn curl_with(&self, key: &str) -> Command {
        self.bare_curl().args(["--proxy-cert", &format!("{key}.crt"), "--proxy-key", key])
    }

    /// The same without one.
    pub(crate) fn bare_curl(&self) -> Command {
        let curl = self.world.client("curl").args(["-sS", "-p", "--http0.9", "-m", "60", "--noproxy", ""]);
        curl.args(["--proxy-cacert", "relay.key.crt", "-x", &format!("https://10.77.0.1:{PORT}")])
    }

    /// Fetches the greeting by curl.
    #[track_caller]
    pub(crate) fn is_served(&self) {
        assert_eq!(self.curl().arg(banner()).run().success(), "hello\n");
    }

    /// A script of `programs/`, with Debian's Python, which has Debian's h2.
    pub(crate) fn script(&self, name: &str, arguments: &[&str]) -> Command {
        let script = artifacts::workspace().join("tests/programs").join(name);
        self.world.client("/usr/bin/python3").arg(script).arg("10.77.0.1").args(arguments)
    }

    /// Runs a script, which says what it has found.
    #[track_caller]
    pub(crate) fn says(&self, name: &str, arguments: &[&str]) -> String {
        self.script(name, arguments).run().success()
    }

    /// The lines of the audit, once there are so many.
    #[track_caller]
    pub(crate) fn audit(&self, lines: usize) -> Vec<serde_json::Value> {
        let found = self.audit_until(&format!("{lines} lines"), |found| found.len() >= lines);
        assert_eq!(found.len(), lines, "{found:?}");
        found
    }

    /// The first such line of the audit, once there is one.
    #[track_caller]
    pub(crate) fn line(&self, is_it: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let found = self.audit_until("another line", |found| found.iter().any(&is_it));
        found.into_iter().find(is_it).expect("it is there")
    }

    #[track_caller]
    fn audit_until(
        &self,
        wanted: &str,
        is_enough: impl Fn(&[serde_json::Value]) -> bool,
    ) -> Vec<serde_json::Value> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(self.world.directory().join("audit")).unwrap_or_default();
            // What has no newline yet is still being written.
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let found: Vec<_> =
                whole.map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
            if is_enough(&found) {
                return found;
            }
            assert!(Instant::now() < limit, "{wanted} is wanted:\n{text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.world.leaks(), 0, "{:?}", self.world.leaked());
        }
    }
}

/// The URL of the service that says hello.
pub(crate) fn banner() -> String {
    url(NAME, port::BANNER)
}

pub(crate) fn url(host: &str, port: u16) -> String {
    format!("http://{host}:{port}/")
}

/// What a relay has answered to curl: the status, and the error of its `Proxy-Status`.
#[track_caller]
pub(crate) fn refusal(curl: Command, url: &str) -> (u16, String) {
    let done: Finished = curl.args(["-v", "-o", "/dev/null", url]).run();
    let line = |start: &str| {
        let lines = done.stderr.lines().filter_map(|line| line.strip_prefix("< "));
        let found: Vec<_> = lines.filter_map(|line| line.strip_prefix(start)).collect();
        assert_eq!(found.len(), 1, "{start} in {done}");
        found[0].to_owned()
    };
    let status = line("HTTP/1.1 ");
    let field = line("Proxy-Status: underpass; error=");
    let error = field.split(';').next().unwrap_or_default();
    (status[..3].parse().expect("a status is a number"), error.to_owned())
}
