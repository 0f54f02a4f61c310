//! The command line.

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::upstream::door::come_in;
use crate::{agent, background};

#[derive(Parser)]
#[command(name = "underpass-agent", version, about = "Does all I/O for the programs that underpass carries")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the programs of one user in one network namespace (underpass starts this by itself)
    Run {
        /// Directory of the sockets, private to the user
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
        /// The directory was made for one launch: remove it at the end
        #[arg(long)]
        private: bool,
        /// Stay in the foreground and log to standard error
        #[arg(long)]
        foreground: bool,
    },
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

/// Runs the command that the arguments name.
pub(crate) fn run() -> io::Result<()> {
    match Cli::parse().command {
        Command::Join { door, host, port } => come_in(&door, &host, &port),
        Command::Run { directory, private, foreground: true } => {
            log_to(io::stderr, "info");
            agent::run(&directory, private, || Ok(()))
        }
        Command::Run { directory, private, foreground: false } => background::start(|ready| {
            // Off unless asked for; a file, since nobody reads a background process's standard error.
            if std::env::var_os("UNDERPASS_LOG").is_some()
                && let Ok(file) =
                    std::fs::File::options().create(true).append(true).open(directory.join("agent.log"))
            {
                log_to(file, "warn");
            }
            agent::run(&directory, private, ready)
        }),
    }
}

fn log_to(
    writer: impl for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
    default: &str,
) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("UNDERPASS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false).init();
}
