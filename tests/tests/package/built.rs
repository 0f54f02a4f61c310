//! The programs of a package, built in two places from the same commit.

use std::time::Duration;

use underpass_tests::{World, artifacts};

#[test]
#[ignore = "long: the programs are built twice"]
fn the_same_commit_gives_the_same_package_wherever_it_is_built() {
    let world = World::new();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let [home, path] = ["HOME", "PATH"].map(|name| std::env::var(name).expect("it is set"));
    let places = ["a", "a-place-of-another-length"].map(|place| world.directory().join(place));
    // Both before the first is built: somebody may commit meanwhile.
    for place in &places {
        let script = "mkdir \"$2\"; git -C \"$1\" archive HEAD | tar -x -C \"$2\"";
        let copied = world.outside("sh").args(["-euc", script, "sh"]).arg(artifacts::workspace()).arg(place);
        copied.run().success();
    }
    let packages = places.map(|place| {
        let packager = world.outside(artifacts::packager().0).arg("deb").arg("--source").arg(&place);
        let packager = packager.arg("--out").arg(place.join("out")).env("SOURCE_DATE_EPOCH", "1795312861");
        let packager = packager.env("CARGO", &cargo).env("HOME", &home).env("PATH", &path);
        packager.limit(Duration::from_secs(7200)).run().success().trim_end().to_owned()
    });
    world.outside("cmp").args(packages).run().success();
}
