//! The completions, in the shells that they are for, with a Tab as a person types it.

use underpass_tests::{World, artifacts};

use crate::{packager, stand_ins};

/// What is typed, and what is there or offered after Tab.
const TYPED: [(&str, &str); 8] = [
    ("underpass --ti", "--tier"),
    ("underpass --tier se", "sealed"),
    ("underpass -f c.toml --listen-at off", "office"),
    ("underpass -x local: --explain dpkg-de", "dpkg-deb"),
    // What follows is the command's: its name, and its own completions.
    ("underpass -x socks5h://a:1 dpkg-de", "dpkg-deb"),
    ("underpass -- underpass-agent sta", "status"),
    ("underpass-agent sta", "status"),
    ("underpass-agent status --js", "--json"),
];

/// A world with the files, and a configuration in which there is a chain `office`.
fn world() -> World {
    let world = World::new();
    packager(&world, "pages", &stand_ins(&world, "a"), "out").run().success();
    let chains =
        "default = \"office\"\n[chain.office]\nhops = \"local:\"\n[chain.attic]\nhops = \"local:\"\n";
    std::fs::write(world.directory().join("c.toml"), chains).expect("the directory is ours");
    world
}

/// Types each line in a shell at a terminal, which has been told this first.
fn type_them(world: &World, shell: &[&str], told: &str) {
    let programs = artifacts::underpass();
    let programs = programs.parent().expect("it is in a folder").display();
    let told = format!("PATH={programs}:$PATH; {told}");
    let script = artifacts::workspace().join("tests/programs/completed.py");
    let typed = TYPED.iter().flat_map(|(typed, wanted)| [*typed, *wanted]);
    let mut terminal = world.client("python3").arg(script).arg(told).arg(shell.join(" "));
    for word in typed {
        terminal = terminal.arg(word);
    }
    terminal.run().success();
}

#[test]
fn bash_completes() {
    let told = "source /usr/share/bash-completion/bash_completion; source out/underpass; source out/underpass-agent; \
                bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'";
    type_them(&world(), &["bash", "--noprofile", "--norc", "-i"], told);
}

#[test]
fn zsh_completes() {
    type_them(
        &world(),
        &["zsh", "-f", "-i"],
        "fpath=($PWD/out $fpath); autoload -Uz compinit; compinit -u -D",
    );
}

#[test]
fn fish_completes() {
    let world = world();
    let programs = artifacts::underpass();
    let programs = programs.parent().expect("it is in a folder").display();
    for (typed, wanted) in TYPED {
        let told =
            format!("set PATH {programs} $PATH; source out/underpass.fish; source out/underpass-agent.fish");
        let done = world.client("fish").args(["-N", "-c", &format!("{told}; complete -C '{typed}'")]).run();
        assert!(done.success().lines().any(|line| line.split('\t').next() == Some(wanted)), "{typed}");
    }
}
