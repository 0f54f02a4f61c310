//! OpenSSH: sshd as an exit, and its client as a SOCKS server.

use std::time::Duration;

use super::Real;
use crate::{Running, World};

/// An sshd with one user, `far`, and a key for him.
pub struct Sshd {
    /// Its process and its record.
    pub real: Real,
    directory: String,
}

/// Starts sshd (Debian package openssh-server).
pub fn sshd(world: &World, port: u16) -> Sshd {
    let (directory, configuration) = configured(world, port, "0.0.0.0");
    // sshd insists on its own absolute path.
    let command = world.far_user("/usr/sbin/sshd").args(["-D", "-e", "-f", &configuration]);
    let record = |host: &str, port| format!(", target {host} port {port}\n");
    Sshd { real: Real::start(world, command, port, None, record), directory }
}

/// Starts sshd on the client side, on loopback; and what a client must have in its configuration to get in.
pub fn sshd_here(world: &World, port: u16) -> (Running, String) {
    let (directory, configuration) = configured(world, port, "127.0.0.1");
    let command = world.client_user("/usr/sbin/sshd").args(["-D", "-e", "-f", &configuration]);
    (command.limit(Duration::MAX).spawn(), client_configuration(&directory))
}

/// Its directory, and the file of its configuration.
fn configured(world: &World, port: u16, address: &str) -> (String, String) {
    let directory = format!("{}/ssh-{port}", world.directory().display());
    std::fs::create_dir(&directory).expect("the directory is ours");
    for key in ["host", "id"] {
        let file = format!("{directory}/{key}");
        world.far("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file]).run().success();
    }
    let configuration = format!("{directory}/sshd_config");
    let text = format!(
        "Port {port}\nListenAddress {address}\nHostKey {directory}/host\nPidFile none\n\
         AuthorizedKeysFile {directory}/id.pub\nStrictModes no\nUsePAM no\nLogLevel DEBUG\n\
         PasswordAuthentication no\nMaxSessions 300\nMaxStartups 300\n"
    );
    std::fs::write(&configuration, text).expect("the directory is ours");
    (directory, configuration)
}

fn client_configuration(directory: &str) -> String {
    format!(
        "IdentityFile {directory}/id\nIdentitiesOnly yes\nStrictHostKeyChecking no\n\
         UserKnownHostsFile {directory}/known_hosts\nBatchMode yes\n"
    )
}

impl Sshd {
    /// What a client must have in its configuration to get in.
    pub fn client_configuration(&self) -> String {
        client_configuration(&self.directory)
    }

    /// Makes this the ssh configuration of the client side's user. ssh takes his home from the list of
    /// users, not from HOME, so that list is another one from now on.
    pub fn configure_client(&self, world: &World) {
        self.configure_client_with(world, "");
    }

    /// The same with more lines.
    pub fn configure_client_with(&self, world: &World, more: &str) {
        let home = world.directory().join("home");
        let ssh = home.join(".ssh");
        std::fs::create_dir_all(&ssh).expect("the directory is ours");
        let text = self.client_configuration() + more;
        std::fs::write(ssh.join("config"), text).expect("the directory is ours");
        let passwd = world.directory().join("client-passwd");
        let text = format!("root:x:0:0:root:{}:/bin/sh\n", home.display());
        std::fs::write(&passwd, text).expect("the directory is ours");
        world.client("mount").arg("--bind").arg(passwd).arg("/etc/passwd").run().success();
    }
}

/// Starts `ssh -D` on the far side: a SOCKS server of versions 4, 4a and 5 whose exit is `sshd`.
pub fn ssh_dynamic(world: &World, port: u16, sshd: &Sshd) -> Real {
    let configuration = format!("{}/dynamic_config", sshd.directory);
    std::fs::write(&configuration, sshd.client_configuration()).expect("the directory is ours");
    let command =
        world.far("ssh").args(["-vv", "-N", "-F", &configuration, "-D", &format!("0.0.0.0:{port}")]);
    let command = command.args(["-p", &sshd.real.port().to_string(), "far@10.99.0.1"]);
    Real::start(world, command, port, None, |host, port| format!(" host {host} port {port} command 1\n"))
}
