//! Programs that know a proxy themselves come in by the agent's front door, without the library.

use std::time::Duration;

use crate::far::{CGI, HTTP, PAGE, SSH};
use crate::place::{self, NAME, Place};

const DOOR: u16 = 1083;

/// What an ssh that goes through the door is started with.
fn ssh_options(place: &Place) -> Vec<String> {
    let through = format!("ProxyCommand=nc.openbsd -X 5 -x 127.0.0.1:{DOOR} %h %p");
    [place.ssh_options(), vec!["-o".to_owned(), through]].concat()
}

#[test]
fn ssh_by_its_proxy_command() {
    place::microsocks(|place| {
        place.start_ssh();
        let _door = place.door(DOOR);
        let ssh = place.world.client("ssh").args(ssh_options(place)).args(["-p", &SSH.to_string()]);
        let done = ssh.args([&format!("far@{NAME}"), "cat; exit 3"]).input("over ssh\n").run();
        assert_eq!((done.stdout.as_str(), done.code()), ("over ssh\n", 3), "{done}");
        place.proxied(SSH, 1);
    });
}

#[test]
fn git_by_its_proxy() {
    place::dante(|place| {
        place.make_repository();
        place.start_cgi();
        let _door = place.door(DOOR);
        let proxy = format!("http.proxy=socks5h://127.0.0.1:{DOOR}");
        let url = format!("http://{NAME}:{CGI}/cgi-bin/git/repository.git");
        // Without these it looks up this machine's name.
        let identity = ["-c", "user.name=near", "-c", "user.email=near@near.test"];
        let git = place.world.client("git").args(identity);
        git.args(["-c", &proxy, "clone", "-q", &url, "clone"]).run().success();
        let log = place.world.client("git").args(["-C", "clone", "log", "--format=%s"]).run();
        assert_eq!(log.success(), "commit 3\ncommit 2\ncommit 1\n");
        place.proxied_at_least(CGI, 1);
    });
}

#[test]
fn chromium_by_its_proxy() {
    place::dante(|place| {
        place.start_web();
        let _door = place.door(DOOR);
        let line = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--timeout=60000",
            "--dump-dom",
        ];
        let browser = place.world.client("chromium").args(line);
        let browser = browser
            .arg(format!("--proxy-server=socks5://127.0.0.1:{DOOR}"))
            // As its makers advise with SOCKS: it is to look nothing up by itself.
            .arg("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", place.path("profile").display()))
            .arg(format!("http://{NAME}/"));
        let done = browser.limit(Duration::from_secs(120)).run();
        assert!(done.stdout.contains(PAGE.trim()), "{done}");
        place.proxied_at_least(HTTP, 1);
    });
}
