//! `underpass COMMAND…`: makes sure of an agent, sets the environment, and becomes the program.
//!
//! No process stays behind: what the program sees of signals, terminal, descriptors and parents is
//! what it would see without us.
//!
//! # Layout
//!
//! - [`cli`]: the command line. [`messages`]: the one place that prints, and the exit statuses.
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
mod library;
mod lookup;
mod messages;
mod program;
mod why;

use std::env;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::MetadataExt;
use std::panic::catch_unwind;

use underpass_core::control::ControlRequest;
use underpass_core::runtime_dir::{AgentDirectory, Surroundings, agent_directory};

use cli::{Run, Task, Verbosity};
use library::{Library, Remark};
use lookup::is_absence;
use messages::{CANNOT_EXECUTE, Failure, NOT_FOUND, SETUP, answer, failed, note, reason};
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
        Task::Why { destination, upstream } => {
            answer(&why::why(&destination.to_string_lossy(), &upstream.parsed)?)
        }
        Task::Run(run) => Err(launch(run)?),
    }
}

/// Becomes the program; what it returns is why it could not.
fn launch(run: Run) -> Result<Failure, Failure> {
    let path = env::var_os("PATH");
    let file = lookup::find(&run.program, path.as_deref())?;
    program::judge(&program::chain(&file, path.as_deref())?, &Asker::this_process())?;

    let executable = env::current_exe()
        .map_err(|error| Failure::setup(format_args!("/proc/self/exe: {}", reason(&error))))?;
    let binaries = executable.parent().unwrap_or(&executable);
    let found = library::find(binaries)?;
    let uid = rustix::process::geteuid().as_raw();
    let directory = directory(uid)?;
    let library = library::prepare(&found, &directory, uid)?;

    let request = ControlRequest::OpenSession {
        upstreams: vec![run.upstream.url],
        linger: directory.shared && env::var_os("CI").is_none(),
    };
    let place = agent::Place { directory: &directory.path, binaries, uid };
    let session = agent::open_session(place, &request)?;
    let environment = environment::for_program(exec::environment(), &library.path, &session)?;
    if run.verbosity >= Verbosity::Normal {
        remark(&library, run.verbosity);
    }
    if run.verbosity >= Verbosity::Verbose {
        if !directory.shared {
            note(format_args!("an agent for this launch alone, in {}", directory.path.display()));
        }
        note(format_args!("session via {}, tier hook", run.upstream.parsed));
    }

    let error = exec::exec(&file, &run.program, &run.arguments, &environment);
    let status = if is_absence(&error) { NOT_FOUND } else { CANNOT_EXECUTE };
    Ok(Failure::new(status, format_args!("{}: {}", file.display(), reason(&error))))
}

fn directory(uid: u32) -> Result<AgentDirectory, Failure> {
    let around = Surroundings {
        uid,
        network: fs::metadata("/proc/self/ns/net").ok().map(|namespace| namespace.ino()),
        system: "/run".into(),
        runtime: env::var_os("XDG_RUNTIME_DIR"),
        home: env::var_os("HOME"),
        temporary: env::var_os("TMPDIR"),
    };
    agent_directory(&around).map_err(|passed_over| {
        let why: Vec<String> = passed_over.iter().map(ToString::to_string).collect();
        Failure::setup(format_args!("no directory for the agent: {}", why.join("; ")))
            .hint("set XDG_RUNTIME_DIR to a directory of your own with mode 0700")
    })
}

fn remark(library: &Library, verbosity: Verbosity) {
    match &library.remark {
        Some(Remark::Copied(copy)) if verbosity >= Verbosity::Verbose => {
            note(format_args!("library copied to {}, for programs that change their user", copy.display()));
        }
        Some(Remark::OnlyForUs(why)) => note(format_args!(
            "warning: {}: other users cannot load it, {why}: a program that changes its user is not carried",
            library.path.display()
        )),
        Some(Remark::Copied(_)) | None => {}
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
