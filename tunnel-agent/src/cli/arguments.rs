//! The arguments, which `--help`, the man page and the completions of the shells are made from
//! (`launcher/package` compiles this file, too).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use underpass_core::config::expose::Reverse;
use underpass_core::config::listen::{Door, forward};
use underpass_core::upstream::Upstream;

/// The whole command line.
#[derive(Parser)]
#[command(name = "underpass-agent", version, about = "Does all I/O for the programs that underpass carries")]
#[command(max_term_width = 80)]
pub(crate) struct Cli {
    /// The process that has this place now gives it by standard input
    #[arg(long, global = true, hide = true)]
    pub(crate) successor: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the programs of one user (underpass starts this by itself), or a front door
    Run {
        /// Directory of the sockets, where it is not the usual one; with it alone the agent goes into the background
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
        /// Carry what comes in here: socks5://127.0.0.1:1080, http://…, any:// for both; redirect:// and tproxy:// for
        /// what a firewall redirects
        #[arg(long, value_name = "URL")]
        listen: Vec<Door>,
        /// An upstream for --listen; repeated: a chain in that order
        #[arg(short = 'x', long, value_name = "URL")]
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
        /// Time for what is open, after SIGTERM
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        drain: Option<u32>,
    },
    /// Carry connections and datagrams to one destination, as ssh -L does, by a proxy, as -D, or to here, as -R
    Forward(Forward),
    /// Show the connections that are carried, and how the hops of their chains fare
    Status {
        /// As JSON, for other programs
        #[arg(long)]
        json: bool,
        /// As a diagram of programs, chains and hops, for dot(1)
        #[arg(long, conflicts_with_all = ["json", "mermaid"])]
        dot: bool,
        /// The same in Mermaid's language
        #[arg(long, conflicts_with = "json")]
        mermaid: bool,
        /// Directory of the agent's sockets, where it is not the usual one
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Show the same on a terminal, each second anew, with rates
    Top {
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
        /// Read it, and the files that it names, say what is wrong, and end
        #[arg(long)]
        check: bool,
    },
    /// Make a key and a certificate, for a client of relays or for a relay
    Keygen(Keygen),
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

/// What `forward` carries.
#[derive(Args)]
pub(crate) struct Forward {
    /// What goes to one destination
    #[arg(short = 'L', long = "local", value_name = "FORWARD", value_parser = forward::local)]
    #[arg(help = "[BIND:]PORT:HOST:PORT or PATH:HOST:PORT; udp: before it for datagrams")]
    pub(crate) local: Vec<Door>,
    /// What is a proxy
    #[arg(short = 'D', long = "dynamic", value_name = "PLACE", value_parser = forward::dynamic)]
    #[arg(help = "[BIND:]PORT or PATH: a proxy for SOCKS and HTTP")]
    pub(crate) dynamic: Vec<Door>,
    /// What listens at the exit
    #[arg(short = 'R', long = "remote", value_name = "FORWARD", value_parser = forward::reverse)]
    #[arg(help = "[BIND:]PORT:HOST:PORT or [BIND:]PORT:PATH: from the exit to here; port 0: of its choice")]
    pub(crate) remote: Vec<Reverse>,
    /// An upstream; repeated: a chain in that order
    #[arg(short = 'x', long, value_name = "URL")]
    pub(crate) proxy: Vec<Upstream>,
    /// A configuration file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "proxy")]
    pub(crate) config: Option<PathBuf>,
    /// Time for what is open, after SIGTERM
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) drain: Option<u32>,
    /// Directory of its sockets, private to the user, by which status finds it; without one it makes its own
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// What `keygen` makes.
#[derive(Args)]
pub(crate) struct Keygen {
    /// The key is a relay's; without this, a client's
    #[arg(long)]
    pub(crate) relay: bool,
    /// The file of the key; its certificate is put beside it as FILE.crt [default: client.key or relay.key in
    /// ~/.config/underpass; relay.key in /etc/underpass for root]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A relay's host name or address, for its certificate (repeatable); a client's name, for the line of the
    /// authorized keys alone
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
}

fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "not a number of seconds".to_owned())
}
