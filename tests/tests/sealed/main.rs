//! The sealed tier: what reaches out of it, and what does not.
//!
//! | file | is |
//! | --- | --- |
//! | `connections` | static programs in both worlds, names, loopback and `direct` |
//! | `sockets` | Unix sockets, and sockets that were there before |
//! | `files` | users, `/run`, resolv.conf, mounts |
//! | `senders` | routes by program, of datagrams |
//! | `life` | exit status, signals, what is left behind; where it cannot be had |

mod connections;
mod files;
mod life;
#[path = "../guard/senders.rs"]
mod senders;
mod sockets;
#[path = "../conformance/worlds.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod worlds;

use underpass_tests::{Command, World, artifacts};

const TIER: &str = "sealed";

/// A program that is sealed, through this upstream.
fn sealed(world: &World, upstream: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let options = ["-x", upstream, "--tier", "sealed", "--"];
    world.client(artifacts::underpass()).args(options).arg(program)
}

/// A script of Python that is sealed; what it prints.
#[track_caller]
fn python(world: &World, upstream: &str, script: &str) -> String {
    let done = sealed(world, upstream, "/usr/bin/python3").args(["-c", script]).run();
    done.clone().success()
}

#[track_caller]
fn no_leaks(world: &World) {
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}
