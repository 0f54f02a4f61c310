//! What a launch, a shell and a check have in common: where our files are, and asking the agent.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use underpass_core::config::Config;
use underpass_core::control::ControlRequest;
use underpass_core::processes;
use underpass_core::runtime_dir::{AgentDirectory, Surroundings, agent_directory};

use crate::agent::{self, Checked, Place};
use crate::configuration::Found;
use crate::library::{self, Library};
use crate::messages::{Failure, Verbosity, reason};

/// A session that is open.
pub(crate) struct Session<'a> {
    /// The value of its variable.
    pub(crate) value: String,
    pub(crate) library: Library,
    pub(crate) directory: &'a AgentDirectory,
}

/// Opens a session for ourselves, or for another process, and gives it to `then`, with what `meanwhile` has found
/// while the agent worked. Where that fails no agent is started.
pub(crate) fn open<M, T>(
    found: &Found,
    for_process: Option<u32>,
    verbosity: Verbosity,
    meanwhile: impl FnOnce() -> Result<M, Failure>,
    then: impl FnOnce(&Session<'_>, M) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let binaries = binaries()?;
    let uid = rustix::process::geteuid().as_raw();
    let directory = directory(uid)?;
    let place =
        Place { directory: &directory.path, binaries: &binaries, uid, private: !directory.shared, verbosity };
    let request = ControlRequest::OpenSession {
        config: Box::new(found.config.clone()),
        linger: found.lingers && directory.shared && env::var_os("CI").is_none(),
        source: found.source(),
        for_process,
    };
    let opened = agent::open_session(place, &request, || {
        let made = meanwhile()?;
        Ok((made, library::prepare(&library::find(&binaries)?, &directory, uid)?))
    });
    let done = opened
        .and_then(|(value, (made, library))| then(&Session { value, library, directory: &directory }, made));
    if done.is_err() && !directory.shared {
        // Made for this launch, which has come to nothing.
        let _ = fs::remove_dir_all(&directory.path);
    }
    done
}

/// Has the agent try each hop; `each` is called as soon as one is known.
pub(crate) fn check(
    config: &Config,
    each: impl FnMut(Checked) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let binaries = binaries()?;
    let uid = rustix::process::geteuid().as_raw();
    let directory = directory(uid)?;
    // Whoever has hops tried sees which one is being tried.
    let verbosity = Verbosity::Quiet;
    let place =
        Place { directory: &directory.path, binaries: &binaries, uid, private: !directory.shared, verbosity };
    let done = agent::check(place, config, each);
    if done.is_err() && !directory.shared {
        let _ = fs::remove_dir_all(&directory.path);
    }
    done
}

/// The directory of our executable.
pub(crate) fn binaries() -> Result<PathBuf, Failure> {
    let executable = env::current_exe()
        .map_err(|error| Failure::setup(format_args!("/proc/self/exe: {}", reason(&error))))?;
    Ok(executable.parent().map(PathBuf::from).unwrap_or(executable))
}

fn directory(uid: u32) -> Result<AgentDirectory, Failure> {
    let around = Surroundings {
        uid,
        network: fs::metadata("/proc/self/ns/net").ok().map(|namespace| namespace.ino()),
        processes: processes::namespace(),
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
