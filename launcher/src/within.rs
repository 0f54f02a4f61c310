//! A carried program starts one that cannot load the library: the library starts us in its place. In tier auto we start it
//! under guard, in the session that it is in already; in tier hook we say why it is not started. What the library could not
//! look at, and loads it after all, is started as it is.

use std::borrow::Cow;
use std::convert::Infallible;
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::FdFlags;
use underpass_core::privilege::Asker;
use underpass_core::session_env::{SessionEnv, VARIABLE};

use crate::launch::Program;
use crate::messages::{CANNOT_EXECUTE, Failure, Verbosity, reason};
use crate::{environment, exec, guard, program};

/// Starts the program as execve(2) would: `file` is not searched. Returns only if that failed. `close_on_exec` is a descriptor
/// that the library has kept open for us, since `file` is a path of it.
pub(crate) fn start(
    file: &Path,
    program: &Program,
    close_on_exec: Option<RawFd>,
) -> Result<Infallible, Failure> {
    if let Some(descriptor) = close_on_exec.and_then(exec::inherited_descriptor) {
        rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC)
            .map_err(|error| Failure::setup(format_args!("--close-on-exec: {}", reason(&error.into()))))?;
    }
    let session = env::var_os(VARIABLE);
    let outer = session.as_deref().and_then(|value| SessionEnv::parse(value.as_bytes()));
    let outer = outer.ok_or_else(|| Failure::setup("--argv0: we are in no session"))?;
    let path = env::var_os("PATH");
    let links = program::chain(file, path.as_deref())?;
    let inherited = exec::environment().into_iter().map(Cow::Borrowed).collect();
    let without_library = |environment| match program::is_of_another_libc(&links) {
        true => environment::without_library(environment),
        false => Ok(environment),
    };
    // It loads the library after all, where that was not to be seen beforehand.
    let loads = program::judge(&links, &Asker::this_process()).and_then(|()| library_is_there());
    if !outer.supervised && !outer.auto {
        loads.as_ref().map_err(Failure::clone)?;
    }
    if outer.supervised || loads.is_ok() {
        let environment = without_library(inherited)?;
        let error = exec::exec(file, &program.name, &program.arguments, &environment);
        return Err(Failure::new(CANNOT_EXECUTE, format_args!("{}: {}", file.display(), reason(&error))));
    }
    program::judge_for_guard(&links, &Asker::this_process())?;
    guard::check().map_err(|why| {
        Failure::new(CANNOT_EXECUTE, format_args!("{}: only tier guard carries it: {why}", file.display()))
    })?;
    let session = SessionEnv { auto: false, supervised: true, ..outer }.to_value();
    let session =
        String::from_utf8(session).map_err(|_| Failure::setup("the session's path is not UTF-8"))?;
    let environment = without_library(environment::with_session(inherited, &session)?)?;
    let start = guard::Start {
        file,
        name: &program.name,
        arguments: &program.arguments,
        environment: &environment,
        verbosity: Verbosity::Normal,
        seal: None,
    };
    Err(guard::run(&session, &start))
}

/// ld.so goes on without a library that it cannot open.
fn library_is_there() -> Result<(), Failure> {
    let preload = env::var_os(environment::PRELOAD).unwrap_or_default();
    let first = preload.as_bytes().split(|byte| matches!(byte, b':' | b' ')).find(|entry| !entry.is_empty());
    let library = Path::new(OsStr::from_bytes(first.unwrap_or_default()));
    File::open(library).map(drop).map_err(|error| {
        Failure::new(CANNOT_EXECUTE, format_args!("{}: {}", library.display(), reason(&error)))
    })
}
