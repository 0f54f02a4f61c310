//! The tarball.

use underpass_tests::World;

use crate::{is_used, made};

#[test]
fn it_is_used_from_where_it_is_unpacked() {
    let world = World::new();
    let tarball = made(&world, "tarball");
    world.client("mkdir").arg("opt").run().success();
    world.client("tar").arg("-xzf").arg(&tarball).args(["-C", "opt"]).run().success();
    let name = tarball.file_name().unwrap_or_default().to_string_lossy().replace(".tar.gz", "");
    is_used(&world, &world.directory().join("opt").join(name).join("bin/underpass"));
}
