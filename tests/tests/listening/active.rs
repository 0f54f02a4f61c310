//! FTP whose server connects to its client (RFC 959, PORT and EPRT): the client listens, and tells where.

use std::time::Duration;

use underpass_tests::{Command, World, proxies};

use crate::place::{EXPOSED, Place};

const PORT: u16 = 2121;
const TEXT: &str = "over a connection that the server has made\n";

/// vsftpd at the destinations' address, with one file for everybody.
fn server(world: &World) {
    let root = world.directory().join("ftp");
    std::fs::create_dir(&root).expect("the directory is ours");
    std::fs::write(root.join("file"), TEXT).expect("the directory is ours");
    let text = format!(
        "listen=YES\nlisten_address=10.99.0.1\nlisten_port={PORT}\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\n\
         no_anon_password=YES\nftp_username=root\nanon_root={root}\nrun_as_launching_user=YES\nsecure_chroot_dir={root}\n\
         seccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\nconnect_from_port_20=NO\npasv_enable=NO\nxferlog_enable=NO\n\
         vsftpd_log_file=/dev/null\n",
        root = root.display()
    );
    let configuration = world.directory().join("vsftpd.conf");
    std::fs::write(&configuration, text).expect("the directory is ours");
    world.far("vsftpd").arg(&configuration).limit(Duration::MAX).spawn().detach();
    world.wait_listening(PORT);
}

fn url() -> String {
    format!("ftp://10.99.0.1:{PORT}/file")
}

/// What both clients are told to do; each has its own way to ask the server for it.
fn fetched(command: impl Fn(&str) -> Command) {
    let curl = command("curl").args(["-sS", "-v", "-m", "20", "--ftp-port", "-", &url()]);
    let done = curl.run();
    assert_eq!(done.stdout, TEXT, "{done}");
    let script = "set ftp:passive-mode off; set ftp:ssl-allow no; set net:max-retries 1; cat file";
    let lftp = command("lftp").args(["--norc", "-e", &format!("{script}; exit")]);
    assert_eq!(lftp.arg(format!("ftp://10.99.0.1:{PORT}/")).run().success(), TEXT);
}

#[test]
fn active_ftp_works_at_the_front_door_by_dantes_own_client() {
    let place = Place::new(EXPOSED);
    server(&place.world);
    let _front = crate::door::open(&place.world, &place.relay.url(&place.key));
    fetched(|program| crate::door::socksified(&place.world, program));
}

#[test]
fn active_ftp_works_natively() {
    let world = World::direct();
    server(&world);
    fetched(|program| world.client(program));
}

#[test]
fn active_ftp_works_at_a_relay() {
    let place = Place::new(EXPOSED);
    server(&place.world);
    fetched(|program| place.exposed(program));
}

#[test]
fn active_ftp_works_by_bind_of_dante() {
    let world = World::new();
    server(&world);
    let dante = proxies::dante(&world);
    let underpass = || world.client(underpass_tests::artifacts::underpass());

    fetched(|program| {
        underpass().args(["-x", &dante.url_as("socks5h"), "--listen-at", "main", "--"]).arg(program)
    });
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
