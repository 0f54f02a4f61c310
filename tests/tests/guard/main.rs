//! The guard tier: static programs in both worlds, what they may make, and the processes that hold them.
//!
//! | file | is |
//! | --- | --- |
//! | `static_programs` | the conformance programs, linked statically |
//! | `programs` | real programs, and programs that start others |
//! | `binding` | what sockets are bound to
//! | `container` | where the system lets nobody take copies of descriptors |
//! | `older` | where the kernel knows no threads by descriptors |
//! | `near_proxy` | sockets that are handed off to a proxy on this machine |
//! | `datagrams` | datagrams, and names that are asked for by them |
//! | `senders` | routes by program, of datagrams; sealed too |
//! | `held` | what is refused, and what fails closed |
//! | `terminal` | job control, interrupts, sizes and hangups at a terminal |
//! | `torture` | calls of the supervisor that fail |
//! | `nested` | sandboxes and filters of the program's own |
//! | `life` | exit status, signals, job control, what is left behind |

mod binding;
mod container;
mod datagrams;
mod held;
mod life;
mod near_proxy;
mod nested;
mod older;
mod programs;
mod senders;
mod static_programs;
mod terminal;
mod torture;
#[path = "../conformance/worlds.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod worlds;

use underpass_tests::{Command, World, artifacts};

const TIER: &str = "guard";

/// A program under guard, through this upstream.
fn guarded(world: &World, upstream: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let options = ["-x", upstream, "--tier", "guard", "--"];
    world.client(artifacts::underpass()).args(options).arg(program)
}

/// Python under guard without the library: a static program has cleaned the environment.
fn bare(world: &World, upstream: &str) -> Command {
    guarded(world, upstream, "busybox").args(["env", "-i", "/usr/bin/python3"])
}

#[track_caller]
fn no_leaks(world: &World) {
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}
