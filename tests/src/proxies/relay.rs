//! Relays of our own.

use std::path::PathBuf;

use super::Real;
use crate::{World, artifacts};

/// A relay, and what clients have to know of it.
pub struct Relay {
    /// Its process. Its record is the audit, which has a line for each connection that has ended.
    pub real: Real,
    pin: String,
}

/// A key that `underpass-agent keygen` has made.
#[derive(Clone, Debug)]
pub struct Key {
    /// The private key; its certificate is beside it.
    pub path: PathBuf,
    /// What the other side knows it by.
    pub pin: String,
}

/// Makes a key in the world's directory.
pub fn key(world: &World, name: &str) -> Key {
    let path = world.directory().join(format!("{name}.key"));
    let made = world.outside(artifacts::agent()).args(["keygen", "--out"]).arg(&path).run().success();
    let pin = made.split_whitespace().find(|word| word.starts_with("sha256//"));
    Key { pin: pin.expect("keygen prints the pin").to_owned(), path }
}

/// Starts a relay that serves these keys, and lets them go anywhere but to this port, also by datagrams.
pub fn relay(world: &World, port: u16, clients: &[&Key], denied: u16) -> Relay {
    relay_with(world, port, clients, denied, "")
}

/// The same with more tables in its configuration.
pub fn relay_with(world: &World, port: u16, clients: &[&Key], denied: u16, tables: &str) -> Relay {
    start(world, port, clients, denied, ["", tables])
}

/// The same with more keys in its configuration.
pub fn relay_set(world: &World, port: u16, clients: &[&Key], denied: u16, keys: &str) -> Relay {
    start(world, port, clients, denied, [keys, ""])
}

fn start(world: &World, port: u16, clients: &[&Key], denied: u16, [keys, tables]: [&str; 2]) -> Relay {
    let own = key(world, &format!("relay-{port}"));
    let file = |end: &str| world.directory().join(format!("relay-{port}.{end}"));
    let lines = clients.iter().enumerate();
    let lines: String = lines.map(|(number, key)| format!("{} client-{number}\n", key.pin)).collect();
    let text = format!(
        "listen = '[::]:{port}'\nkey = '{key}'\nauthorized-keys = '{authorized}'\nallow-udp = true\n{keys}\
         [[rule]]\nport = {denied}\nverdict = 'deny'\n\
         [[rule]]\naddress = ['10.77.0.1', '10.99.0.1', 'fd77::1', 'fd99::1', '10.0.0.0/8', 'fd00::/8']\nprivate = true\nverdict = 'permit'\n\
         [[rule]]\ndomain = '*'\nverdict = 'permit'\n\
         [audit]\nto = '{audit}'\n{tables}",
        key = own.path.display(),
        authorized = file("keys").display(),
        audit = file("audit").display(),
    );
    for (end, text) in [("keys", lines), ("toml", text)] {
        std::fs::write(file(end), text).expect("the directory is ours");
    }
    let command = world.far(artifacts::agent()).args(["relay", "--config"]).arg(file("toml"));
    let record = |host: &str, port| format!("\"host\":\"{host}\",\"port\":{port},\"protocol\":\"tcp\"");
    Relay { real: Real::start(world, command, port, Some(file("audit")), record), pin: own.pin }
}

impl Relay {
    /// From now on the client side may reach it.
    #[must_use]
    pub fn allowed(self, world: &World) -> Self {
        Self { real: self.real.allowed(world), ..self }
    }

    /// Its URL from the client side, for the client with this key.
    pub fn url(&self, key: &Key) -> String {
        self.url_at("10.77.0.1", key)
    }

    /// Its URL at this host.
    pub fn url_at(&self, host: &str, key: &Key) -> String {
        let pin = self.pin.replace('+', "%2B");
        format!("{}?pin={pin}&key={}", self.real.url_at("relay", host), key.path.display())
    }
}
