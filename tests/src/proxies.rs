//! Proxies on the far side: the fake one with its faults, and two real ones.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::{Running, World, artifacts};

const FAKE_PORT: u16 = 1080;
const MICROSOCKS_PORT: u16 = 1081;
const DANTE_PORT: u16 = 1082;

/// What a fake proxy was asked to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `name`, `ipv4` or `ipv6`: the request's address type.
    pub kind: String,
    /// The name or the address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.host, self.port)
    }
}

/// A SOCKS5 proxy of our own that notes each request and can be told to misbehave.
pub struct Fake {
    process: Mutex<(Running, Vec<Request>)>,
    url: String,
    url_v6: String,
}

/// Starts a fake proxy that wants no password.
pub fn fake(world: &World) -> Fake {
    start_fake(world, FAKE_PORT, &[])
}

/// Starts a fake proxy on a port of its own, so that a world can have several.
pub fn fake_at(world: &World, port: u16) -> Fake {
    start_fake(world, port, &[])
}

/// Starts a fake proxy that accepts only this user name and password; they are part of its URL.
pub fn fake_with_password(world: &World, user: &str, password: &str) -> Fake {
    start_fake(world, FAKE_PORT, &[user, password])
}

fn start_fake(world: &World, port: u16, credentials: &[&str]) -> Fake {
    world.allow_proxy(port);
    let program = world.far(artifacts::helper("fake-socks5"));
    let mut process = program.arg(port.to_string()).args(credentials).limit(Duration::MAX).spawn();
    assert_eq!(process.next_line(), "ready");
    let user = match credentials {
        [user, password] => format!("{user}:{password}@"),
        _ => String::new(),
    };
    Fake {
        process: Mutex::new((process, Vec::new())),
        url: format!("socks5h://{user}10.77.0.1:{port}"),
        url_v6: format!("socks5h://{user}[fd77::1]:{port}"),
    }
}

impl Fake {
    /// Its URL, for `-x`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL by IPv6.
    pub fn url_v6(&self) -> &str {
        &self.url_v6
    }

    /// What it does unless [`Self::on`] says otherwise; `Normal` at first.
    pub fn behave(&self, behaviour: Behaviour) {
        self.command(&format!("default {behaviour}"));
    }

    /// What it does with requests for this port. At first it delays those for the ports 8000 to
    /// 8999 (see [`crate::servers::port`]).
    pub fn on(&self, port: u16, behaviour: Behaviour) {
        self.command(&format!("on {port} {behaviour}"));
    }

    /// The requests so far, in their order.
    pub fn requests(&self) -> Vec<Request> {
        // The answer to a command comes after the notes of all requests before it.
        self.command("sync");
        self.lock().1.clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.command("sync");
        self.lock().1.clear();
    }

    /// Ends the proxy with all its connections, as a crash of it would: they are reset.
    pub fn kill(&self) {
        self.lock().0.signal(rustix::process::Signal::KILL);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Running, Vec<Request>)> {
        self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn command(&self, command: &str) {
        let (process, requests) = &mut *self.lock();
        process.say(command);
        loop {
            let line = process.next_line();
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ok"] => return,
                ["connect", kind, host, port] => requests.push(Request {
                    kind: kind.to_owned(),
                    host: host.to_owned(),
                    port: port.parse().expect("the fake proxy writes numbers"),
                }),
                _ => panic!("the fake proxy says {line:?} to {command:?}"),
            }
        }
    }
}

/// A proxy that other people wrote.
pub struct Real {
    process: Mutex<(Running, String)>,
    log: Option<PathBuf>,
    url: String,
}

/// Starts microsocks (Debian package microsocks), with a user name and password if given.
pub fn microsocks(world: &World, credentials: Option<(&str, &str)>) -> Real {
    let port = MICROSOCKS_PORT;
    let mut command = world.far("microsocks").args(["-i", "::", "-p", &port.to_string()]);
    let mut user = String::new();
    if let Some((name, password)) = credentials {
        command = command.args(["-u", name, "-P", password]);
        user = format!("{name}:{password}@");
    }
    let process = command.limit(Duration::MAX).spawn();
    let url = format!("socks5h://{user}10.77.0.1:{port}");
    Real::started(world, process, port, None, url)
}

/// Starts Dante (Debian package dante-server).
pub fn dante(world: &World) -> Real {
    let port = DANTE_PORT;
    let log = world.directory().join("dante.log");
    let configuration = world.directory().join("dante.conf");
    let text = format!(
        "logoutput: {log}\ninternal: veth-n port = {port}\nexternal: lo\nexternal.rotation: route\n\
         socksmethod: none\nclientmethod: none\nuser.privileged: root\nuser.unprivileged: root\n\
         client pass {{ from: 0/0 to: 0/0 }}\nclient pass {{ from: ::/0 to: ::/0 }}\n\
         socks pass {{ from: 0/0 to: 0/0\nlog: connect disconnect error }}\n\
         socks pass {{ from: ::/0 to: ::/0\nlog: connect disconnect error }}\n",
        log = log.display(),
    );
    std::fs::write(&configuration, text).expect("the directory is ours");
    let process =
        world.far("danted").args(["-N", "1", "-f"]).arg(&configuration).limit(Duration::MAX).spawn();
    Real::started(world, process, port, Some(log), format!("socks5h://10.77.0.1:{port}"))
}

impl Real {
    fn started(world: &World, process: Running, port: u16, log: Option<PathBuf>, url: String) -> Self {
        world.allow_proxy(port);
        world.wait_listening(port);
        Self { process: Mutex::new((process, String::new())), log, url }
    }

    /// Its URL, for `-x`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it wrote down so far: microsocks one line `client[N] ADDRESS: connected to HOST:PORT`
    /// for each request, Dante several.
    pub fn log(&self) -> String {
        let (process, log) = &mut *self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(path) = &self.log {
            return std::fs::read_to_string(path).unwrap_or_default();
        }
        while let Some(line) = process.try_complaint() {
            log.push_str(&line);
            log.push('\n');
        }
        log.clone()
    }

    /// Waits until the log holds this text.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        let limit = std::time::Instant::now() + Duration::from_secs(2);
        while !self.log().contains(text) {
            assert!(std::time::Instant::now() < limit, "no {text:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the proxy with all its connections.
    pub fn kill(&self) {
        let (process, _) = &*self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        process.signal(rustix::process::Signal::KILL);
    }
}

/// A URL on the proxy's machine where nothing listens.
pub fn down(world: &World) -> String {
    let address: SocketAddr = ([10, 77, 0, 1], 1099).into();
    world.allow_proxy(address.port());
    format!("socks5h://{address}")
}
