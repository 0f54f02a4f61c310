//! How the program ends is how underpass ends.

use underpass_tests::{World, artifacts};

use crate::carried;

#[test]
fn the_exit_status_is_the_programs() {
    let world = World::new();
    for status in [0, 1, 77, 125, 126, 127, 255] {
        let done = carried(&world, "sh").args(["-c", &format!("exit {status}")]).run();
        assert_eq!(done.code(), status, "{done}");
        assert_eq!((&*done.stdout, &*done.stderr), ("", ""));
    }
}

/// Not by a status of 128 and something, as a shell would have it.
#[test]
fn the_parent_sees_a_death_by_signal_as_one() {
    let world = World::new();
    let itself = artifacts::program("itself");
    let underpass = artifacts::underpass();
    for (name, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("PIPE", 13), ("INT", 2)] {
        let parent = world.client(&itself).arg("status").arg(&underpass).args(["-x", "local:", "--"]);
        let done = parent.args(["sh", "-c", &format!("kill -{name} $$")]).run();
        assert_eq!(done.stdout, format!("signal {number}\n"), "{done}");
    }
}

/// It is statically linked, and can be started under itself all the same: the inner one's upstream counts.
#[test]
fn underpass_starts_underpass() {
    let world = World::new();
    let underpass = artifacts::underpass();
    let inner = ["-x", "local:", "--", "curl", "-sS", "http://hello.internal/"];
    let done = world
        .client(&underpass)
        .args(["-x", "socks5h://127.0.0.1:9", "--"])
        .arg(&underpass)
        .args(inner)
        .run();
    assert!(done.stdout.contains("hello.internal"), "{done}");
    let why = world.client(&underpass).arg("--explain").arg(&underpass).run();
    assert!(why.stdout.contains("it is underpass itself"), "{why}");
}

/// The launcher becomes the program: nothing is between it and its parent.
#[test]
fn the_program_has_the_process_that_was_started() {
    let world = World::new();
    let underpass = artifacts::underpass();
    let inner = format!("echo $$; exec {} -x local: -- sh -c 'echo $$ $PPID'", underpass.display());
    let outer = ["-c", "echo $$; sh -c \"$0\"; :", &inner];
    let done = world.client("sh").args(outer).run();
    let numbers: Vec<&str> = done.stdout.split_whitespace().collect();
    let [parent, before, after, its_parent] = numbers[..] else { panic!("{done}") };
    assert_eq!((before, parent), (after, its_parent), "{done}");
}
