//! docs/options.md: every option that the programs' help names, and no other.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use underpass_tests::artifacts;
use underpass_tests::markdown::{compare, first_words};

const DOCUMENT: &str = "docs/options.md";

/// What a program prints.
fn printed(name: &str, program: &Path, arguments: &[&str]) -> String {
    use std::os::unix::process::CommandExt;
    let done = Command::new(program).arg0(name).args(arguments).output().expect("it starts");
    assert!(done.status.success(), "{name} {arguments:?}");
    String::from_utf8(done.stdout).expect("it is UTF-8")
}

/// The options that a help text names, in the lines that begin with one.
fn options(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words =
        lines.flat_map(str::split_whitespace).map(|word| word.trim_matches([',', ';', ':', '(', ')', '.']));
    words.filter(|word| is_option(word)).map(str::to_owned).collect()
}

fn is_option(word: &str) -> bool {
    let letters = word.trim_start_matches('-');
    let dashes = word.len() - letters.len();
    let plain = letters.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plain && (dashes == 1 && letters.len() == 1 || dashes == 2 && letters.len() > 1)
}

#[test]
fn options_are_those_of_the_help() {
    for name in ["underpass", "proxychains4", "torsocks"] {
        let there = options(&printed(name, &artifacts::underpass(), &["--help"]));
        // The first table of the section is that of the name itself.
        let heading = if name == "underpass" {
            format!("## Options of `{name}`")
        } else {
            format!("### Options of `{name}`")
        };
        let mut told = first_words(DOCUMENT, &heading);
        if name == "underpass" {
            for other in ["proxychains4", "torsocks"] {
                let of_it = first_words(DOCUMENT, &format!("### Options of `{other}`"));
                told.retain(|option| there.contains(option) || !of_it.contains(option));
            }
        }
        compare(DOCUMENT, name, &told, &there);
    }
    let agent = artifacts::agent();
    let help = printed("underpass-agent", &agent, &["--help"]);
    let commands = help.split_once("Commands:\n").expect("it has commands").1;
    let commands = commands.lines().take_while(|line| !line.is_empty());
    // Lines that go on are indented further.
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"run") && commands.contains(&"keygen"), "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let there = options(&printed("underpass-agent", &agent, &[command, "--help"]));
        let told = first_words(DOCUMENT, &format!("### Options of `underpass-agent {command}`"));
        compare(DOCUMENT, command, &told, &there);
    }
}
