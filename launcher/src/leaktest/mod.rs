//! `--leaktest`: the program runs where the only way out, but for the proxy, is a counted dead end; what came there is told.
//!
//! ```text
//!  its network: program ── agent ── 127.0.0.1:PORT ─┐          ┌── dead end, counted
//!                  └───────────────────────────────────────────┘
//!  our network: launcher      agent with the door ──┴── the user's chains and routes
//! ```
//!
//! The door's listener is made in the program's network and served from ours: a socket stays in the network that it was
//! made in. So the program is carried as it always is, by an agent of its own network, whose only proxy the door is.
//!
//! # Layout
//!
//! - [`network`]: that network, and the process that becomes the launcher of the program. [`door`]: the agent outside.
//! - [`watch`]: signals, packets, ends. [`packet`]: what a packet is; [`owner`]: whose it is; [`tally`]: the report.

mod door;
mod network;
mod owner;
mod packet;
mod tally;
mod watch;

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, WaitOptions};

use network::Network;

use crate::cli::Run;
use crate::configuration::{self, Found, Origin, logins};
use crate::guard::Own;
use crate::kernel::{self, Forked, Signals};
use crate::launch;
use crate::messages::{Failure, SETUP, Verbosity, failed, reason};
use underpass_core::config::{Config, Udp};

/// Runs the program, says what would have left, and gives the exit status: 126 if anything would have.
pub(crate) fn leaktest(run: Run) -> Result<u8, Failure> {
    let mut found = configuration::find(run.given)?;
    logins::fetch(&mut found)?;
    // What cannot be started leaks nothing, and is no result.
    launch::locate(&run.program.name, found.config.tier)?;
    let own = Own::of_this_machine();
    let (ours, theirs) = pair().map_err(|error| setup("socketpair", error))?;
    // Whatever comes now is dealt with once there is somebody to pass it on to.
    let before = Signals::every().block();
    let forked = kernel::fork()
        .inspect_err(|_| {
            before.block();
        })
        .map_err(|error| setup("fork", error))?;
    let program = match forked {
        Forked::Child => {
            drop(ours);
            let Err(failure) = network::enter(&theirs, own).and_then(|port| {
                before.block();
                launch::launch(within(found, port, run.verbosity), &run.program, run.verbosity)
            });
            kernel::leave(failed(&failure))
        }
        Forked::Parent(program) => program,
    };
    drop(theirs);
    let Some(Network { listener, number, taps }) = network::receive(&ours)? else {
        return Ok(ended(program));
    };
    let door = door::open(listener, &found.config)?;
    rustix::net::send(&ours, &[0], SendFlags::NOSIGNAL).map_err(|error| setup("send", error))?;
    watch::watch(program, number, taps, door, run.verbosity)
}

/// What the program's own launch has: one proxy, the door. Datagrams are not carried through it.
fn within(found: Found, port: u16, verbosity: Verbosity) -> Found {
    launch::warn(&found, verbosity);
    let door = format!("socks5h://127.0.0.1:{port}").parse();
    let within = Config::strict(door.into_iter().collect());
    let Config { handoff, deadline, pool, foreign_sockets, inherited, tier, let_in, dns, .. } = found.config;
    let own = Config { handoff, deadline, pool, foreign_sockets, inherited, tier, let_in, dns, ..within };
    let config = Config { udp: Udp::Refuse, ..own };
    Found { taken: found.taken, lingers: false, ..Found::new(config, Origin::Options) }
}

/// The status of a process that has said why it has ended.
fn ended(process: Pid) -> u8 {
    let status = rustix::process::waitpid(Some(process), WaitOptions::empty());
    let status = status.ok().flatten().and_then(|(_, status)| status.exit_status());
    status.map_or(SETUP, |status| status as u8)
}

fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

fn setup(what: &str, error: Errno) -> Failure {
    Failure::setup(format_args!("--leaktest: {what}: {}", reason(&error.into())))
}
