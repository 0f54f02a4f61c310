//! `underpass COMMAND…`: makes sure of an agent, sets the environment, and becomes the program.
//!
//! No process stays behind: what the program sees of signals, terminal, descriptors and parents is
//! what it would see without us.
//!
//! # Layout
//!
//! - [`cli`]: the command line. [`messages`]: the one place that prints, and the exit statuses.
//! - [`launch`]: all that is done for a program, in order.
//! - [`lookup`]: finds the program. [`program`]: what it is, and whether it can be carried.
//! - [`library`]: where libunderpass.so is. [`agent`]: asks for a session, starts the agent.
//! - [`environment`]: the program's environment. [`exec`]: becomes the program; all unsafe code.
//! - [`explain`], [`why`]: answers to `--explain` and `--why`.
#![cfg_attr(not(test), no_main)]
#![deny(unsafe_code)]

mod agent;
mod cli;
mod environment;
#[allow(unsafe_code, reason = "execve, environ and the entry point have no safe form in std")]
mod exec;
mod explain;
mod launch;
mod library;
mod lookup;
mod messages;
mod program;
#[cfg(test)]
mod scratch;
mod why;

use std::env;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::panic::catch_unwind;

use cli::Task;
use messages::{Failure, SETUP, answer, failed};
use program::privilege::Asker;

/// What `main` does; returns the exit status.
#[cfg_attr(test, allow(dead_code, reason = "the tests have an entry of their own"))]
fn start() -> u8 {
    occupy_standard_descriptors();
    match catch_unwind(run) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => failed(&failure),
        Err(_) => SETUP,
    }
}

fn run() -> Result<(), Failure> {
    let path = env::var_os("PATH");
    match cli::parse(env::args_os().skip(1))? {
        Task::Print(text) => answer(&text),
        Task::Explain(name) => answer(&explain::explain(&name, path.as_deref(), &Asker::this_process())?),
        Task::Why { destination, config } => {
            let hosts = fs::read("/etc/hosts").unwrap_or_default();
            let destination = destination.to_string_lossy();
            answer(&why::why(&destination, &config, &String::from_utf8_lossy(&hosts))?)
        }
        Task::Run(run) => match launch::launch(&run)? {},
    }
}

/// Keeps what we open away from descriptors 0 to 2 if they were closed, so that no message goes
/// into a socket. All is close-on-exec: the program finds them closed, as we did.
#[cfg_attr(test, allow(dead_code, reason = "the tests have an entry of their own"))]
fn occupy_standard_descriptors() {
    while let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        if null.as_raw_fd() > 2 {
            break;
        }
        let _ = null.into_raw_fd();
    }
}
