//! The resolvers themselves: systemd-resolved, avahi and nscd, as Debian has them, and what asks them. For root, with a network:
//! their packages are fetched, and not installed.

use std::time::{Duration, Instant};

use underpass_tests::{PATIENCE, Running, World, artifacts, proxies, servers};

const PACKAGES: &str = "systemd-resolved libnss-resolve libsystemd-shared avahi-daemon libavahi-core7 \
     libavahi-common3 libdaemon0 libnss-mdns nscd";
const FETCH: &str = "apt-get download -q $0 && for package in *.deb; do dpkg -x $package debian; done";

/// They have users of their own, which only this world knows. Nothing but what is asked of them leaves, once avahi has said
/// who it is.
const START: &str = r#"
cd "$1"
for id in systemd-resolve:991 avahi:992; do
    echo "${id%:*}:x:${id#*:}:${id#*:}::/:/bin/false" >>passwd
    echo "${id%:*}:x:${id#*:}:" >>group
done
for file in passwd group; do
    cat /etc/$file >>$file
    mount --bind $file /etc/$file
done
mkdir -p /run/systemd/resolve /run/systemd/resolved.conf.d /run/nscd /run/avahi-daemon
chown systemd-resolve: /run/systemd/resolve
printf '[Resolve]\nDNS=10.77.0.1\nLLMNR=no\nMulticastDNS=no\nDNSStubListener=no\n' >/run/systemd/resolved.conf.d/world.conf
printf '[server]\nenable-dbus=no\nuse-ipv6=no\n' >avahi.conf
printf 'enable-cache hosts yes\npersistent hosts no\n' >nscd.conf
debian/lib/systemd/systemd-resolved &
debian/usr/sbin/avahi-daemon --no-drop-root --no-chroot --no-rlimits -f "$1/avahi.conf" &
debian/usr/sbin/nscd -d -f "$1/nscd.conf" &
wait
"#;

const SOCKETS: [&str; 3] =
    ["/run/systemd/resolve/io.systemd.Resolve", "/run/avahi-daemon/socket", "/run/nscd/socket"];

/// Where the packages have their libraries, modules of the name service among them.
fn libraries(world: &World) -> String {
    let folders = ["usr/lib/$A/systemd", "usr/lib/$A", "lib/$A"].map(|folder| {
        let folder = folder.replace("$A", &format!("{}-linux-gnu", std::env::consts::ARCH));
        format!("{}/debian/{folder}", world.directory().display())
    });
    format!("LD_LIBRARY_PATH={}", folders.join(":"))
}

fn started(world: &World) -> Running {
    world.outside("sh").args(["-ec", FETCH, PACKAGES]).limit(Duration::from_secs(300)).run().success();
    let directory = world.directory().display().to_string();
    let daemons = world.client("env").args([&libraries(world), "sh", "-c", START, "sh", &directory]);
    let mut running = daemons.limit(Duration::MAX).spawn();
    let limit = Instant::now() + PATIENCE;
    for socket in SOCKETS {
        while !world.client("test").args(["-S", socket]).run().status.success() {
            let in_time = Instant::now() < limit && !running.has_ended();
            assert!(in_time, "{socket} is not there: {}", running.end());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    quiet(world);
    running
}

/// Waits until nothing has been sent for some seconds: resolvers ask again.
fn quiet(world: &World) {
    let limit = Instant::now() + PATIENCE.max(Duration::from_secs(90));
    let mut before = None;
    while before.replace(world.leaks()) != Some(world.leaks()) {
        assert!(Instant::now() < limit, "something is sent all the time: {:?}", world.leaked());
        std::thread::sleep(Duration::from_secs(6));
    }
}

#[test]
#[ignore = "long: packages of Debian are fetched; for root"]
fn what_asks_a_resolver_by_its_socket_sends_nothing() {
    assert!(rustix::process::geteuid().is_root(), "resolvers have users of their own");
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::dante(&world);
    let mut daemons = started(&world);
    let libraries = libraries(&world);
    let lookup = artifacts::compiled("leak_name", "leak_name-static", &["-static", "-lresolv"]);
    let lookup = lookup.to_str().expect("a path of ours is UTF-8");
    // The last one asks again for minutes where it has no answer.
    let ways: [&[&str]; 3] = [
        &["getent", "-s", "hosts:mdns4_minimal", "hosts", "one.local"],
        &[lookup, "getaddrinfo", "two.example"],
        &["getent", "-s", "hosts:resolve", "hosts", "three.example"],
    ];
    let underpass = artifacts::underpass().display().to_string();
    // Without the library: a static program cleans the environment.
    let launcher = |tier| vec![&*underpass, "-q", "-x", proxy.url(), "--tier", tier, "--", "busybox"];
    let tiers = [(launcher("guard"), false), (launcher("sealed"), false), (vec![], true)];
    for (launcher, leaves) in tiers {
        for way in ways {
            quiet(&world);
            let before = world.leaks();
            let line = [&launcher[..], &["env", "-i", &libraries], way].concat();
            let done = world.client(line[0]).args(&line[1..]).limit(Duration::from_secs(20)).run_or_kill();
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(world.leaks() > before, leaves, "{done}\n{:?}", world.leaked());
        }
    }
    assert!(!daemons.has_ended(), "the resolvers have ended");
}
