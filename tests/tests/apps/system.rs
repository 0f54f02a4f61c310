//! Scans, package managers, and programs that change their user.

use std::time::Duration;

use crate::far::{CGI, HTTP, PAGE};
use crate::place::{self, NAME, ordinary_user};

/// A scan by connect() sees through the proxy what it would see without: who accepts, who refuses
/// and who keeps silent.
#[test]
fn nmap_tells_open_closed_and_filtered_apart() {
    place::microsocks(|place| {
        place.start_web();
        let drop_silently = "add rule inet world out ip daddr 10.99.0.1 tcp dport 83 drop";
        place.world.far("nft").arg(drop_silently).run().success();
        let options =
            ["-sT", "-Pn", "-n", "--unprivileged", "--max-retries", "1", "--host-timeout", "20s", "-oG", "-"];
        let nmap = place.wrapped("nmap").args(options).args(["-p", "80-83,443", "10.99.0.1"]);
        let report = nmap.limit(Duration::from_secs(200)).run().success();
        for port in ["80/open/", "81/closed/", "82/closed/", "83/filtered/", "443/open/"] {
            assert!(report.contains(port), "{port} in {report}");
        }
    });
}

/// apt downloads by a process of its own, which becomes `_apt` if root started it.
fn apt_get_update(tier: &str) {
    place::dante(|place| {
        place.write("site/apt/Packages", "");
        let date = place.world.far("date").arg("-Ru").run().success();
        place.write(
            "site/apt/Release",
            format!(
                "Suite: far\nDate: {date}SHA256:\n \
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 Packages\n"
            ),
        );
        place.start_cgi();
        for directory in ["lists/partial", "archives/partial"] {
            std::fs::create_dir_all(place.path(directory)).expect("the directory is ours");
        }
        place.write("sources.list", format!("deb [trusted=yes] http://{NAME}:{CGI}/apt ./\n"));
        let directory = place.world.directory().display();
        let user = if ordinary_user() { "root" } else { "_apt" };
        let configuration = format!(
            "Dir::Etc::parts \"/dev/null\";\nDir::Etc::sourcelist \"{directory}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\nDir::State::lists \"{directory}/lists\";\n\
             Dir::Cache::archives \"{directory}/archives\";\nDir::Cache::pkgcache \"\";\n\
             Dir::Cache::srcpkgcache \"\";\nAPT::Sandbox::User \"{user}\";\nAcquire::Languages \"none\";\n\
             Acquire::http::Timeout \"60\";\n"
        );
        let configuration = place.write("apt.conf", configuration);
        let apt = place.under(tier, "apt-get").env("APT_CONFIG", configuration);
        let done = apt.args(["update", "--error-on=any"]).limit(Duration::from_secs(200)).run();
        let release = place.path(&format!("lists/{NAME}:{CGI}_apt_._Release"));
        assert!(done.status.success() && release.exists(), "{done}");
        place.proxied_at_least(CGI, 1);
    });
}

#[test]
fn apt_get_update_by_the_library() {
    apt_get_update("hook");
}

#[test]
fn apt_get_update_under_guard() {
    apt_get_update("guard");
}

#[test]
fn apt_get_update_sealed() {
    apt_get_update("sealed");
}

/// Root's programs may become somebody else before they connect.
#[test]
fn curl_as_another_user() {
    place::microsocks(|place| {
        place.start_web();
        let curl = format!("id -u; curl -sS http://{NAME}/");
        let changes: &[(&[&str], u32)] = if ordinary_user() {
            // Whose only other users are other names of himself.
            &[(&["unshare", "--user", "--map-user=1234", "sh", "-c", &curl], 1234)]
        } else {
            &[
                (
                    &["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", &curl],
                    65534,
                ),
                (&["su", "-s", "/bin/sh", "-c", &curl, "nobody"], 65534),
                (&["runuser", "-u", "nobody", "--", "sh", "-c", &curl], 65534),
            ]
        };
        for (n, (line, user)) in changes.iter().enumerate() {
            let done = place.wrapped(line[0]).args(&line[1..]).run();
            assert_eq!(done.success(), format!("{user}\n{PAGE}"), "{line:?}");
            place.proxied(HTTP, n + 1);
        }
    });
}
