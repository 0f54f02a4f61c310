//! The agent: how it lives beside the programs, what it shows to others, and when it leaves. What
//! it does with nonsense, and with programs that it was killed under, is in `faults`.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `background` | a process of its own: nothing of the program's, no child of it |
//! | `place` | the directory, its modes, one agent in each |
//! | `secrets` | no credential where others look |
//! | `leaving` | it stays as long as a program of its sessions lives, and leaves after it |
//! | `names` | fake addresses, known and unknown |
//! | `users` | programs that change their user |
//! | `status` | what it tells of connections and hops, and its log |
//! | `reload` | routes and chains that change under a running program |
//! | `many` | launches at once and in a row |

mod background;
mod leaving;
mod many;
mod names;
mod place;
mod reload;
mod secrets;
mod status;
mod users;

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use underpass_tests::proxies::{self, Fake};
use underpass_tests::{Command, World, servers, wait};

fn world() -> (World, Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

/// The one agent of this world.
#[track_caller]
fn agent(world: &World) -> u32 {
    let agents = world.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    agents[0]
}

/// Ends a process and waits for its end.
#[track_caller]
fn end(world: &World, process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it lives");
    wait("it ends", || !world.processes().contains(&process));
}

/// The directory of the agent, as the world's own processes see it.
fn directory(world: &World) -> PathBuf {
    world.agent_directory(agent(world))
}

/// The files in a directory of the world, as `MODE OWNER TYPE NAME`.
fn listed(world: &World, directory: &Path) -> Vec<String> {
    let find = world.client("find").arg(directory).args(["-mindepth", "1", "-printf", "%m %U %y %f\n"]);
    let mut lines: Vec<String> = find.run().success().lines().map(String::from).collect();
    lines.sort();
    lines
}

/// A connection to the banner server by name in one bash command.
const HELLO: &str = "exec 3<>/dev/tcp/far.test/7001; head -n1 <&3";

/// A program that connects once.
fn says_hello(world: &World, proxy: &Fake) -> Command {
    world.wrapped(proxy.url(), "bash").args(["-c", HELLO])
}

#[track_caller]
fn no_leaks(world: &World) {
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}
