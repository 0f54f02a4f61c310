//! `underpass COMMAND…`: makes sure of an agent, sets the environment, and becomes the program.
//!
//! No process stays behind, but under guard: what the program sees of signals, terminal, descriptors and parents is
//! what it would see without us.
//!
//! # Layout
//!
//! - [`cli`]: the command line, by one table of options. [`messages`]: the one place that prints, and the exit statuses.
//!   [`personality`]: those of proxychains4 and torsocks, if we are started by these names.
//! - [`configuration`]: where chains and routes come from, and the credentials that they name.
//! - [`launch`]: all that is done for a program, in order; [`session`]: what it shares with [`shell`]
//!   (`--shell`) and [`check`] (`--check`).
//! - [`guard`]: the guard tier; [`within`]: a program that a carried one starts, and that only guard can hold.
//! - [`lookup`]: finds the program. [`program`]: what it is, and whether it can be carried.
//! - [`library`]: where libunderpass.so is. [`agent`]: asks for a session, starts the agent.
//! - [`inherited`]: sockets that we were started with.
//! - [`environment`]: the program's environment. [`exec`]: becomes the program. [`kernel`]: system calls that rustix has not.
//! - [`leaktest`]: a program where the only way out is counted.
//! - [`explain`], [`why`]: answers to `--explain` and `--why`.
#![cfg_attr(not(test), no_main)]
#![deny(unsafe_code)]

mod agent;
mod check;
mod cli;
mod configuration;
mod environment;
#[allow(unsafe_code, reason = "execve, environ and the entry point have no safe form in std")]
mod exec;
mod explain;
mod guard;
mod inherited;
#[allow(unsafe_code, reason = "fork, signals and the memory of others have no safe form in rustix")]
mod kernel;
mod launch;
mod leaktest;
mod library;
mod lookup;
mod messages;
mod personality;
mod program;
#[cfg(test)]
mod scratch;
mod session;
mod shell;
mod why;
mod within;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::panic::catch_unwind;

use cli::Task;
use messages::{Failure, SETUP, answer, failed};
use underpass_core::privilege::Asker;

/// What `main` does with the words that we were started with; returns the exit status.
#[cfg_attr(test, allow(dead_code, reason = "the tests have an entry of their own"))]
fn start(words: Vec<OsString>) -> u8 {
    occupy_standard_descriptors();
    match catch_unwind(|| run(words)) {
        Ok(Ok(status)) => status,
        Ok(Err(failure)) => failed(&failure),
        Err(_) => SETUP,
    }
}

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_default();
    if let Some(personality) = personality::of(&name) {
        return personality.run(words);
    }
    match cli::parse(words)? {
        Task::Run(run) => {
            match launch::launch(configuration::find(run.given)?, &run.program, run.verbosity)? {}
        }
        Task::Leaktest(run) => leaktest::leaktest(run),
        Task::Within { file, program, close_on_exec } => {
            match within::start(&file, &program, close_on_exec)? {}
        }
        Task::Shell { given, verbosity } => done(&shell::exports(configuration::find(given)?, verbosity)?),
        Task::Check { given } => check::check(configuration::find(given)?),
        Task::Chains { given } => {
            let chains = configuration::find(given)?.config.chains;
            done(&chains.keys().map(|name| format!("{name}\n")).collect::<String>())
        }
        Task::Why { destination, given, verbosity } => {
            let found = configuration::find(given)?;
            launch::warn(&found, verbosity);
            let hosts = fs::read("/etc/hosts").unwrap_or_default();
            let hosts = &*String::from_utf8_lossy(&hosts);
            let here = why::Here { hosts, user: rustix::process::getuid().as_raw() };
            done(&why::why(&destination.to_string_lossy(), &found, here)?)
        }
        Task::Explain(name) => {
            let path = env::var_os("PATH");
            done(&explain::explain(&name, path.as_deref(), &Asker::this_process())?)
        }
        Task::Print(text) => done(&text),
    }
}

/// Prints an answer.
fn done(text: &str) -> Result<u8, Failure> {
    answer(text).map(|()| 0)
}

/// Keeps what we open away from descriptors 0 to 2 if they were closed, so that no message goes
/// into a socket. All is close-on-exec: the program finds them closed, as we did.
#[cfg_attr(test, allow(dead_code, reason = "the tests have an entry of their own"))]
fn occupy_standard_descriptors() {
    let is_open = |standard| rustix::io::fcntl_getfd(standard).is_ok();
    if [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()].into_iter().all(is_open) {
        return;
    }
    while let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        if null.as_raw_fd() > 2 {
            break;
        }
        let _ = null.into_raw_fd();
    }
}
