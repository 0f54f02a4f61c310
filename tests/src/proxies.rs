//! Proxies on the far side: the fake one with its faults, scripted ones, and those that other people
//! wrote.
//!
//! | file | is |
//! | --- | --- |
//! | this one | the fake SOCKS5 proxy |
//! | `script` | a proxy of any protocol that follows a script, for faults |
//! | `datagrams` | a proxy of datagrams that answers by itself, for faults |
//! | `real` | what all real proxies share: start, kill, revive, the record of what they served |
//! | `relay` | relays of our own |
//! | `socks` | microsocks, Dante, tor |
//! | `web` | squid, tinyproxy, privoxy |
//! | `ssh` | sshd, and `ssh -D` |
//! | `tls` | certificates |

pub mod datagrams;
mod real;
mod relay;
pub mod script;
mod socks;
mod ssh;
mod tls;
mod web;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::{Running, World, artifacts};

pub use real::Real;
pub use relay::{Key, Relay, key, relay, relay_set, relay_with};
pub use socks::{Dante, dante, dante_with, microsocks, microsocks_at, tor};
pub use ssh::{Sshd, ssh_dynamic, sshd, sshd_here};
pub use tls::{Certificate, certificate, expired_certificate, foreign_certificate, self_signed_certificate};
pub use web::{Squid, TINYPROXY_PORTS, privoxy, squid, tinyproxy, tinyproxy_to};

const FAKE_PORT: u16 = 1080;

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
    /// 9999 (see [`crate::servers::port`]).
    pub fn on(&self, port: u16, behaviour: Behaviour) {
        self.command(&format!("on {port} {behaviour}"));
    }

    /// The requests so far, in their order. Port 0 is for no program: the agent asks for it to see whether
    /// greeting and request may travel together.
    pub fn requests(&self) -> Vec<Request> {
        // The answer to a command comes after the notes of all requests before it.
        self.command("sync");
        self.lock().1.iter().filter(|request| request.port != 0).cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.command("sync");
        self.lock().1.clear();
    }

    /// Ends the proxy with all its connections, as a crash of it would: they are reset.
    pub fn kill(&self) {
        let process = self.lock();
        let pid = process.0.pid();
        process.0.signal(rustix::process::Signal::KILL);
        real::wait_gone(pid);
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

/// A URL on the proxy's machine where nothing listens.
pub fn down(world: &World) -> String {
    let address: SocketAddr = ([10, 77, 0, 1], 1099).into();
    world.allow_proxy(address.port());
    format!("socks5h://{address}")
}
