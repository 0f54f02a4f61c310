//! The Debian package.

use underpass_tests::{Command, World};

use crate::{is_used, made, packager, stand_ins};

/// Every package of the same programs is the same, whoever makes it, when, and from which folder.
#[test]
fn a_package_that_is_made_twice_is_the_same() {
    let world = World::new();
    let [first, second] = ["a", "b"].map(|folder| stand_ins(&world, folder));
    world.client("chmod").arg("700").arg(second.join("underpass-agent")).run().success();
    world.client("touch").args(["-d", "2001-01-01"]).arg(second.join("underpass")).run().success();
    for kind in ["deb", "tarball"] {
        let one = packager(&world, kind, &first, "one").run().success();
        let two = packager(&world, kind, &second, "two").env("TZ", "Asia/Tokyo").run().success();
        world.client("cmp").args([one.trim_end(), two.trim_end()]).run().success();
    }
}

#[test]
fn dpkg_reads_what_it_is_and_what_is_in_it() {
    let world = World::new();
    let programs = stand_ins(&world, "a");
    let deb = packager(&world, "deb", &programs, "out").run().success();
    let ask = |option: &str| world.client("dpkg-deb").args([option, deb.trim_end()]).run().success();
    let fields = ask("--field");
    for field in ["Package: underpass\n", "Section: net\n", "Priority: optional\n"] {
        assert!(fields.contains(field), "{fields}");
    }
    assert!(fields.contains(&format!("Version: {}\n", env!("CARGO_PKG_VERSION"))), "{fields}");
    let contents = ask("--contents");
    assert!(contents.lines().all(|line| line.contains(" root/root ")), "{contents}");
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    for file in [
        "usr/bin/underpass",
        "usr/bin/underpass-agent",
        &*format!("usr/lib/{triplet}/underpass/libunderpass.so"),
        "usr/share/man/man1/underpass.1.gz",
        "usr/share/man/man1/underpass-agent.1.gz",
        "usr/share/man/man5/underpass.toml.5.gz",
        "usr/share/man/man5/relay.toml.5.gz",
        "usr/share/bash-completion/completions/underpass-agent",
        "usr/share/zsh/vendor-completions/_underpass",
        "usr/share/fish/vendor_completions.d/underpass.fish",
        "usr/share/doc/underpass/copyright",
        "usr/share/doc/underpass/changelog.gz",
        "usr/share/doc/underpass/examples/example.toml",
        "usr/share/doc/underpass/examples/relay.toml",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(&format!(" ./{file}"))), "no {file}: {contents}");
    }
}

/// dpkg, for a root that is a folder of the world's, and has nothing but dpkg's own files.
fn dpkg(world: &World) -> Command {
    let root = world.directory().join("root");
    let own = root.join("var/lib/dpkg");
    if !own.exists() {
        for folder in ["info", "updates"] {
            std::fs::create_dir_all(own.join(folder)).expect("the directory is ours");
        }
        std::fs::write(own.join("status"), "").expect("the directory is ours");
    }
    let options = ["--force-script-chrootless", "--force-depends", "--force-unsafe-io", "--log=dpkg.log"];
    // Images for containers leave documents out.
    let all = "--path-include=/*";
    world.client("dpkg").arg(format!("--root={}", root.display())).args(options).arg(all)
}

/// All in the root but what dpkg keeps for itself.
fn in_root(world: &World) -> Vec<String> {
    let find = world.client("find").args(["root", "-path", "root/var/lib/dpkg", "-prune", "-o", "-print"]);
    let mut found: Vec<String> = find.run().success().lines().map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn it_is_installed_used_and_removed_without_a_trace() {
    let world = World::new();
    let deb = made(&world, "deb");
    let program = world.directory().join("root/usr/bin/underpass");
    assert!(dpkg(&world).arg("--install").arg(&deb).run().success().contains("Setting up underpass"));
    // Each file has the checksum that the package says.
    let verified = dpkg(&world).args(["--verify", "underpass"]).run();
    assert_eq!(verified.success(), "");
    is_used(&world, &program);
    dpkg(&world).args(["--purge", "underpass"]).run().success();
    assert_eq!(in_root(&world), ["root", "root/var", "root/var/lib"]);
}
