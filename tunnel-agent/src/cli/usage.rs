//! The command line is read, or what is wrong with it is said as the launcher says it.
//!
//! clap's own words repeat what was typed, which may hold a password (`-x socks5h://user:password@…`).

use std::error::Error as _;
use std::io;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use underpass_core::config::problem::shown;

use super::Failure;
use super::arguments::Cli;

/// `None` when help or the version was asked for, and printed.
///
/// # Errors
/// What is wrong with the command line, or with standard output.
pub(super) fn read() -> Result<Option<Cli>, Failure> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(Some(cli)),
        Err(error) => error,
    };
    if error.use_stderr() {
        return Err(Failure::Usage(words(&error)));
    }
    match error.print() {
        // Whoever has closed our output has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(None),
    }
}

fn words(error: &Error) -> String {
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    let near = near.iter().find_map(|kind| named(error, *kind));
    let hint = match near {
        Some(name) => format!("did you mean {name}?"),
        None => "underpass-agent --help lists the commands, and with a command its options".to_owned(),
    };
    format!("{}\nhint: {hint}", what(error))
}

fn what(error: &Error) -> String {
    let option = named(error, ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument if option.starts_with('-') => format!("{option}: unknown option"),
        ErrorKind::UnknownArgument => format!("{}: a word that is not expected", shown(&option)),
        ErrorKind::InvalidSubcommand => {
            let word = named(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("{}: unknown command", shown(&word))
        }
        ErrorKind::ArgumentConflict => match named(error, ContextKind::PriorArg) {
            Some(other) if other != option => format!("{option}: not together with {other}"),
            _ => format!("{option}: given twice"),
        },
        ErrorKind::ValueValidation => match error.source() {
            Some(why) => format!("{option}: {why}"),
            None => format!("{option}: cannot be read"),
        },
        ErrorKind::TooManyValues => format!("{option}: takes no value"),
        ErrorKind::InvalidValue => format!("{option}: its value is missing"),
        ErrorKind::InvalidUtf8 => "a word of the command line is not in UTF-8".to_owned(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command given".to_owned()
        }
        _ => "the command line cannot be read".to_owned(),
    }
}

/// The first name that an error tells of this kind, without what stands for its value.
fn named(error: &Error, kind: ContextKind) -> Option<String> {
    let name = match error.get(kind)? {
        ContextValue::String(name) => name,
        ContextValue::Strings(names) => names.first()?,
        _ => return None,
    };
    Some(name.split(' ').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_and_no_password() {
        for (line, said) in [
            ("", "no command given"),
            ("statu", "\"statu\": unknown command\nhint: did you mean status?"),
            ("status --jsno", "--jsno: unknown option\nhint: did you mean --json?"),
            ("status more", "\"more\": a word that is not expected"),
            ("status --json --dot", "--json: not together with --dot"),
            ("status --json=yes", "--json: takes no value"),
            ("run -f a -f b", "--config: given twice"),
            ("run -x", "--proxy: its value is missing"),
            ("run -x socks5h://ann:secret@h:99999", "--proxy: the port is not between 1 and 65535"),
            ("run --proxi=socks5h://ann:secret@h", "--proxi: unknown option\nhint: did you mean --proxy?"),
            ("run socks5h://ann:secret@h:1", "(not shown): a word that is not expected"),
            ("socks5h://ann:secret@h:1", "(not shown): unknown command"),
            ("run --drain soon", "--drain: not a number of seconds"),
            ("join", "the command line cannot be read"),
        ] {
            let line = ["underpass-agent"].into_iter().chain(line.split_whitespace());
            let error = Cli::try_parse_from(line).err().expect("it cannot be read");
            let told = words(&error);
            assert!(told.starts_with(said), "{told}");
            assert!(told.contains("\nhint: ") && !told.contains("secret"), "{told}");
        }
    }
}
