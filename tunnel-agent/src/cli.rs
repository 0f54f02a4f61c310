//! What each command of the command line does.

pub(crate) mod arguments;

use std::fmt;
use std::io;
use std::path::PathBuf;

use clap::Parser;

use underpass_core::config::listen::Door;
use underpass_core::runtime_dir::{Surroundings, Unusable, agent_directory};
use underpass_core::upstream::Upstream;

use arguments::{Cli, Command, Forward, Keygen};

use crate::ask::{self, Shape, Unanswered};
use crate::diagram::Language;
use crate::front::{Front, configuration};
use crate::upstream::door::come_in;
use crate::{agent, background, keygen, log, relay};

/// Why a command came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An agent could not serve.
    Agent(io::Error),
    /// An agent was asked in vain.
    Asking(Unanswered),
    /// No key was made.
    Key(String),
    /// A relay could not serve.
    Relay(relay::run::Failure),
}

impl Failure {
    /// Our own failures exit with 125, as those of env(1) and timeout(1) do; an answer that is a no, with 1.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Agent(_) | Self::Key(_) | Self::Relay(_) => 125,
            Self::Asking(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(error) => error.fmt(f),
            Self::Asking(unanswered) => unanswered.fmt(f),
            Self::Key(why) => f.write_str(why),
            Self::Relay(failure) => failure.fmt(f),
        }
    }
}

/// Runs the command that the arguments name.
pub(crate) fn run() -> Result<(), Failure> {
    match Cli::parse().command {
        Command::Run { listen, proxy, config, directory, .. } if !listen.is_empty() || config.is_some() => {
            listening(|| open(listen, proxy, config), directory).map_err(Failure::Agent)
        }
        Command::Run { given: true, directory, .. } => {
            listening(Front::given, directory).map_err(Failure::Agent)
        }
        Command::Forward(Forward { local, dynamic, proxy, config }) => {
            let doors = local.into_iter().chain(dynamic).collect();
            listening(|| open(doors, proxy, config), None).map_err(Failure::Agent)
        }
        Command::Run { directory, private, foreground, .. } => {
            serve(directory.unwrap_or_default(), private, foreground).map_err(Failure::Agent)
        }
        Command::Join { door, host, port } => come_in(&door, &host, &port).map_err(Failure::Agent),
        Command::Relay { config } => {
            // Standard error is the journal's in a service, and the audit's where it is not in a file.
            log::to(io::stderr, "info").map_err(Failure::Agent)?;
            relay::run::run(&config).map_err(Failure::Relay)
        }
        Command::Keygen(Keygen { relay, out, name }) => keygen::run(relay, out, name).map_err(Failure::Key),
        Command::Status { json, dot, mermaid, directory } => {
            let shape = match (json, dot, mermaid) {
                (true, ..) => Shape::Json,
                (_, true, _) => Shape::Diagram(Language::Dot),
                (.., true) => Shape::Diagram(Language::Mermaid),
                _ => Shape::Table,
            };
            asked(ask::status(directory.as_deref(), shape))
        }
        Command::Reload { directory } => asked(ask::reload(directory.as_deref())),
    }
}

/// Whoever has closed our output has read enough.
fn asked(answer: Result<(), Unanswered>) -> Result<(), Failure> {
    match answer {
        Ok(()) | Err(Unanswered::NotRead) => Ok(()),
        Err(unanswered) => Err(Failure::Asking(unanswered)),
    }
}

/// Opens the doors that are given, and those of the configuration.
fn open(doors: Vec<Door>, proxies: Vec<Upstream>, config: Option<PathBuf>) -> io::Result<Front> {
    let chosen = configuration::choose(proxies, config).map_err(io::Error::other)?;
    if doors.is_empty() && chosen.config.listen.is_empty() {
        return Err(io::Error::other("no door: add --listen URL, or [[listen]] to the file"));
    }
    Front::open(doors, chosen)
}

/// Serves a front door in the foreground, as `ssh -N -D` does.
fn listening(open: impl FnOnce() -> io::Result<Front>, directory: Option<PathBuf>) -> io::Result<()> {
    log::to(io::stderr, "warn")?;
    let front = open()?;
    let (directory, private) = match directory {
        Some(directory) => (directory, false),
        // One of its own: an agent that programs are launched with may have the usual one.
        None => {
            let uid = rustix::process::geteuid().as_raw();
            let temporary = std::env::var_os("TMPDIR");
            let made = agent_directory(&Surroundings { uid, temporary, ..Surroundings::default() });
            let unusable = |why: Vec<Unusable>| why.first().map(ToString::to_string).unwrap_or_default();
            (made.map_err(|why| io::Error::other(unusable(why)))?.path, true)
        }
    };
    agent::run(&directory, private, Some(front), || Ok(()))
}

fn serve(directory: PathBuf, private: bool, foreground: bool) -> io::Result<()> {
    match foreground {
        true => {
            log::to(io::stderr, "info")?;
            agent::run(&directory, private, None, || Ok(()))
        }
        false => background::start(|ready| {
            // Off unless asked for; a file, since nobody reads a background process's standard error.
            if std::env::var_os(log::FILTER).is_some_and(|filter| !filter.is_empty())
                && let Ok(file) =
                    std::fs::File::options().create(true).append(true).open(directory.join("agent.log"))
            {
                log::to(file, "warn")?;
            }
            agent::run(&directory, private, None, ready)
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_of_each_command_fits_a_screen() {
        let all = Cli::command();
        all.clone().debug_assert();
        let commands = all.get_subcommands().map(|command| Some(command.get_name()));
        for command in commands.chain([None]) {
            let words = [Some("underpass-agent"), command, Some("--help")];
            let help = Cli::try_parse_from(words.into_iter().flatten()).err().expect("help is no command");
            let help = help.to_string();
            assert!(help.contains("Usage: underpass-agent"), "{help}");
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
            assert!(help.lines().count() <= 24, "{help}");
        }
    }
}
