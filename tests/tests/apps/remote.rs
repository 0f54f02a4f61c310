//! OpenSSH and what is built on it, and git and rsync by their own protocols.

use crate::far::{CGI, RSYNC, SSH};
use crate::place::{self, NAME, Place, through_each};

/// An ordinary user cannot give files away.
const RSYNC_OPTIONS: [&str; 3] = ["--archive", "--no-owner", "--no-group"];

through_each! {
    fn ssh_runs_a_command(place: &Place) {
        place.start_ssh();
        let ssh = place.wrapped("ssh").args(place.ssh_options()).args(["-p", &SSH.to_string()]);
        let done = ssh.args([&format!("far@{NAME}"), "cat; exit 3"]).input("over ssh\n").run();
        assert_eq!((done.stdout.as_str(), done.code()), ("over ssh\n", 3), "{done}");
        place.proxied(SSH, 1);
    }
}

#[test]
fn scp_in_both_directions() {
    place::microsocks(|place| {
        place.start_ssh();
        let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
        let there = place.write("sent", &body).with_file_name("there").display().to_string();
        let scp = || place.wrapped("scp").arg("-q").args(place.ssh_options()).args(["-P", &SSH.to_string()]);
        scp().arg("sent").arg(format!("far@{NAME}:{there}")).run().success();
        scp().arg(format!("far@{NAME}:{there}")).arg("back").run().success();
        for copy in ["there", "back"] {
            assert!(std::fs::read(place.path(copy)).is_ok_and(|read| read == body), "{copy}");
        }
        place.proxied(SSH, 2);
    });
}

#[test]
fn rsync_over_ssh() {
    place::dante(|place| {
        place.start_ssh();
        make_share(place);
        let ssh = format!("ssh {} -p {SSH}", place.ssh_options().join(" "));
        let there = format!("far@{NAME}:{}/", place.path("share").display());
        place.wrapped("rsync").args(RSYNC_OPTIONS).args(["-e", &ssh, &there, "copy"]).run().success();
        same_as_share(place, "copy");
        place.proxied(SSH, 1);
    });
}

#[test]
fn rsync_daemon_in_both_directions() {
    place::microsocks(|place| {
        make_share(place);
        place.start_rsync();
        let there = format!("rsync://{NAME}:{RSYNC}/share/");
        place.wrapped("rsync").args(RSYNC_OPTIONS).args([&there, "copy"]).run().success();
        same_as_share(place, "copy");
        place.write("copy/new", "new\n");
        place.wrapped("rsync").args(RSYNC_OPTIONS).args(["copy/", &there]).run().success();
        same_as_share(place, "copy");
        assert!(place.path("share/new").exists());
        place.proxied(RSYNC, 2);
    });
}

through_each! {
    fn git_over_http(place: &Place) {
        place.make_repository();
        place.start_cgi();
        clone_and_push(place, &format!("http://{NAME}:{CGI}/cgi-bin/git/repository.git"), "ssh");
        place.proxied_at_least(CGI, 1);
    }
}

through_each! {
    fn git_over_ssh(place: &Place) {
        place.make_repository();
        place.start_ssh();
        let ssh = format!("ssh {}", place.ssh_options().join(" "));
        let repository = place.path("repository.git");
        clone_and_push(place, &format!("ssh://far@{NAME}:{SSH}{}", repository.display()), &ssh);
        place.proxied(SSH, 2);
    }
}

fn clone_and_push(place: &Place, url: &str, ssh: &str) {
    let git = || place.wrapped("git").args(["-c", "user.name=near", "-c", "user.email=near@near.test"]);
    git().env("GIT_SSH_COMMAND", ssh).args(["clone", "-q", url, "clone"]).run().success();
    let log = git().args(["-C", "clone", "log", "--format=%s"]).run().success();
    assert_eq!(log, "commit 3\ncommit 2\ncommit 1\n");

    git().args(["-C", "clone", "commit", "-q", "--allow-empty", "-m", "pushed"]).run().success();
    git().env("GIT_SSH_COMMAND", ssh).args(["-C", "clone", "push", "-q"]).run().success();
    let log = place.world.far("git").args(["-C", "repository.git", "log", "-1", "--format=%s"]).run();
    assert_eq!(log.success(), "pushed\n");
}

fn make_share(place: &Place) {
    for n in 0..20u32 {
        place.write(&format!("share/{}/file-{n}", n % 3), format!("{n}\n").repeat(10_000 * n as usize));
    }
}

#[track_caller]
fn same_as_share(place: &Place, copy: &str) {
    place.world.client("diff").args(["-r", "share", copy]).run().success();
}
