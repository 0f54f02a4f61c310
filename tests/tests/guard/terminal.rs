//! Sessions at a terminal, in both worlds: a person sees of a guarded program what is seen of any other.

use std::path::PathBuf;

use underpass_tests::{World, artifacts};

fn sessions() -> PathBuf {
    artifacts::workspace().join("tests/programs/terminal.py")
}

/// The same natively, under guard, sealed, and under guard in a leak test.
#[track_caller]
fn is_the_same(scene: &str) {
    let world = World::new();
    let files = ["nohup.out", "go", "after"].map(|name| world.directory().join(name));
    let told = |options: &[&str]| {
        for file in &files {
            let _ = std::fs::remove_file(file);
        }
        let session = world.client("python3").arg(sessions()).arg(scene);
        let session = match options {
            [] => session,
            options => session.arg(artifacts::underpass()).args(options).arg("--"),
        };
        session.run().success()
    };
    let native = told(&[]);
    assert!(!native.is_empty(), "{scene}");
    assert_eq!(told(&["-x", "local:", "--tier", "guard"]), native, "{scene}, guard");
    assert_eq!(told(&["-x", "local:", "--tier", "sealed"]), native, "{scene}, sealed");
    assert_eq!(told(&["-q", "--leaktest", "-x", "local:", "--tier", "guard"]), native, "{scene}, leak test");
}

#[test]
fn a_shell_stops_resumes_interrupts_and_quits_it() {
    is_the_same("jobs");
}

#[test]
fn the_end_of_input_is_the_end_of_input() {
    is_the_same("ended_input");
}

#[test]
fn a_guarded_shell_has_jobs_of_its_own() {
    is_the_same("inner");
}

#[test]
fn a_window_that_changes_its_size_is_noticed() {
    is_the_same("size");
}

#[test]
fn a_terminal_that_goes_away_ends_what_does_not_ignore_it() {
    is_the_same("hangup");
}
