//! Completions for bash, zsh and fish.
//!
//! Those of the agent, a program with commands and options, are clap_complete's. The launcher's are made here: they
//! end where COMMAND begins, which has completions of its own, and know the chains of a configuration.

mod bash;
mod fish;
mod zsh;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::arguments::Cli;
use crate::content::{File, Kind};

const LAUNCHER: &str = "underpass";
const AGENT: &str = "underpass-agent";

/// The agent's commands and options.
fn agent(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    if shell != Shell::Bash {
        generate(shell, &mut Cli::command(), AGENT, &mut text);
        return text;
    }
    // clap_complete 4.6.11 takes a dash in a program's name for two names, and offers nothing after a command. The
    // name of its functions does not matter, that of the program is at the end of the lines that begin with `complete`.
    let name = AGENT.replace('-', "_");
    generate(shell, &mut Cli::command(), &name, &mut text);
    let text = String::from_utf8_lossy(&text).replace(&format!(" {name}\n"), &format!(" {AGENT}\n"));
    text.into_bytes()
}

/// The files, by the names under which the shells look for them.
pub(crate) fn all() -> Vec<File> {
    let mut files = Vec::new();
    for (shell, kind, launcher) in [
        (Shell::Bash, Kind::Bash, bash::text()),
        (Shell::Zsh, Kind::Zsh, zsh::text()),
        (Shell::Fish, Kind::Fish, fish::text()),
    ] {
        let agent = agent(shell);
        let named = |program: &str| match kind {
            Kind::Zsh => format!("_{program}"),
            Kind::Fish => format!("{program}.fish"),
            _ => program.to_owned(),
        };
        files.push(File { name: named(LAUNCHER), kind, bytes: launcher.into_bytes() });
        files.push(File { name: named(AGENT), kind, bytes: agent });
    }
    files
}
