//! A fresh Debian: the lines of docs/packages.md and of the Containerfile, and what removal leaves. For root, with a
//! network: the packages of Debian are fetched.

use std::fs;
use std::time::Duration;

use underpass_tests::{Command, World, artifacts};

use crate::made;

/// For what is fetched.
const LONG: Duration = Duration::from_secs(1800);

/// What a package manager keeps for itself, and what the kernel makes.
const NOT_COMPARED: [&str; 6] = ["/var/lib/apt", "/var/lib/dpkg", "/var/cache", "/var/log", "/proc", "/tmp"];

/// A line of shell in the Debian that is in `debian/`, with processes of its own, which end with it.
pub(crate) fn within(world: &World, line: &str) -> Command {
    let script = "mount -t proc proc debian/proc; exec chroot debian sh -euxc \"$0\"";
    let own = world.outside("unshare").args(["--mount", "--pid", "--fork", "sh", "-ec", script, line]);
    own.env("DEBIAN_FRONTEND", "noninteractive").env("HOME", "/root").env("XDG_RUNTIME_DIR", "").limit(LONG)
}

/// Unpacks this release of Debian, with these packages, and copies our package there.
pub(crate) fn fresh(world: &World, release: &str, packages: &str) {
    assert!(rustix::process::geteuid().is_root(), "only root can unpack a Debian");
    let debootstrap = world.outside("unshare").args(["--mount", "--pid", "--fork", "debootstrap"]);
    debootstrap.args(["--variant=minbase", release, "debian"]).limit(LONG).run().success();
    within(world, &format!("apt-get install -y --no-install-recommends {packages}")).run().success();
    let deb = made(world, "deb");
    let name = deb.file_name().expect("it is a file");
    fs::copy(&deb, world.directory().join("debian/root").join(name)).expect("the directory is ours");
}

fn files(world: &World) -> Vec<String> {
    let prune = NOT_COMPARED.map(|path| format!("-path {path} -prune -o")).join(" ");
    let found = within(world, &format!("find / {prune} -print")).run().success();
    let mut found: Vec<String> = found.lines().map(str::to_owned).collect();
    found.sort();
    found
}

/// The indented lines of a section.
fn guide() -> Vec<String> {
    let document = fs::read_to_string(artifacts::workspace().join("docs/packages.md")).expect("it is there");
    let section = document.split("\n## ").find(|section| section.starts_with("First steps\n"));
    let lines = section.expect("it has a guide").lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(str::to_owned).collect()
}

#[test]
#[ignore = "long: a Debian is fetched and unpacked; for root"]
fn the_guide_is_followed_and_removal_leaves_nothing() {
    let world = World::new();
    // What the guide takes for granted.
    fresh(&world, "bookworm", "curl ca-certificates");
    let before = files(&world);
    let lines = guide();
    assert!(lines.len() >= 4, "{lines:?}");
    let mut said = String::new();
    for line in &lines {
        said.push_str(&within(&world, &format!("cd; {line}")).run().success());
    }
    assert!(said.contains("Hello from underpass."), "{said}");
    assert_eq!(files(&world), before);
    image(&world);
}

/// The lines of the Containerfile, as an engine would run them.
fn image(world: &World) {
    let recipe = artifacts::workspace().join("launcher/package/Containerfile");
    let recipe = fs::read_to_string(recipe).expect("it is there");
    let of = |word: &str| {
        let line = recipe.lines().find_map(|line| line.strip_prefix(word));
        line.unwrap_or_else(|| panic!("no {word}: {recipe}")).trim()
    };
    assert!(of("FROM").contains("debian:12"), "{recipe}");
    within(world, &format!("cd; cp {}", of("COPY"))).run().success();
    within(world, of("RUN")).run().success();
    assert_eq!(of("ENTRYPOINT"), r#"["underpass"]"#);
    let done = within(world, "underpass -x local: curl -sS http://hello.internal/").run().success();
    assert!(done.contains("Hello from underpass."), "{done}");
}
