//! Completions for bash, zsh and fish.
//!
//! Those of the agent, a program with commands and options, are clap_complete's. The launcher's are made here: they
//! end where COMMAND begins, which has completions of its own, and know the chains of a configuration.

mod bash;
mod fish;
mod zsh;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use crate::arguments::Cli;
use crate::content::{File, Kind};

const LAUNCHER: &str = "underpass";
const AGENT: &str = "underpass-agent";

/// A command without what its help does not show: clap_complete 4.6.11 offers that as well.
fn shown(command: &Command) -> Command {
    // Names are borrowed for ever; the packager is not there for long.
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let shown = Command::new(command.get_name().to_owned().leak() as &str).about(about);
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.args(arguments.cloned()).subcommands(commands.map(self::shown))
}

/// The agent's commands and options.
fn agent(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    let mut command = shown(&Cli::command()).version(env!("CARGO_PKG_VERSION"));
    if shell != Shell::Bash {
        generate(shell, &mut command, AGENT, &mut text);
        return text;
    }
    // clap_complete 4.6.11 takes a dash in a program's name for two names, and offers nothing after a command. The
    // name of its functions does not matter, that of the program is at the end of the lines that begin with `complete`.
    let name = AGENT.replace('-', "_");
    generate(shell, &mut command, &name, &mut text);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_help_does_not_show_is_not_offered() {
        let all = Cli::command();
        let commands =
            || all.get_subcommands().filter(|command| command.is_hide_set()).map(Command::get_name);
        let arguments = all.get_subcommands().chain([&all]).flat_map(Command::get_arguments);
        let arguments = arguments.filter(|argument| argument.is_hide_set()).filter_map(clap::Arg::get_long);
        let hidden: Vec<&str> = commands().chain(arguments).collect();
        assert!(["join", "given", "successor"].iter().all(|name| hidden.contains(name)), "{hidden:?}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(agent(shell)).expect("shells read UTF-8");
            assert!(text.contains("keygen") && text.contains("version"), "{shell}: {text}");
            // A command of fish's own, and a word of the help.
            let text = text.replace("string join", "").replace("given subcommand", "");
            for name in &hidden {
                assert!(!text.contains(name), "{shell}, {name}: {text}");
            }
        }
    }
}
