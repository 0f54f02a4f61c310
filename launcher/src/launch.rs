//! From a program's name to its being us: every check, the agent's session, then exec.

use std::convert::Infallible;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use underpass_core::config::dns::Mode;
use underpass_core::config::route::Route;
use underpass_core::config::tier::Tier;
use underpass_core::session_env;

use crate::configuration::{Found, Origin, logins};
use crate::library::Remark;
use crate::messages::{CANNOT_EXECUTE, Failure, NOT_FOUND, Verbosity, note, reason};
use crate::session::{self, Session};
use crate::{environment, exec, guard, inherited, lookup, program, why};
use underpass_core::privilege::Asker;

/// A program to start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// As typed; becomes its `argv[0]`.
    pub(crate) name: OsString,
    pub(crate) arguments: Vec<OsString>,
}

/// Becomes the program. Returns only if that failed.
pub(crate) fn launch(
    mut found: Found,
    program: &Program,
    verbosity: Verbosity,
) -> Result<Infallible, Failure> {
    if env::var_os(session_env::VARIABLE).is_some_and(|value| value == session_env::SEALED) {
        return Err(Failure::setup("this process is sealed already, by another launcher")
            .hint("the program is carried as it is: start it without underpass"));
    }
    warn(&found, verbosity);
    match found.config.tier {
        Tier::Sealed => inherited::seal(found.config.inherited, verbosity)?,
        _ => inherited::judge(found.config.inherited, verbosity)?,
    }
    logins::fetch(&mut found)?;
    let tier = found.config.tier;
    session::open(
        &found,
        None,
        verbosity,
        || locate(&program.name, tier),
        |session, (file, held, foreign)| {
            let (library, value) = (&session.library.path, value_for(session, tier, held));
            let value = &value;
            let mut environment =
                environment::for_program(exec::environment(), library, value, &found.taken)?;
            say(&found, verbosity, session, held);
            if held != Held::ByHook {
                if foreign || held == Held::Sealed {
                    environment = environment::without_library(environment)?;
                }
                let seal = (held == Held::Sealed).then(|| guard::Seal {
                    let_in: &found.config.let_in,
                    loopback: found.config.routes.iter().any(Route::names_loopback),
                });
                if seal.is_some() {
                    environment = environment::with_session(environment, session_env::SEALED)?;
                }
                let start = guard::Start {
                    file: &file,
                    name: &program.name,
                    arguments: &program.arguments,
                    environment: &environment,
                    verbosity,
                    seal,
                };
                return Err(guard::run(value, &start));
            }
            let error = exec::exec(&file, &program.name, &program.arguments, &environment);
            let status = if lookup::is_absence(&error) { NOT_FOUND } else { CANNOT_EXECUTE };
            Err(Failure::new(status, format_args!("{}: {}", file.display(), reason(&error))))
        },
    )
}

/// The session, and whether the library is to start under guard what cannot load it.
pub(crate) fn value_for(session: &Session<'_>, tier: Tier, held: Held) -> String {
    let auto = (tier, held) == (Tier::Auto, Held::ByHook);
    let supervised = held != Held::ByHook;
    environment::of_session(session.value.as_bytes(), auto, supervised, exec::environment())
        .unwrap_or_else(|| session.value.clone())
}

/// What holds a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    ByHook,
    ByGuard,
    Sealed,
}

/// The file of a program that can be carried, what holds it, and whether it is of another C library.
pub(crate) fn locate(name: &OsStr, tier: Tier) -> Result<(PathBuf, Held, bool), Failure> {
    let path = env::var_os("PATH");
    let file = lookup::find(name, path.as_deref())?;
    let links = program::chain(&file, path.as_deref())?;
    let asker = Asker::this_process();
    let held = match tier {
        Tier::Hook => program::judge(&links, &asker).map(|()| Held::ByHook)?,
        Tier::Guard | Tier::Sealed => {
            let (word, held) =
                if tier == Tier::Guard { ("guard", Held::ByGuard) } else { ("sealed", Held::Sealed) };
            guard::check().map_err(|why| Failure::setup(format_args!("tier {word}: {why}")))?;
            program::judge_for_guard(&links, &asker).map(|()| held)?
        }
        Tier::Auto => match program::judge(&links, &asker) {
            Ok(()) => Held::ByHook,
            Err(refused) => {
                program::judge_for_guard(&links, &asker)?;
                guard::check()
                    .map_err(|why| refused.hint(format_args!("tier guard would carry it, but {why}")))?;
                Held::ByGuard
            }
        },
    };
    Ok((file, held, program::is_of_another_libc(&links)))
}

/// What the configuration holds that has no effect, or another than its writer may think.
pub(crate) fn warn(found: &Found, verbosity: Verbosity) {
    if verbosity < Verbosity::Normal {
        return;
    }
    for warning in &found.warnings {
        note(format_args!("{}:{}: warning: {}", warning.file, warning.line, warning.message));
    }
    if found.config.dns.mode == Mode::Local {
        note("warning: dns local: names leave this machine by its own resolver, past every proxy");
    }
}

/// Nothing unless asked for, but for what would go past us unsaid.
pub(crate) fn say(found: &Found, verbosity: Verbosity, session: &Session<'_>, held: Held) {
    let Session { library, directory, .. } = session;
    if verbosity >= Verbosity::Normal
        && let Some(Remark::OnlyForUs(why)) = &library.remark
    {
        note(format_args!(
            "warning: {}: other users cannot load it, {why}: a program that changes its user is not carried",
            library.path.display()
        ));
    }
    if verbosity < Verbosity::Verbose {
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
    let tier = match held {
        Held::ByHook => "hook, which does not hold what goes past the C library",
        Held::ByGuard => "guard, which does not hold sockets that other processes pass",
        Held::Sealed => "sealed, which does not hold what others do for a program by files that they share",
    };
    note(format_args!("session {}, tier {tier}", described(found)));
    if held == Held::ByGuard && guard::check() == Ok(guard::Copies::Kept) {
        note("pidfd_getfd is refused, so copies of sockets are kept: one that was bound is not connected");
    }
    if held == Held::ByGuard
        && let Err(error) = guard::check_datagrams()
    {
        note(format_args!("datagrams are refused: a network of their own: {}", reason(&error)));
    }
}

fn described(found: &Found) -> String {
    let way = why::words::way(&found.config, &found.config.otherwise).replacen("carried by", "via", 1);
    match &found.origin {
        Origin::Options => way,
        Origin::Variable(name) => format!("{way} (by {name})"),
        Origin::File { path, .. } => match found.config.routes.len() {
            0 => format!("{way} (by {})", path.display()),
            routes => format!("{way}, but for {routes} routes (by {})", path.display()),
        },
    }
}
