//! The units in a machine with systemd: what starts, reloads, replaces, watches and ends them is its own. For root.

use std::fs;
use std::time::Duration;

use underpass_tests::{World, artifacts};

use crate::units;

const FILES: [(&str, &str); 2] =
    [("trial.service", include_str!("trial.service")), ("trial.sh", include_str!("trial.sh"))];

#[test]
#[ignore = "long: systemd is started and a watchdog waited for; for root"]
fn systemd_runs_them() {
    assert!(
        rustix::process::geteuid().is_root(),
        "only root can start systemd over the files of this machine"
    );
    let world = World::new();
    let here = world.directory();
    for (name, text) in FILES {
        fs::write(here.join(name), text).expect("the directory is ours");
    }
    for program in [artifacts::underpass(), artifacts::agent(), artifacts::library()] {
        let name = program.file_name().expect("it is a file");
        fs::copy(&program, here.join(name)).expect("the directory is ours");
    }
    for folder in ["machine", "units/system", "units/user"] {
        fs::create_dir_all(here.join(folder)).expect("the directory is ours");
    }
    for (name, text) in units::UNITS {
        fs::write(here.join("units").join(name), text).expect("the directory is ours");
    }
    let boot = world.outside("bash").args(["-c", include_str!("boot.sh"), "boot"]).arg(here);
    let done = boot.limit(Duration::from_secs(300)).run();
    let said = fs::read_to_string(here.join("said")).unwrap_or_default();
    assert!(done.code() == 0 && said.ends_with("done\n"), "{done}\n{said}");
}
