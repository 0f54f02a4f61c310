//! `--shell`: what a shell evaluates has all its programs carried, for as long as it lives.

use std::time::{Duration, Instant};

use underpass_tests::{PATIENCE, World, artifacts, proxies};

use crate::{HELLO, web};

#[test]
fn a_shell_that_evaluates_it_has_its_programs_carried_and_keeps_the_agent() {
    let world = World::new();
    web(&world);
    let proxy = proxies::microsocks(&world, None);
    // In CI an agent leaves at once, so this one lives by the shell alone.
    let shell = world.client("sh").env("CI", "1").env("ALL_PROXY", proxy.url()).env("LD_PRELOAD", "it's.so");
    let mut shell = shell.spawn();
    shell.say(&format!(
        "eval \"$({} -q --shell)\"; echo $ALL_PROXY/$LD_PRELOAD",
        artifacts::underpass().display()
    ));
    let line = shell.next_line();
    assert!(line.starts_with('/') && line.ends_with("libunderpass.so:it's.so"), "{line}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(world.agents().len(), 1, "the shell lives");
    shell.say(&format!("unset ALL_PROXY; LD_PRELOAD=${{LD_PRELOAD%:*}}; curl {}", HELLO.join(" ")));
    assert_eq!(shell.next_line(), "hello");
    proxy.wait_served("echo.test", 7080, 1);
    shell.close_input();
    shell.wait();
    let limit = Instant::now() + PATIENCE;
    while !world.agents().is_empty() {
        assert!(Instant::now() < limit, "the agent outlives the shell");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn the_exports_are_two_lines_for_sh() {
    let world = World::new();
    // Its parent is to be a process of the world.
    let script =
        format!("{} -x socks5h://me:hunter2@10.77.0.1:1 --shell; :", artifacts::underpass().display());
    let done = world.client("sh").args(["-c", &script]).run();
    assert_eq!(done.stderr, "");
    let text = done.success();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].starts_with("export LD_PRELOAD='/") && lines[0].ends_with("/libunderpass.so'"),
        "{text}"
    );
    assert!(lines[1].starts_with("export UNDERPASS_SESSION='1:"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
