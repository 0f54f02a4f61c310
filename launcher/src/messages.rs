//! The one place that prints. What the launcher says goes to standard error, except the answers
//! of `--why`, `--explain`, `--version` and `--help`.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
pub(crate) use underpass_core::failure::reason;

/// Our own failures, as `env` and `timeout` have them.
pub(crate) const SETUP: u8 = 125;
/// The program is there and cannot be executed.
pub(crate) const CANNOT_EXECUTE: u8 = 126;
/// The program is not there.
pub(crate) const NOT_FOUND: u8 = 127;

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors.
    Quiet,
    /// Errors, and warnings that something may not be carried.
    Normal,
    /// What is done, too.
    Verbose,
}

/// Why the program was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Exit status.
    pub(crate) status: u8,
    /// `what: why`, lower case, no full stop.
    pub(crate) message: String,
    /// What can be done about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure of usage or set-up, [`SETUP`].
    pub(crate) fn setup(message: impl Display) -> Self {
        Self::new(SETUP, message)
    }

    pub(crate) fn new(status: u8, message: impl Display) -> Self {
        Self { status, message: message.to_string(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "underpass: {}", self.message)?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Prints the failure and gives its exit status. Standard error that cannot be written to changes nothing.
pub(crate) fn failed(failure: &Failure) -> u8 {
    to_stderr(&failure.to_string());
    failure.status
}

/// What is said under `-v`, and warnings.
pub(crate) fn note(text: impl Display) {
    to_stderr(&format!("underpass: {text}\n"));
}

/// As long as this lives, a terminal shows what is waited for.
#[derive(Debug)]
pub(crate) struct Waiting(());

impl Waiting {
    /// Only on a terminal, and for whoever has not asked for quiet.
    pub(crate) fn new(verbosity: Verbosity, what: &str) -> Option<Self> {
        if verbosity == Verbosity::Quiet || !io::stderr().is_terminal() {
            return None;
        }
        to_stderr(&format!("underpass: {what} …"));
        Some(Self(()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // The line is erased (ECMA-48, EL).
        to_stderr("\r\x1b[K");
    }
}

/// A report of more than one line, as it is.
pub(crate) fn tell(text: &str) {
    to_stderr(text);
}

/// An answer that was asked for.
pub(crate) fn answer(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
        .map_err(|error| Failure::setup(format_args!("standard output: {}", reason(&error))))
}

/// One write, so that lines of several processes do not mix.
fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_its_hint_another() {
        let failure = Failure::setup("what: why");
        assert_eq!(failure.to_string(), "underpass: what: why\n");
        assert_eq!(failure.hint("do this").to_string(), "underpass: what: why\nhint: do this\n");
    }

    #[test]
    fn a_systems_reason_is_lower_case_and_has_no_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
