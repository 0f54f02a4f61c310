//! The unit files, as systemd judges them.

use std::path::{Path, PathBuf};

use underpass_tests::{World, artifacts};

macro_rules! unit {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../tunnel-agent/units/", $name)))
    };
}

pub(crate) const UNITS: [(&str, &str); 6] = [
    unit!("system/underpass-agent.service"),
    unit!("system/underpass-agent.socket"),
    unit!("system/underpass-relay.service"),
    unit!("system/underpass-relay.socket"),
    unit!("user/underpass-agent.service"),
    unit!("user/underpass-agent.socket"),
];

/// The files of one manager in the world's directory. What they start is where it is here.
fn files(world: &World, manager: &str) -> Vec<PathBuf> {
    let _ = std::fs::create_dir(world.directory().join(manager));
    let own = UNITS.iter().filter(|(name, _)| name.starts_with(manager));
    own.map(|(name, text)| {
        let file = world.directory().join(name);
        let text = text.replace("/usr/bin/underpass-agent", &artifacts::agent().to_string_lossy());
        std::fs::write(&file, text).expect("the directory is ours");
        file
    })
    .collect()
}

/// 0 is no access to anything, 10 is everything. A manager of an ordinary user can take away but little.
#[test]
fn services_are_exposed_as_little_as_they_can_be() {
    let world = World::new();
    let exposure = |file: &Path| {
        let analyze =
            world.outside("systemd-analyze").args(["security", "--offline=true", "--threshold=100"]);
        let said = analyze.arg("--no-pager").arg(file).run().success();
        let line = said.lines().rfind(|line| line.contains("Overall exposure level")).expect("it judges");
        let number = line.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        number.and_then(|number| number.parse::<f32>().ok()).expect("it is a number")
    };
    for (manager, services, most) in [("system", 2, 2.0), ("user", 1, 6.5)] {
        let mut files = files(&world, manager);
        files.retain(|file| file.extension().is_some_and(|end| end == "service"));
        assert_eq!(files.len(), services);
        for file in files {
            let found = exposure(&file);
            assert!(found <= most, "{}: {found}", file.display());
        }
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_them() {
    let world = World::new();
    for manager in ["system", "user"] {
        let verify = world.outside("systemd-analyze").args(["verify", "--man=no", "--no-pager"]);
        let done = verify.arg(format!("--{manager}")).args(files(&world, manager)).run();
        let complaints = || done.stderr.lines().filter(|line| line.contains("underpass"));
        assert!(done.code() == 0 && complaints().next().is_none(), "{done}");
    }
}
