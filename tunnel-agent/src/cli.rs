//! What each command of the command line does.

pub(crate) mod arguments;
mod usage;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use underpass_core::config::expose::Reverse;
use underpass_core::config::listen::Door;
use underpass_core::failure::reason;
use underpass_core::runtime_dir::{AgentDirectory, Surroundings, Unusable, agent_directory};
use underpass_core::upstream::Upstream;

use arguments::{Cli, Command, Forward, Keygen};

use crate::ask::{self, Shape, Unanswered};
use crate::diagram::Language;
use crate::front::{Front, configuration};
use crate::lines::Log;
use crate::log::StandardError;
use crate::service::Service;
use crate::service::inherited::{self, Inherited};
use crate::service::passed::Passed;
use crate::top::{self, NoScreen};
use crate::upstream::door::come_in;
use crate::{agent, background, keygen, log, relay};

/// Why a command came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line cannot be read.
    Usage(String),
    /// What was asked for cannot be written.
    Output(io::Error),
    /// An agent could not serve.
    Agent(io::Error),
    /// There is no terminal to show something on.
    Terminal(io::Error),
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
            Self::Usage(_) | Self::Output(_) | Self::Agent(_) | Self::Terminal(_) => 125,
            Self::Key(_) | Self::Relay(_) => 125,
            Self::Asking(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(error) | Self::Terminal(error) => error.fmt(f),
            Self::Asking(unanswered) => unanswered.fmt(f),
            Self::Output(error) => write!(f, "standard output: {}", reason(error)),
            Self::Usage(why) | Self::Key(why) => f.write_str(why),
            Self::Relay(failure) => failure.fmt(f),
        }
    }
}

/// Runs the command that the arguments name.
pub(crate) fn run() -> Result<(), Failure> {
    let Some(Cli { command, successor }) = usage::read()? else { return Ok(()) };
    if !successor {
        return execute(command, None);
    }
    let inherited = inherited::detach().and_then(|()| Inherited::receive());
    let inherited = inherited.map_err(Failure::Agent)?;
    execute(command, Some(inherited)).inspect_err(|failure| inherited::failed(&failure.to_string()))
}

