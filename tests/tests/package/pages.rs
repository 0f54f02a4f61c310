//! The man pages.

use underpass_tests::{World, artifacts};

use crate::{packager, stand_ins};

const PAGES: [&str; 4] = ["underpass.1", "underpass-agent.1", "underpass.toml.5", "relay.toml.5"];

#[test]
fn man_and_mandoc_read_them_without_a_complaint() {
    let world = World::new();
    let programs = stand_ins(&world, "a");
    packager(&world, "pages", &programs, "out").run().success();
    for page in PAGES {
        let path = format!("out/{page}");
        for language in ["C.UTF-8", "C"] {
            let shown = world.client("man").args(["--warnings", "-l", &path]).env("MANWIDTH", "80");
            let shown = shown.env("LANG", language).run();
            assert_eq!(shown.stderr, "", "{page} {language}");
            assert!(shown.success().contains("NAME"), "{page} {language}");
        }
        let lint = world.client("mandoc").args(["-T", "lint", "-W", "warning", &path]).run();
        assert_eq!((lint.code(), &*lint.stdout, &*lint.stderr), (0, "", ""), "{page}");
    }
}

/// Each option that `--help` names has its paragraph.
#[test]
fn they_say_what_the_programs_take() {
    let world = World::new();
    packager(&world, "pages", &stand_ins(&world, "a"), "out").run().success();
    let read = |page: &str| {
        let shown = world.client("man").args(["-l", &format!("out/{page}")]).env("MANWIDTH", "80").run();
        shown.success()
    };
    let [launcher, agent] = [read("underpass.1"), read("underpass-agent.1")];
    let help = world.client(artifacts::underpass()).arg("--help").run().success();
    let options = help.split_whitespace().map(|word| word.trim_end_matches([':', ',']));
    let options: Vec<&str> = options.filter(|word| word.starts_with("--") && word.len() > 2).collect();
    assert!(options.len() > 10, "{help}");
    let begins = |page: &str, word: &str| {
        page.lines()
            .any(|line| line.starts_with("       -") && line.split([' ', ',']).any(|found| found == word))
    };
    for option in options {
        assert!(begins(&launcher, option), "no {option}: {launcher}");
    }
    let help = world.client(artifacts::agent()).arg("--help").run().success();
    let commands =
        help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with([' ', '-']));
    for command in
        commands.filter_map(|line| line.split_whitespace().next()).filter(|command| *command != "help")
    {
        assert!(agent.contains(&format!("underpass-agent {command} [OPTIONS]")), "no {command}: {agent}");
    }
}
