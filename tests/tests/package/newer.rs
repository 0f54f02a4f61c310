//! The package in a Debian that is newer than the one that it is made in. For root, with a network.

use std::fs;

use underpass_tests::{World, artifacts};

use crate::fresh::{fresh, within};

/// What `local:` answers, of whoever asks by its name.
const HELLO: &str = "Hello from underpass.";
const ASKS: &str = "curl -sS http://hello.internal/";

#[test]
#[ignore = "long: a Debian is fetched and unpacked; for root"]
fn programs_of_a_newer_libc_are_carried() {
    let world = World::new();
    fresh(&world, "trixie", "curl ca-certificates git python3 busybox-static");
    within(&world, "apt-get install -y /root/underpass_*.deb").run().success();
    let program = world.directory().join("debian/root/pidfd_spawn");
    fs::copy(artifacts::program("pidfd_spawn"), program).expect("the directory is ours");
    let says = |line: &str| within(&world, &format!("CI=1 underpass {line}")).run().success();
    for tier in ["hook", "auto", "guard"] {
        let said = says(&format!("--tier {tier} -x local: {ASKS}"));
        assert!(said.contains(HELLO), "{tier}: {said}");
    }
    let script =
        "import urllib.request; print(urllib.request.urlopen('http://hello.internal/').read().decode())";
    assert!(says(&format!("-x local: python3 -c \"{script}\"")).contains(HELLO));
    assert!(says("-x local: busybox wget -qO- http://hello.internal/").contains(HELLO));
    // Functions that the older libc has not; one starts what cannot load the library.
    for command in [format!("/usr/bin/{ASKS}"), "/bin/busybox wget -qO- http://hello.internal/".to_owned()] {
        let said = says(&format!("-x local: /root/pidfd_spawn {command}"));
        assert_eq!(said.matches(HELLO).count(), 2, "{said}");
        assert!(
            said.contains("pidfd_spawn: status 0\n") && said.contains("pidfd_spawnp: status 0\n"),
            "{said}"
        );
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
