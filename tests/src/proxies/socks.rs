//! SOCKS servers: microsocks, Dante, tor.

use super::Real;
use crate::{Command, World};

const MICROSOCKS_PORT: u16 = 1081;
const DANTE_PORT: u16 = 1082;
/// Where Dante's relays are, in all worlds.
const RELAYS: (u16, u16) = (41_000, 41_999);

/// Starts microsocks (Debian package microsocks), with a user name and password if given; the client
/// side may reach it.
pub fn microsocks(world: &World, credentials: Option<(&str, &str)>) -> Real {
    microsocks_at(world, MICROSOCKS_PORT, credentials).allowed(world)
}

/// Starts microsocks on a port of its own.
pub fn microsocks_at(world: &World, port: u16, credentials: Option<(&str, &str)>) -> Real {
    let mut command = world.far("microsocks").args(["-i", "::", "-p", &port.to_string()]);
    if let Some((name, password)) = credentials {
        command = command.args(["-u", name, "-P", password]);
    }
    let record = |host: &str, port| format!(": connected to {host}:{port}\n");
    Real::start(world, command, port, None, record).with_login(credentials)
}

/// How Dante is set up. It speaks SOCKS4 and SOCKS5, not SOCKS4a.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dante {
    /// The port; 0 for one that tests with a single Dante have.
    pub port: u16,
    /// A port of destinations that its rules forbid.
    pub denied: Option<u16>,
    /// A user name and password of a system user of its own (RFC 1929); SOCKS4 is refused then.
    pub login: Option<(&'static str, &'static str)>,
}

/// Starts Dante (Debian package dante-server) for everyone; the client side may reach it.
pub fn dante(world: &World) -> Real {
    dante_with(world, Dante::default()).allowed(world)
}

/// Starts Dante.
pub fn dante_with(world: &World, dante: Dante) -> Real {
    let port = if dante.port == 0 { DANTE_PORT } else { dante.port };
    let log = world.directory().join(format!("dante-{port}.log"));
    let configuration = world.directory().join(format!("dante-{port}.conf"));
    let block = dante.denied.map_or(String::new(), |port| {
        format!("socks block {{ from: 0/0 to: 0/0 port = {port}\nlog: connect disconnect error }}\n")
    });
    let method = if dante.login.is_some() { "username" } else { "none" };
    let text = format!(
        "logoutput: {log}\ninternal: veth-n port = {port}\ninternal: 10.99.0.1 port = {port}\n\
         external: lo\nexternal.rotation: route\n\
         socksmethod: {method}\nclientmethod: none\nuser.privileged: root\nuser.unprivileged: root\n\
         client pass {{ from: 0/0 to: 0/0 }}\nclient pass {{ from: ::/0 to: ::/0 }}\n{block}\
         socks pass {{ from: 0/0 to: 0/0\nudp.portrange: {first}-{last}\nlog: connect disconnect error }}\n\
         socks pass {{ from: ::/0 to: ::/0\nudp.portrange: {first}-{last}\nlog: connect disconnect error }}\n",
        log = log.display(),
        first = RELAYS.0,
        last = RELAYS.1,
    );
    std::fs::write(&configuration, text).expect("the directory is ours");
    let mut command = world.far("danted");
    if let Some((user, password)) = dante.login {
        command = with_user(world, user, password).arg("danted");
    }
    let command = command.args(["-N", "1", "-f"]).arg(&configuration);
    // Its relays are no proxies that could be reached without it.
    world.allow_relays(RELAYS.0, RELAYS.1);
    // It writes addresses, never names.
    let record = |_: &str, port| format!(" 10.99.0.1.{port}\n");
    Real::start(world, command, port, Some(log), record).with_login(dante.login)
}

/// A program on the far side, which follows, where the system's users are root and this one.
fn with_user(world: &World, user: &str, password: &str) -> Command {
    let hash = world.far("openssl").args(["passwd", "-6", password]).run().success();
    let file = |name: &str, text: String| {
        let path = world.directory().join(format!("dante-{name}"));
        std::fs::write(&path, text).expect("the directory is ours");
        path
    };
    let passwd = format!("root:x:0:0::/:/bin/sh\n{user}:x:1001:1001::/:/bin/false\n");
    let shadow = format!("root:*:19000:0:99999:7:::\n{user}:{}:19000:0:99999:7:::\n", hash.trim());
    let script = r#"
        mount --bind "$1" /etc/passwd
        mount --bind "$2" /etc/shadow
        shift 2
        exec "$@""#;
    let files = [file("passwd", passwd), file("shadow", shadow)];
    world.far("unshare").args(["--mount", "sh", "-ec", script, "users"]).args(files)
}

/// Starts tor (Debian package tor). Without a network it accepts connections and builds no circuit.
pub fn tor(world: &World, port: u16) -> Real {
    let directory = world.directory().display();
    let log = world.directory().join("tor.log");
    let text = format!(
        "SocksPort 10.77.0.1:{port}\nDataDirectory {directory}/tor\nLog info file {}\nSafeLogging 0\n",
        log.display()
    );
    let configuration = world.directory().join("torrc");
    std::fs::write(&configuration, text).expect("the directory is ours");
    let command =
        world.far("tor").args(["--quiet", "--defaults-torrc", "/dev/null", "-f"]).arg(configuration);
    Real::start(world, command, port, Some(log), |host, port| format!("Client asked for {host}:{port}\n"))
}
