//! HTTP proxies: squid, tinyproxy, privoxy.

use super::{Certificate, Real};
use crate::World;
use crate::servers::port as service;

/// How squid is set up.
#[derive(Clone, Copy, Debug)]
pub enum Squid<'a> {
    /// Everyone may use it.
    Open,
    /// A user name and password, by Basic (RFC 7617).
    Basic(&'a str, &'a str),
    /// A user name and password, by Digest (RFC 7616).
    Digest(&'a str, &'a str),
    /// Everyone may use it, inside TLS.
    Tls(&'a Certificate),
}

/// Starts squid (Debian package squid-openssl). It forbids destinations on this port.
pub fn squid(world: &World, port: u16, squid: Squid<'_>, denied: u16) -> Real {
    let directory = world.directory().display().to_string();
    let listen = match squid {
        Squid::Tls(certificate) => format!(
            "https_port {port} tls-cert={} tls-key={}\n",
            certificate.chain.display(),
            certificate.key.display()
        ),
        _ => format!("http_port {port}\n"),
    };
    let helper = |scheme: &str, program: &str, line: String| {
        let file = world.directory().join(format!("squid-{port}.users"));
        std::fs::write(&file, line).expect("the directory is ours");
        format!(
            "auth_param {scheme} program /usr/lib/squid/{program} {}\nauth_param {scheme} realm far\n\
             auth_param {scheme} children 2 startup=1\nacl known proxy_auth REQUIRED\n",
            file.display()
        )
    };
    let (helper, login, who) = match squid {
        Squid::Basic(user, password) => {
            let hash = world.far("openssl").args(["passwd", "-apr1", password]).run().success();
            let helper = helper("basic", "basic_ncsa_auth", format!("{user}:{hash}"));
            (helper, Some((user, password)), "known")
        }
        Squid::Digest(user, password) => {
            let helper = helper("digest", "digest_file_auth", format!("{user}:{password}\n"));
            (helper, Some((user, password)), "known")
        }
        _ => (String::new(), None, "all"),
    };
    let log = world.directory().join(format!("squid-{port}.access"));
    let text = format!(
        "{listen}{helper}acl denied port {denied}\nhttp_access deny denied\nhttp_access allow {who}\n\
         http_access deny all\npid_filename none\nlogformat short %rm %ru %>Hs %un\n\
         access_log stdio:{log} short\ncache_log {directory}/squid-{port}.log\ncoredump_dir {directory}\n\
         cache deny all\ncache_mem 1 MB\nmemory_cache_shared off\ndigest_generation off\nnetdb_filename none\n\
         pinger_enable off\nshutdown_lifetime 0 seconds\nmax_filedescriptors 1024\n",
        log = log.display(),
    );
    let configuration = world.directory().join(format!("squid-{port}.conf"));
    std::fs::write(&configuration, text).expect("the directory is ours");
    // Its name, letters and digits, keeps the shared memory of several apart.
    let name: String = format!("{directory}{port}").chars().filter(char::is_ascii_alphanumeric).collect();
    let command = world.far_user("squid").args(["-N", "-n", &name, "-f"]).arg(configuration);
    // The line is written at the end of the tunnel.
    let record = |host: &str, port| format!("CONNECT {host}:{port} 200 ");
    Real::start(world, command, port, Some(log), record).with_login(login)
}

/// The destinations' ports that tinyproxy allows, beside those of other proxies (1000 to 6999).
pub const TINYPROXY_PORTS: [u16; 2] = [service::GREETER, service::REFUSED];

/// Starts tinyproxy (Debian package tinyproxy-bin), with Basic authentication if given.
pub fn tinyproxy(world: &World, port: u16, login: Option<(&str, &str)>, hops: &[u16]) -> Real {
    tinyproxy_to(world, port, login, &[&TINYPROXY_PORTS, hops].concat())
}

/// Starts tinyproxy, which allows `CONNECT` to these ports alone.
pub fn tinyproxy_to(world: &World, port: u16, login: Option<(&str, &str)>, allowed: &[u16]) -> Real {
    let log = world.directory().join(format!("tinyproxy-{port}.log"));
    let mut text =
        format!("Port {port}\nLogLevel Connect\nLogFile \"{}\"\nMaxClients 300\nTimeout 60\n", log.display());
    if let Some((user, password)) = login {
        text += &format!("BasicAuth {user} {password}\n");
    }
    for port in allowed {
        text += &format!("ConnectPort {port}\n");
    }
    let configuration = world.directory().join(format!("tinyproxy-{port}.conf"));
    std::fs::write(&configuration, text).expect("the directory is ours");
    let command = world.far("tinyproxy").args(["-d", "-c"]).arg(configuration);
    let record = |host: &str, port| format!("CONNECT {host}:{port} HTTP/1.1\n");
    Real::start(world, command, port, Some(log), record).with_login(login)
}

/// Starts privoxy (Debian package privoxy). It forbids destinations on this port.
pub fn privoxy(world: &World, port: u16, denied: u16) -> Real {
    let file = |name: &str, text: String| {
        let path = world.directory().join(format!("privoxy-{port}.{name}"));
        std::fs::write(&path, text).expect("the directory is ours");
        path
    };
    let actions = file("action", format!("{{+block{{forbidden}}}}\n:{denied}\n"));
    let configuration = file(
        "conf",
        format!(
            "listen-address :{port}\ndebug 1\ndebug 1024\ndebug 4096\ndebug 8192\nhostname far\n\
             actionsfile {}\nconfdir /etc/privoxy\ntempldir /etc/privoxy/templates\n",
            actions.display()
        ),
    );
    let command = world.far("privoxy").arg("--no-daemon").arg(configuration);
    Real::start(world, command, port, None, |host, port| format!("Request: {host}:{port}/\n"))
}
