//! The examples for CI systems: their lines, as those systems run them, through a real proxy.

use std::time::{Duration, Instant};

use underpass_tests::{PATIENCE, World, artifacts, proxies};

use crate::serve_hello;

/// Runs each shell of an example, with the variables that it asks for; the proxy has served so many requests then.
fn run(example: &str, variable: &str, shells: usize, requests: usize) {
    let world = World::new();
    serve_hello(&world);
    let proxy = proxies::microsocks(&world, None);
    let workspace = artifacts::workspace();
    let steps = world.client("python3").arg(workspace.join("tests/programs/ci_steps.py"));
    let steps = steps.arg(workspace.join("docs/ci").join(example)).arg("steps").run().success();
    assert_eq!(steps.lines().count(), shells, "{steps}");
    let programs = artifacts::underpass();
    let programs = programs.parent().expect("it is in a folder").display();
    for step in steps.lines() {
        let words: Vec<&str> = step.split(' ').collect();
        let path = format!("{programs}:/usr/bin:/bin");
        let shell = world.client("env").args(words).env("PATH", path).env("CI", "true");
        let shell = shell.env(variable, proxy.url()).env("REGISTRY", "http://echo.test:7080");
        let done = shell.run();
        assert_eq!(done.code(), 0, "{done}");
    }
    proxy.wait_served("echo.test", 7080, requests);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    // The agent leaves with the last shell.
    let limit = Instant::now() + PATIENCE;
    while !world.agents().is_empty() {
        assert!(Instant::now() < limit, "an agent is left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn github_actions() {
    run("github.yml", "ALL_PROXY", 3, 1);
}

#[test]
fn gitlab() {
    run("gitlab.yml", "PROXY_URL", 1, 1);
}

#[test]
fn jenkins() {
    run("Jenkinsfile", "PROXY_URL", 2, 2);
}
