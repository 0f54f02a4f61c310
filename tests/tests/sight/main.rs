//! Sight: what an agent and a relay tell of themselves while they run.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `failures` | what has failed lately, and why |
//! | `diagrams` | the running chains as a picture |
//! | `top` | a screen of it |
//! | `metrics` | numbers, as Prometheus reads them |

mod diagrams;
mod failures;
mod metrics;
mod top;

use std::path::PathBuf;

use serde_json::Value;
use underpass_tests::proxies::{self, Fake};
use underpass_tests::{Command, Running, World, artifacts, servers, wait};

fn world() -> (World, Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

/// `underpass-agent` with these words.
fn ask(world: &World, words: &[&str]) -> Command {
    world.client(artifacts::agent()).args(words)
}

fn status(world: &World) -> Value {
    serde_json::from_str(&ask(world, &["status", "--json"]).run().success()).expect("it is JSON")
}

/// A configuration file of the world's.
fn file(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.directory().join(name);
    std::fs::write(&path, text).expect("the directory is ours");
    path
}

/// A bash script with the configuration of a file.
fn script(world: &World, file: &std::path::Path, script: &str) -> Command {
    let underpass = world.client(artifacts::underpass()).arg("-f").arg(file);
    underpass.args(["--", "bash", "-c", script])
}

/// Sends five bytes to the echo server, takes them back, and stays connected until it reads a line.
const STAYS: &str = "exec 3<>/dev/tcp/far.test/7007; printf hello >&3; head -c5 <&3; echo; read line";

/// Starts a script that says `hello` when it is connected.
fn connected(command: Command) -> Running {
    let mut program = command.spawn();
    assert_eq!(program.next_line(), "hello");
    program
}
