//! The command line.

use std::fmt;
use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use underpass_core::config::listen::{Door, forward};
use underpass_core::runtime_dir::{Surroundings, Unusable, agent_directory};
use underpass_core::upstream::Upstream;

use crate::ask::{self, Unanswered};
use crate::front::{Front, configuration};
use crate::upstream::door::come_in;
use crate::{agent, background, keygen, log, relay};

#[derive(Parser)]
#[command(name = "underpass-agent", version, about = "Does all I/O for the programs that underpass carries")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the programs of one user in one network namespace (underpass starts this by itself), or, with
    /// --listen, a front door for what the library cannot be loaded into
    Run {
        /// Directory of the sockets, private to the user
        #[arg(long, value_name = "DIR", required_unless_present_any = ["listen", "config", "given"])]
        directory: Option<PathBuf>,
        /// Listen on loopback, and carry what comes in: socks5://127.0.0.1:1080, http://127.0.0.1:8080, any:// for both,
        /// redirect:// and tproxy:// for what a firewall redirects
        #[arg(long, value_name = "URL")]
        listen: Vec<Door>,
        /// An upstream for --listen; repeated: a chain in that order
        #[arg(short = 'x', long, value_name = "URL", requires = "listen")]
        proxy: Vec<Upstream>,
        /// A configuration file for --listen, or with doors of its own (its listen tables)
        #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "proxy")]
        config: Option<PathBuf>,
        /// A launcher gives the door and its configuration by standard input
        #[arg(long, hide = true, conflicts_with_all = ["listen", "config"])]
        given: bool,
        /// The directory was made for one launch: remove it at the end
        #[arg(long)]
        private: bool,
        /// Stay in the foreground and log to standard error
        #[arg(long)]
        foreground: bool,
    },
    /// Carry connections and datagrams from here to one destination each, as ssh -N -L does, and by a proxy, as -D
    Forward(Forward),
    /// Show the connections that are carried, and how the hops of their chains fare
    Status {
        /// As JSON, for other programs
        #[arg(long)]
        json: bool,
        /// Directory of the agent's sockets, where it is not the usual one
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Have the agent read its sessions' configuration files again, as SIGHUP does
    Reload {
        /// Directory of the agent's sockets, where it is not the usual one
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Serve as a relay: an encrypted hop for clients whose keys it knows
    Relay {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/underpass/relay.toml")]
        config: PathBuf,
    },
    /// Make a key and a certificate, for a client of relays or for a relay
    Keygen(keygen::Options),
    /// What ssh runs as its ProxyCommand when it is a later hop of a chain
    #[command(hide = true)]
    Join {
        /// The agent's socket for this one connection
        door: PathBuf,
        /// Where ssh wants to go
        host: String,
        /// And at which port
        port: String,
    },
}

#[derive(clap::Args)]
struct Forward {
    /// What goes to one destination
    #[arg(short = 'L', long = "local", value_name = "FORWARD", value_parser = forward::local)]
    #[arg(help = "[BIND:]PORT:HOST:PORT or PATH:HOST:PORT; udp: before it for datagrams")]
    local: Vec<Door>,
    /// What is a proxy
    #[arg(short = 'D', long = "dynamic", value_name = "PLACE", value_parser = forward::dynamic)]
    #[arg(required_unless_present = "local", help = "[BIND:]PORT or PATH: a proxy for SOCKS and HTTP")]
    dynamic: Vec<Door>,
    /// An upstream; repeated: a chain in that order
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Vec<Upstream>,
    /// A configuration file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "proxy")]
    config: Option<PathBuf>,
}

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
        Command::Keygen(options) => keygen::run(&options).map_err(Failure::Key),
        Command::Status { json, directory } => asked(ask::status(directory.as_deref(), json)),
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
