//! A carried program starts one that cannot load the library: the library starts us in its place, and we start it
//! under guard, in the session that it is in already.

use std::borrow::Cow;
use std::convert::Infallible;
use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use underpass_core::session_env::VARIABLE;

use crate::launch::Program;
use crate::messages::{CANNOT_EXECUTE, Failure};
use crate::program::privilege::Asker;
use crate::{environment, exec, guard, program};

/// Starts the program as execve(2) would: `file` is not searched. Returns only if that failed.
pub(crate) fn start(file: &Path, program: &Program) -> Result<Infallible, Failure> {
    let session = env::var_os(VARIABLE);
    let session =
        session.as_deref().and_then(|value| environment::of_session(value.as_bytes(), false, true, []));
    let session = session.ok_or_else(|| Failure::setup("--argv0: we are in no session"))?;
    let path = env::var_os("PATH");
    let links = program::chain(file, path.as_deref())?;
    program::judge_for_guard(&links, &Asker::this_process())?;
    guard::check().map_err(|why| {
        Failure::new(CANNOT_EXECUTE, format_args!("{}: only tier guard carries it: {why}", file.display()))
    })?;
    let inherited = exec::environment().into_iter().map(Cow::Borrowed).collect();
    let mut environment = environment::with_session(inherited, &session)?;
    if program::is_of_another_libc(&links) {
        environment = environment::without_library(environment)?;
    }
    let start =
        guard::Start { file, name: &program.name, arguments: &program.arguments, environment: &environment };
    Err(guard::run(&session, &start))
}
