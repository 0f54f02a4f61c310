//! The servers beyond the proxy, none of which needs privilege.

use crate::place::{NAME, Place};

/// The web server's ports.
pub(crate) const HTTP: u16 = 80;
pub(crate) const HTTPS: u16 = 443;
/// Where `busybox httpd` runs CGI programs and serves the package repository.
pub(crate) const CGI: u16 = 8090;
pub(crate) const SSH: u16 = 2222;
pub(crate) const RSYNC: u16 = 8730;
pub(crate) const POSTGRES: u16 = 5432;
pub(crate) const REDIS: u16 = 6379;

/// What the web server serves at `/`.
pub(crate) const PAGE: &str = "hello from beyond the proxy\n";

impl Place {
    /// Starts nginx for `www/` in the world's directory, with and without TLS; `cert.pem` is its
    /// certificate.
    pub(crate) fn start_web(&self) {
        self.write("www/index.html", PAGE);
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        self.world
            .far("openssl")
            .args(request)
            .args(["-keyout", "key.pem", "-out", "cert.pem", "-days", "30", "-subj", &format!("/CN={NAME}")])
            .args(["-addext", &format!("subjectAltName=DNS:{NAME},IP:10.99.0.1")])
            .run()
            .success();
        let directory = self.world.directory().display();
        let configuration = format!(
            "daemon off; user root root; worker_processes 2; pid {directory}/nginx.pid;
             events {{ worker_connections 2048; }}
             http {{
               access_log {directory}/nginx.access; sendfile on; {temporary}
               server {{
                 listen 10.99.0.1:{HTTP} backlog=1024; listen [fd99::1]:{HTTP}; listen 10.99.0.1:{HTTPS} ssl;
                 ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
                 root {directory}/www;
               }}
             }}",
            temporary = nginx_temporary(self, "far"),
        );
        let configuration = self.write("nginx.conf", configuration);
        self.serve(
            HTTP,
            self.world.far("nginx").arg("-e").arg(self.path("nginx.err")).arg("-c").arg(configuration),
        );
    }

    /// Starts sshd for the user `far` with the key `id`; [`Place::ssh`] is a client for it.
    pub(crate) fn start_ssh(&self) {
        for key in ["host", "id"] {
            self.world.far("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", key]).run().success();
        }
        let directory = self.world.directory().display();
        let configuration = format!(
            "Port {SSH}\nListenAddress 10.99.0.1\nHostKey {directory}/host\nPidFile none\n\
             AuthorizedKeysFile {directory}/id.pub\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        );
        let configuration = self.write("sshd_config", configuration);
        // sshd insists on its own absolute path.
        self.serve(SSH, self.world.far_user("/usr/sbin/sshd").args(["-D", "-e", "-f"]).arg(configuration));
    }

    /// The options that ssh, scp and what starts them need; without the port, which differs.
    pub(crate) fn ssh_options(&self) -> Vec<String> {
        let directory = self.world.directory().display();
        let options = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            &format!("UserKnownHostsFile={directory}/known_hosts"),
        ];
        let options = options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]);
        ["-F", "none", "-i", &format!("{directory}/id")]
            .map(String::from)
            .into_iter()
            .chain(options)
            .collect()
    }

    /// Makes the bare repository `repository.git` with three commits.
    pub(crate) fn make_repository(&self) {
        let script = "
            git init -q -b main work
            cd work
            for n in 1 2 3; do
              seq $n 20000 >file-$n
              git add .
              git -c user.name=far -c user.email=far@far.test commit -qm \"commit $n\"
            done
            git clone -q --bare . ../repository.git
            git -C ../repository.git config http.receivepack true";
        self.world.far("sh").args(["-ec", script]).run().success();
    }

    /// Starts `busybox httpd` for `site/`, with git's own program at `/cgi-bin/git`.
    pub(crate) fn start_cgi(&self) {
        let directory = self.world.directory().display();
        let git = format!(
            "#!/bin/sh\nexport GIT_PROJECT_ROOT={directory} GIT_HTTP_EXPORT_ALL=1 PATH='/usr/local/bin:/usr/bin:/bin'\n\
             exec git http-backend\n"
        );
        let git = self.write("site/cgi-bin/git", git);
        self.world.far("chmod").arg("+x").arg(git).run().success();
        let address = format!("10.99.0.1:{CGI}");
        self.serve(CGI, self.world.far("busybox").args(["httpd", "-f", "-p", &address, "-h", "site"]));
    }

    /// Starts an rsync daemon for `share/`.
    pub(crate) fn start_rsync(&self) {
        let directory = self.world.directory().display();
        let configuration = format!("use chroot = no\n[share]\npath = {directory}/share\nread only = no\n");
        let configuration = self.write("rsyncd.conf", configuration);
        let server = self.world.far_user("rsync").args(["--daemon", "--no-detach", "--address=10.99.0.1"]);
        self.serve(RSYNC, server.arg(format!("--port={RSYNC}")).arg("--config").arg(configuration));
    }

    /// Starts PostgreSQL with an empty database `postgres` of the user `far`, who needs no password.
    pub(crate) fn start_postgres(&self) {
        let binaries = postgres_binaries();
        let cluster = self.path("postgres");
        self.world
            .far_user(format!("{binaries}/initdb"))
            .args(["--auth=trust", "--username=far", "--no-sync", "--locale=C", "--encoding=UTF8", "-D"])
            .arg(&cluster)
            .run()
            .success();
        self.write("postgres/pg_hba.conf", "host all all 0.0.0.0/0 trust\n");
        let settings = ["listen_addresses=10.99.0.1", "unix_socket_directories=", "fsync=off"];
        let settings = settings.into_iter().flat_map(|setting| ["-c", setting]);
        self.serve(
            POSTGRES,
            self.world.far_user(format!("{binaries}/postgres")).args(settings).arg("-D").arg(&cluster),
        );
    }

    /// Starts redis.
    pub(crate) fn start_redis(&self) {
        let server = self.world.far("redis-server").args(["--bind", "10.99.0.1", "--protected-mode", "no"]);
        self.serve(REDIS, server.args(["--save", "", "--port", &REDIS.to_string()]));
    }
}

/// Where nginx keeps its temporary files, when it is not root's.
pub(crate) fn nginx_temporary(place: &Place, name: &str) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let path = |kind| format!("{kind}_temp_path {}/{name}-{kind};", place.world.directory().display());
    kinds.map(path).join(" ")
}

/// Debian keeps the server's programs out of PATH.
fn postgres_binaries() -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("postgresql is needed");
    let binaries = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let newest = binaries.filter(|path| path.join("initdb").exists()).max();
    newest.expect("postgresql is needed").display().to_string()
}
