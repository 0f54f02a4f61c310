//! L38: a second thread changes what the supervisor has judged, before the kernel looks at it.

use std::time::Duration;

use underpass_tests::{World, artifacts, proxies, servers, wait};

/// The address, its family, the socket behind the descriptor, the address of a datagram.
const WAYS: [&str; 4] = ["flip", "family", "dup", "message"];

fn gains_nothing(tier: &str, tries: &str, limit: Duration) {
    let program = artifacts::compiled("leak_given", "leak_given", &["-lresolv"]);
    for way in WAYS {
        let world = World::new();
        servers::start(&world);
        let proxy = proxies::fake(&world);
        // On a busy machine one thread may have done all its tries before the other has begun.
        wait(&format!("{way}: the control leaks"), || {
            let native = world.client(&program).args(["race", way, tries]).limit(limit).run();
            assert_eq!(native.stdout, "tried\n", "{native}");
            world.leaks() != 0
        });
        let control = world.leaks();
        let options = ["--tier", tier, "-x", proxy.url(), "--"];
        let guarded = world.client(artifacts::underpass()).args(options).arg(&program);
        let done = guarded.args(["race", way, tries]).limit(limit).run();
        assert_eq!(done.stdout, "tried\n", "{way}: {done}");
        assert_eq!(world.leaks(), control, "{way}: leaked: {:?}", world.leaked());
    }
}

#[test]
fn a_race_gains_nothing_under_guard() {
    gains_nothing("guard", "3000", Duration::from_secs(120));
}

#[test]
fn a_race_gains_nothing_where_a_program_is_sealed() {
    gains_nothing("sealed", "3000", Duration::from_secs(120));
}

#[test]
#[ignore = "long: a million tries of each kind"]
fn a_million_races_gain_nothing_under_guard() {
    gains_nothing("guard", "1000000", Duration::from_secs(3600));
}
