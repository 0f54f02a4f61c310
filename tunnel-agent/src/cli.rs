//! What each command of the command line does.

pub(crate) mod arguments;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;

use underpass_core::config::expose::Reverse;
use underpass_core::config::listen::Door;
use underpass_core::runtime_dir::{AgentDirectory, Surroundings, Unusable, agent_directory};
use underpass_core::upstream::Upstream;

use arguments::{Cli, Command, Forward, Keygen};

use crate::ask::{self, Shape, Unanswered};
use crate::diagram::Language;
use crate::front::{Front, configuration};
use crate::service::Service;
use crate::service::passed::Passed;
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
        Command::Run { listen, proxy, config, directory, drain, .. }
            if !listen.is_empty() || config.is_some() || !proxy.is_empty() =>
        {
            listening(|| open(listen, Vec::new(), proxy, config), directory, drain).map_err(Failure::Agent)
        }
        Command::Run { given: true, directory, .. } => {
            listening(Front::given, directory, None).map_err(Failure::Agent)
        }
        Command::Forward(Forward { local, dynamic, remote, proxy, config, drain, directory }) => {
            let doors = local.into_iter().chain(dynamic).collect();
            listening(|| open(doors, remote, proxy, config), directory, drain).map_err(Failure::Agent)
        }
        Command::Run { directory: Some(directory), private, foreground: false, .. } => {
            in_background(&directory, private).map_err(Failure::Agent)
        }
        Command::Run { directory, private, drain, .. } => {
            in_foreground(directory, private, drain).map_err(Failure::Agent)
        }
        Command::Join { door, host, port } => come_in(&door, &host, &port).map_err(Failure::Agent),
        Command::Relay { config, check: true } => {
            log::to(io::stderr, "warn").map_err(Failure::Agent)?;
            relay::run::check(&config).map_err(Failure::Relay)
        }
        Command::Relay { config, check: false } => {
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

/// Opens the doors that are given, and those of the configuration; so for listeners at exits.
fn open(
    doors: Vec<Door>,
    reverses: Vec<Reverse>,
    proxies: Vec<Upstream>,
    config: Option<PathBuf>,
) -> io::Result<Front> {
    let chosen = configuration::choose(proxies, config).map_err(io::Error::other)?;
    Front::open(doors, reverses, chosen, Passed::from_env()?)
}

/// Serves a front door in the foreground, as `ssh -N -D` does.
fn listening(
    open: impl FnOnce() -> io::Result<Front>,
    directory: Option<PathBuf>,
    drain: Option<u32>,
) -> io::Result<()> {
    log::to(io::stderr, "warn")?;
    let front = open()?;
    let (directory, private) = match directory {
        Some(directory) => (directory, false),
        // One of its own: an agent that programs are launched with may have the usual one.
        None => {
            let temporary = std::env::var_os("TMPDIR");
            let uid = ask::surroundings().uid;
            (made(&Surroundings { uid, temporary, ..Surroundings::default() })?.path, true)
        }
    };
    agent::run(&directory, private, Some(front), Service::from_env(drain), || Ok(()))
}

/// Serves programs in the foreground.
fn in_foreground(directory: Option<PathBuf>, private: bool, drain: Option<u32>) -> io::Result<()> {
    log::to(io::stderr, "info")?;
    // Whoever names a directory starts an agent as a launcher does, which leaves when it is not used any more.
    let stays = directory.is_none();
    let directory = match directory {
        Some(directory) => directory,
        None => {
            let found = made(&ask::surroundings())?;
            if !found.shared {
                // Launchers would not find it.
                let _ = std::fs::remove_dir(&found.path);
                return Err(unusable(&found.passed_over));
            }
            found.path
        }
    };
    // A socket that was passed is a door beside that.
    let passed = Passed::from_env()?;
    let chosen = || configuration::choose(Vec::new(), None).map_err(io::Error::other);
    let front =
        if passed.is_empty() { None } else { Some(Front::open(Vec::new(), Vec::new(), chosen()?, passed)?) };
    agent::run(&directory, private, front, Service { stays, ..Service::from_env(drain) }, || Ok(()))
}

fn made(around: &Surroundings) -> io::Result<AgentDirectory> {
    agent_directory(around).map_err(|why| unusable(&why))
}

fn unusable(why: &[Unusable]) -> io::Error {
    let each: Vec<String> = why.iter().map(ToString::to_string).collect();
    io::Error::other(format!("no directory for the agent's sockets: {}", each.join("; ")))
}

fn in_background(directory: &Path, private: bool) -> io::Result<()> {
    background::start(|ready| {
        // Off unless asked for; a file, since nobody reads a background process's standard error.
        if std::env::var_os(log::FILTER).is_some_and(|filter| !filter.is_empty())
            && let Ok(file) =
                std::fs::File::options().create(true).append(true).open(directory.join("agent.log"))
        {
            log::to(file, "warn")?;
        }
        // Whoever was started as a service is the program that is launched, or its parent.
        agent::run(directory, private, None, Service::default(), ready)
    })
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
