//! From a program's name to its being us: every check, the agent's session, then exec.

use std::convert::Infallible;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use underpass_core::control::ControlRequest;
use underpass_core::runtime_dir::{AgentDirectory, Surroundings, agent_directory};

use crate::cli::{Run, Verbosity};
use crate::library::{Library, Remark};
use crate::messages::{CANNOT_EXECUTE, Failure, NOT_FOUND, note, reason};
use crate::program::privilege::Asker;
use crate::{agent, environment, exec, library, lookup, program, why};

/// Becomes the program. Returns only if that failed.
pub(crate) fn launch(run: &Run) -> Result<Infallible, Failure> {
    let path = env::var_os("PATH");
    let file = lookup::find(&run.program, path.as_deref())?;
    program::judge(&program::chain(&file, path.as_deref())?, &Asker::this_process())?;

    let executable = env::current_exe()
        .map_err(|error| Failure::setup(format_args!("/proc/self/exe: {}", reason(&error))))?;
    let binaries = executable.parent().unwrap_or(&executable);
    let library = library::find(binaries)?;
    let uid = rustix::process::geteuid().as_raw();
    let directory = directory(uid)?;
    let place = agent::Place { directory: &directory.path, binaries, uid, private: !directory.shared };
    let started = enter(run, &file, &library, &directory, place);
    if !directory.shared {
        // Made for this launch, which has come to nothing.
        let _ = fs::remove_dir_all(&directory.path);
    }
    started
}

/// What needs the agent's directory.
fn enter(
    run: &Run,
    file: &Path,
    library: &Path,
    directory: &AgentDirectory,
    place: agent::Place<'_>,
) -> Result<Infallible, Failure> {
    let request = ControlRequest::OpenSession {
        config: Box::new(run.config.clone()),
        linger: directory.shared && env::var_os("CI").is_none(),
        source: None,
    };
    let (session, library) =
        agent::open_session(place, &request, || library::prepare(library, directory, place.uid))?;
    let environment = environment::for_program(exec::environment(), &library.path, &session)?;
    say(run, directory, &library);

    let error = exec::exec(file, &run.program, &run.arguments, &environment);
    let status = if lookup::is_absence(&error) { NOT_FOUND } else { CANNOT_EXECUTE };
    Err(Failure::new(status, format_args!("{}: {}", file.display(), reason(&error))))
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

/// Nothing unless asked for, but for what would go past us unsaid.
fn say(run: &Run, directory: &AgentDirectory, library: &Library) {
    if run.verbosity >= Verbosity::Normal
        && let Some(Remark::OnlyForUs(why)) = &library.remark
    {
        note(format_args!(
            "warning: {}: other users cannot load it, {why}: a program that changes its user is not carried",
            library.path.display()
        ));
    }
    if run.verbosity < Verbosity::Verbose {
        return;
    }
    if let Some(Remark::Copied(copy)) = &library.remark {
        note(format_args!("library copied to {}, for programs that change their user", copy.display()));
    }
    for unusable in &directory.passed_over {
        note(format_args!("passed over: {unusable}"));
    }
    if !directory.shared {
        note(format_args!("an agent for this launch alone, in {}", directory.path.display()));
    }
    note(format_args!(
        "session {}, tier hook",
        why::path(&run.config, &run.config.otherwise).replace("carried by", "via")
    ));
}
