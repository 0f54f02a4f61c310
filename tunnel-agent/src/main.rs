//! `underpass-agent`: does all I/O for the programs that underpass carries.
//!
//! # Layout
//!
//! - [`cli`], [`background`]: the command line, and going into the background once all is ready.
//! - [`agent`]: what one agent owns, started and ended in one place; [`lifetime`]: when it ends. [`service`]: what a service
//!   manager and signals have to do with it.
//! - [`ask`], [`table`], [`diagram`], [`top`]: the client of an agent that runs ([`patience`]: what it says meanwhile); [`status`], [`reload`]: its answers. [`log`]: what is logged.
//! - [`flow`], [`course`]: what is known of each connection. [`sight`]: what is
//!   remembered of those that have failed. [`tally`], [`metrics`]: numbers of all of it, and
//!   of a relay.
//! - [`control`]: launchers open sessions, and ask for a [`check`]; [`session`]: the sessions, kept for a restarted agent.
//! - [`client`]: one intercepted call: read, judged, answered; [`attempt`]: one connection attempt.
//! - [`hold`] and, in [`upstream::path`], the hand-off: the two mechanisms that keep the program's own
//!   socket; [`facts`] says which of them a socket allows; [`carried`] knows sockets by cookie.
//! - [`plan`]: where a connection goes; [`upstream`]: what is dialled through. [`splice`], [`pipes`]: bytes after that;
//!   [`ends`], [`urgent`]: how a stream ends, and its urgent byte; [`thread`]: where that is done. [`loopback`]: how legs on this machine are set.
//! - [`listening`]: how the relay and the front door listen.
//! - [`relay`]: another program in this file, the encrypted hop.
//! - [`watched`]: streams that are looked at while they are read.
//! - [`tls`]: what all ends of TLS have in common; [`keygen`]: makes a key.
//! - [`names`], [`hosts`]: names that are not resolved here, and those that are local. [`lines`]: the
//!   files in which names and sessions are kept.
//! - [`sys`], [`socket`], [`sock_diag`]: system calls that no crate has a safe form for, what the kernel says of a socket, and its list of them.

mod agent;
mod ask;
mod attempt;
mod attempts;
mod background;
mod carried;
mod check;
mod cli;
mod client;
mod control;
mod course;
mod datagram;
mod diagram;
mod dns;
mod ends;
mod expose;
mod facts;
mod flow;
mod frames;
mod front;
mod hold;
mod hosts;
mod keygen;
mod lifetime;
mod lines;
mod listening;
mod log;
mod loopback;
mod metrics;
mod names;
mod panics;
mod patience;
mod pipes;
mod plan;
mod processes;
mod relay;
mod reload;
mod room;
mod service;
mod session;
mod shortage;
mod sight;
mod sock_diag;
mod socket;
mod splice;
mod status;
mod sys;
mod table;
mod tally;
mod thread;
mod tls;
mod top;
mod upstream;
mod urgent;
mod watched;

use std::io::Write;
use std::process::ExitCode;

use underpass_core::failure::without_numbers;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The one place that prints; a closed standard error is nobody to tell.
            let told = without_numbers(&failure.to_string());
            let _ = writeln!(std::io::stderr(), "underpass-agent: {told}");
            ExitCode::from(failure.status())
        }
    }
}
