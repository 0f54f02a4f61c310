//! Other preload libraries stay, and our own is found and loaded wherever it lies.

use std::path::{Path, PathBuf};

use underpass_tests::proxies::Fake;
use underpass_tests::servers::port;
use underpass_tests::{Command, World, artifacts, proxies, servers};

use crate::{failed, nothing_happened};

/// Writes the machine's name, which the other library changes, and what a server says.
fn script() -> String {
    let bash = format!("exec 3<>/dev/tcp/far.test/{}; head -n1 <&3", port::BANNER);
    format!("uname -n; bash -c '{bash}'")
}

fn world() -> (World, Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

/// Both libraries are in every program of the script, and its traffic is carried.
#[track_caller]
fn both_work(world: &World, proxy: &Fake, command: Command) {
    proxy.forget();
    let done = command.run();
    assert_eq!((&*done.stdout, &*done.stderr), ("second\nhello\n", ""), "{done}");
    assert_eq!(proxy.requests()[0].to_string(), "name far.test 7001");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn other_preload_libraries_are_kept_in_either_order() {
    let (world, proxy) = world();
    let ours = artifacts::library().display().to_string();
    let second = artifacts::shared_library("second").display().to_string();
    for preload in [
        second.clone(),
        format!("{second}:{ours}"),
        format!("{ours}:{second}"),
        format!("{second} {ours}"),
        format!(" ::{second}: "),
    ] {
        let carried = world.wrapped(proxy.url(), "sh").args(["-c", &script()]);
        both_work(&world, &proxy, carried.env("LD_PRELOAD", preload));
    }
}

/// A program in a session that starts another with a library of its own choice.
#[test]
fn a_library_that_a_program_of_the_session_adds_is_kept() {
    let (world, proxy) = world();
    let ours = artifacts::library().display().to_string();
    let second = artifacts::shared_library("second").display().to_string();
    for preload in [second.clone(), format!("{second}:{ours}"), format!("{ours}:{second}")] {
        let add = format!("LD_PRELOAD={preload}");
        let carried = world.wrapped(proxy.url(), "env").args([&add, "sh", "-c", &script()]);
        both_work(&world, &proxy, carried);
    }
    // Started with an empty environment.
    let carried = world.wrapped(proxy.url(), "env").args(["-i", &format!("LD_PRELOAD={second}")]);
    both_work(&world, &proxy, carried.args(["/bin/sh", "-c", &script()]));
}

/// The three files of the product in another directory.
fn installed(directory: &Path) -> PathBuf {
    std::fs::create_dir_all(directory).expect("the directory is ours");
    for file in [artifacts::underpass(), artifacts::agent(), artifacts::library()] {
        std::fs::copy(&file, directory.join(file.file_name().expect("a name"))).expect("it was built");
    }
    directory.join("underpass")
}

fn says_hello(command: Command, proxy: &Fake) -> Command {
    let line = format!("exec 3<>/dev/tcp/far.test/{}; head -n1 <&3", port::BANNER);
    command.args(["-x", proxy.url(), "--", "bash", "-c", &line])
}

/// ld.so takes both for the end of an entry.
#[test]
fn a_place_with_a_space_and_a_colon_is_no_obstacle() {
    let (world, proxy) = world();
    for (count, place) in ["a b", "a:b", "a b:c", "\u{fc} \u{df}", "$ORIGIN"].into_iter().enumerate() {
        let underpass = installed(&world.directory().join(place));
        let done = says_hello(world.client(&underpass), &proxy).run();
        assert_eq!((&*done.stdout, &*done.stderr), ("hello\n", ""), "{done}");
        assert_eq!(proxy.requests().len(), count + 1, "{place}");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// It is found beside the executable itself, not beside a link to it.
#[test]
fn a_symbolic_link_to_the_launcher_works() {
    let (world, proxy) = world();
    let link = world.directory().join("up");
    std::os::unix::fs::symlink(artifacts::underpass(), &link).expect("the directory is ours");
    let done = says_hello(world.client(&link), &proxy).run();
    assert_eq!(done.stdout, "hello\n", "{done}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn without_the_library_or_the_agent_nothing_is_started() {
    let (world, proxy) = world();
    for (missing, what) in [
        ("libunderpass.so", "libunderpass.so: not found"),
        ("underpass-agent", "cannot be started: no such file"),
    ] {
        let directory = world.directory().join(format!("without-{missing}"));
        let underpass = installed(&directory);
        std::fs::remove_file(directory.join(missing)).expect("it was copied");
        failed(&says_hello(world.client(&underpass), &proxy).run(), 125, what);
        nothing_happened(&world);
    }
    assert_eq!(proxy.requests(), []);
}
