//! The launcher: the program that it becomes differs in nothing that it can see from one started
//! without it, and what it refuses it refuses by status, in one line, and without a packet.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `status` | how the program ends |
//! | `surroundings` | arguments, environment, signals, descriptors, the terminal |
//! | `preload` | other preload libraries, and odd places of our own |
//! | `refusals` | programs that cannot be carried |
//! | `misuse` | command lines that are wrong |
//! | `answers` | `--help`, `--version`, `--why`, `--explain`, `-v` |

mod answers;
mod misuse;
mod preload;
mod refusals;
mod status;
mod surroundings;

use underpass_tests::{Command, Finished, World, artifacts};

/// `underpass` with these arguments, as they are.
fn underpass(world: &World, arguments: &[&str]) -> Command {
    world.client(artifacts::underpass()).args(arguments)
}

/// A program under underpass, by an upstream that needs no proxy.
fn carried(world: &World, program: impl AsRef<std::ffi::OsStr>) -> Command {
    world.wrapped("local:", program)
}

/// Checks a failure of the launcher's own: the status, nothing on standard output, one line on
/// standard error that holds `what`, and perhaps a hint.
#[track_caller]
fn failed(done: &Finished, status: i32, what: &str) {
    let lines: Vec<&str> = done.stderr.lines().collect();
    let hinted = lines.len() == 2 && lines[1].starts_with("hint: ");
    assert_eq!(done.code(), status, "{done}");
    assert_eq!(done.stdout, "", "{done}");
    assert!(lines.len() == 1 || hinted, "{done}");
    assert!(lines[0].starts_with("underpass: ") && lines[0].contains(what), "no {what:?}: {done}");
    assert!(done.stderr.ends_with('\n') && !lines[0].ends_with('.'), "{done}");
}

/// What a launch that came to nothing leaves: no packet and no agent.
#[track_caller]
fn nothing_happened(world: &World) {
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    assert_eq!(world.agents(), [0; 0]);
}