fn execute(command: Command, inherited: Option<Inherited>) -> Result<(), Failure> {
    match command {
        Command::Run { listen, proxy, config, directory, drain, .. }
            if !listen.is_empty() || config.is_some() || !proxy.is_empty() =>
        {
            let service = Service::from_env(drain, inherited);
            listening(|passed| open(listen, Vec::new(), proxy, config, passed), directory, service)
                .map_err(Failure::Agent)
        }
        Command::Run { given: true, directory, .. } => {
            listening(|_| Front::given(), directory, Service::default()).map_err(Failure::Agent)
        }
        Command::Forward(Forward { local, dynamic, remote, proxy, config, drain, directory }) => {
            if local.is_empty() && dynamic.is_empty() && remote.is_empty() && config.is_none() {
                let (why, hint) = ("one of -L, -D, -R and -f is needed", "underpass-agent forward --help");
                return Err(Failure::Usage(format!("forward: {why}\nhint: {hint}")));
            }
            let doors = local.into_iter().chain(dynamic).collect();
            let service = Service::from_env(drain, inherited);
            listening(|passed| open(doors, remote, proxy, config, passed), directory, service)
                .map_err(Failure::Agent)
        }
        Command::Run { directory: Some(directory), private, foreground: false, .. } => {
            in_background(&directory, private, inherited).map_err(Failure::Agent)
        }
        Command::Run { directory, private, drain, .. } => {
            let service = Service::from_env(drain, inherited);
            in_foreground(directory, private, service).map_err(Failure::Agent)
        }
        Command::Join { door, host, port } => come_in(&door, &host, &port).map_err(Failure::Agent),
        Command::Relay { config, check: true } => {
            log::to(StandardError::new, "warn").map_err(Failure::Agent)?;
            relay::run::check(&config).map_err(Failure::Relay)
        }
        Command::Relay { config, check: false } => {
            // Standard error is the journal's in a service, and the audit's where it is not in a file.
            log::to(StandardError::new, "info").map_err(Failure::Agent)?;
            relay::run::run(&config, Service::from_env(None, inherited)).map_err(Failure::Relay)
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
        Command::Top { directory } => match top::run(directory.as_deref()) {
            Err(NoScreen::Unanswered(why)) => asked(Err(why)),
            Err(NoScreen::Terminal(why)) => Err(Failure::Terminal(why)),
            Ok(()) => Ok(()),
        },
        Command::Reload { directory } => asked(ask::reload(directory.as_deref())),
    }
}

/// Whoever has closed our output has read enough.
fn asked(answer: Result<(), Unanswered>) -> Result<(), Failure> {
    match answer {
        Ok(()) | Err(Unanswered::NotRead) => Ok(()),
        Err(Unanswered::NotWritten(error)) => Err(Failure::Output(error)),
        Err(unanswered) => Err(Failure::Asking(unanswered)),
    }
}

/// Opens the doors that are given, and those of the configuration; so for listeners at exits.
fn open(
    doors: Vec<Door>,
    reverses: Vec<Reverse>,
    proxies: Vec<Upstream>,
    config: Option<PathBuf>,
    passed: Passed,
) -> io::Result<Front> {
    let chosen = configuration::choose(proxies, config).map_err(io::Error::other)?;
    Front::open(doors, reverses, chosen, passed)
}

/// Serves a front door in the foreground, as `ssh -N -D` does.
fn listening(
    open: impl FnOnce(Passed) -> io::Result<Front>,
    directory: Option<PathBuf>,
    mut service: Service,
) -> io::Result<()> {
    log::to(StandardError::new, "warn")?;
    let front = open(service.passed()?)?;
    let taken = service.inherited.as_ref().and_then(|inherited| inherited.directory.clone());
    let (directory, private) = match (directory, taken) {
        (Some(directory), _) => (directory, false),
        (None, Some(taken)) => (taken, true),
        // One of its own: an agent that programs are launched with may have the usual one.
        (None, None) => {
            let temporary = std::env::var_os("TMPDIR");
            let uid = ask::surroundings().uid;
            (made(&Surroundings { uid, temporary, ..Surroundings::default() })?.path, true)
        }
    };
    agent::run(&directory, private, Some(front), service, || Ok(()))
}

/// Serves programs in the foreground.
fn in_foreground(directory: Option<PathBuf>, private: bool, mut service: Service) -> io::Result<()> {
    log::to(StandardError::new, "info")?;
    // Whoever names a directory starts an agent as a launcher does, which leaves when it is not used any more.
    service.stays = directory.is_none();
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
    let passed = service.passed()?;
    let chosen = || configuration::choose(Vec::new(), None).map_err(io::Error::other);
    let front =
        if passed.is_empty() { None } else { Some(Front::open(Vec::new(), Vec::new(), chosen()?, passed)?) };
    agent::run(&directory, private, front, service, || Ok(()))
}

fn made(around: &Surroundings) -> io::Result<AgentDirectory> {
    agent_directory(around).map_err(|why| unusable(&why))
}

fn unusable(why: &[Unusable]) -> io::Error {
    let each: Vec<String> = why.iter().map(ToString::to_string).collect();
    io::Error::other(format!("no directory for the agent's sockets: {}", each.join("; ")))
}

fn in_background(directory: &Path, private: bool, inherited: Option<Inherited>) -> io::Result<()> {
    let log = || {
        // Off unless asked for; a file, since nobody reads a background process's standard error.
        if std::env::var_os(log::FILTER).is_some_and(|filter| !filter.is_empty())
            && let Ok(file) = Log::open(&directory.join("agent.log"))
        {
            log::to(Arc::new(file), "warn")?;
        }
        io::Result::Ok(())
    };
    // Whoever was started as a service is the program that is launched, or its parent.
    if inherited.is_some() {
        log()?;
        return agent::run(directory, private, None, Service { inherited, ..Service::default() }, || Ok(()));
    }
    background::start(|ready| {
        log()?;
        agent::run(directory, private, None, Service::default(), ready)
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

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
