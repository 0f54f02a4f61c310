//! Users, `/run`, resolv.conf and mounts.

use underpass_tests::{World, artifacts, proxies};

use crate::{python, sealed};

#[test]
fn the_user_is_the_callers_and_has_no_more_rights() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = r#"
import os
print(os.getresuid(), os.getresgid(), os.getcwd())
print([line for line in open("/proc/self/status") if line.startswith(("CapEff", "CapPrm", "CapAmb"))])
print(os.stat("/etc/hosts").st_uid, os.stat(".").st_uid)
open("made", "w").close()
"#;
    let native = world.client("/usr/bin/python3").args(["-c", script]).run().success();
    assert_eq!(python(&world, proxy.url(), script), native);
    assert!(world.directory().join("made").exists());
}

#[test]
fn run_is_empty_and_names_are_asked_of_the_agent() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    world.client("sh").args(["-c", "mkdir -p /run/dbus /run/own/deep; echo in >/run/own/deep/file; ln -s /etc /run/link; mkdir /run/systemd"]).run().success();
    let script = "cd /run; find . | sort | grep -v '^./user/'; stat -c '%a %u' . lock user user/$(id -u); \
        cat /etc/resolv.conf; cat link/hosts | head -1; touch /run/mine && echo made; cat own/deep/file";
    let user = world.client("id").arg("-u").run().success();
    let user = user.trim();
    let head = |own: &str| {
        format!(".\n./link\n./lock\n{own}./user\n755 {user}\n1777 {user}\n755 {user}\n700 {user}\n")
    };
    let rest = "nameserver 127.0.0.1\noptions timeout:10 attempts:1\n127.0.0.1 localhost\nmade\n";
    let done = sealed(&world, proxy.url(), "sh").args(["-c", script]).run();
    assert_eq!(done.stdout, head("") + rest, "{done}");
    let options =
        ["--tier", "sealed", "-x", proxy.url(), "--let-in", "/run/own/deep", "--", "sh", "-c", script];
    let done = world.client(artifacts::underpass()).args(options).run();
    let own = "./own\n./own/deep\n./own/deep/file\n";
    assert_eq!(done.stdout, head(own) + rest + "in\n", "{done}");
    // Outside nothing has changed.
    let outside =
        world.client("sh").args(["-c", "cat /run/own/deep/file /etc/resolv.conf; ls /run/mine"]).run();
    assert!(outside.stdout.starts_with("in\nnameserver 10.77.0.1\n"), "{outside}");
    assert_ne!(outside.code(), 0, "{outside}");
}

/// Where systemd-resolved has it, resolv.conf is a link into /run.
#[test]
fn a_resolver_file_that_is_a_link_is_ours_too() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let script = "mkdir -p /run/systemd/resolve && echo 'nameserver 127.0.0.53' >/run/systemd/resolve/stub.conf && \
        mount -t tmpfs none /etc && ln -s ../run/systemd/resolve/stub.conf /etc/resolv.conf && echo 'hosts: files dns' >/etc/nsswitch.conf && \
        \"$0\" --tier sealed -x \"$1\" -- cat /etc/resolv.conf";
    let line = ["--mount", "sh", "-c", script];
    let done = world.client("unshare").args(line).arg(artifacts::underpass()).arg(proxy.url()).run();
    assert_eq!(done.clone().success(), "nameserver 127.0.0.1\n", "{done}");
}

#[test]
fn what_was_covered_stays_covered() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    world.client("sh").args(["-c", "echo out >/run/covered"]).run().success();
    let script = "umount /run; umount /etc/resolv.conf; unshare -r umount /run; unshare -rm umount -R /run; \
        unshare -rm umount -l /run; mount --bind / /mnt && cat /mnt/run/covered; \
        unshare -rm sh -c 'mount --bind / /mnt && cat /mnt/run/covered'; \
        unshare -rm sh -c 'mount --rbind / /mnt && cat /mnt/run/covered'; \
        nsenter -t 1 -m cat /run/covered; cat /proc/1/root/run/covered; cat /run/covered; grep nameserver /etc/resolv.conf";
    let done = sealed(&world, proxy.url(), "sh").args(["-c", script]).run();
    assert_eq!(done.stdout, "nameserver 127.0.0.1\n", "{done}");
}

/// As an ordinary user, who has one number and no other (root's programs may become anybody: apt, in tests/tests/apps).
#[test]
fn an_ordinary_user_is_itself() {
    let world = World::new();
    let proxy = proxies::fake(&world);
    let directory = world.directory().display().to_string();
    let script = format!(
        "mkdir -m 777 -p {directory}/other; chmod 755 {directory}; exec unshare --user --map-user=1234 --map-group=1234 \
         env XDG_RUNTIME_DIR={directory}/run HOME={directory}/home \"$0\" --tier sealed -x \"$1\" -- \
         sh -c 'id -u; id -g; stat -c %u /run; cat /proc/self/uid_map | tr -s \" \"; grep CapEff /proc/self/status'"
    );
    let line = world.client("sh").args(["-c", &script]).arg(artifacts::underpass()).arg(proxy.url());
    let done = line.run();
    assert_eq!(
        done.clone().success(),
        "1234\n1234\n1234\n 1234 1234 1\nCapEff:\t0000000000000000\n",
        "{done}"
    );
}
