//! `--shell`: a session for a whole shell, as exports for it to evaluate.

use std::fmt::Write;
use std::io::IsTerminal;

use rustix::process::getppid;
use underpass_core::config::tier::Tier;
use underpass_core::session_env;

use crate::configuration::{Found, logins};
use crate::environment;
use crate::launch;
use crate::messages::{Failure, Verbosity, note};
use crate::{exec, session};

/// Opens a session that lasts as long as the process that started us.
pub(crate) fn exports(mut found: Found, verbosity: Verbosity) -> Result<String, Failure> {
    let shell = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    // Without a parent in our process namespace nobody could be watched.
    let shell = shell.ok_or_else(|| Failure::setup("--shell: there is no shell that asks"))?;
    let tier = found.config.tier;
    let stricter = [(Tier::Guard, "put under guard", "guard"), (Tier::Sealed, "sealed", "sealed")];
    if let Some((_, done, word)) = stricter.iter().find(|(stricter, ..)| *stricter == tier) {
        return Err(Failure::setup(format_args!("--shell: a shell that runs already cannot be {done}"))
            .hint(format_args!("underpass --tier {word} bash")));
    }
    launch::warn(&found, verbosity);
    logins::fetch(&mut found)?;
    session::open(
        &found,
        Some(shell),
        verbosity,
        || Ok(()),
        |session, ()| {
            launch::say(&found, verbosity, session, launch::Held::ByHook);
            if verbosity >= Verbosity::Normal && std::io::stdout().is_terminal() {
                note("the shell has to evaluate this: eval \"$(underpass ... --shell)\"");
            }
            let preload = environment::preload(exec::environment(), &session.library.path);
            let value = launch::value_for(session, tier, launch::Held::ByHook);
            let mut text = String::new();
            for variable in &found.taken {
                let _ = writeln!(text, "unset {variable}");
            }
            let _ = writeln!(text, "export {}={}", environment::PRELOAD, quoted(&preload)?);
            let _ = writeln!(text, "export {}={}", session_env::VARIABLE, quoted(value.as_bytes())?);
            Ok(text)
        },
    )
}

/// As one word of POSIX sh (XCU 2.2.2).
fn quoted(value: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(value)
        .map_err(|_| Failure::setup(format_args!("{}: not in UTF-8", environment::PRELOAD)))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_one_word() {
        assert_eq!(quoted(b"/l.so:$x `y` \"z\"").unwrap(), "'/l.so:$x `y` \"z\"'");
        assert_eq!(quoted(b"it's").unwrap(), r"'it'\''s'");
        assert!(quoted(b"\xff").is_err());
    }
}
