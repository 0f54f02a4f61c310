//! A program with a hard time limit, run on one side of a world.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use crate::running::Running;

/// Nothing takes longer unless the test says so.
pub(crate) const DEFAULT_LIMIT: Duration = Duration::from_secs(90);

/// A program to run. Its environment holds HOME, XDG_RUNTIME_DIR, PATH and LANG and what
/// [`Self::env`] adds.
#[derive(Clone)]
#[must_use]
pub struct Command {
    enter: Vec<String>,
    directory: OsString,
    environment: Vec<(OsString, OsString)>,
    line: Vec<OsString>,
    input: Option<Vec<u8>>,
    limit: Duration,
}

impl Command {
    pub(crate) fn new(enter: Vec<String>, directory: &Path, program: &OsStr) -> Self {
        let (directory, line) = (directory.into(), vec![program.to_owned()]);
        Self { enter, directory, environment: vec![], line, input: None, limit: DEFAULT_LIMIT }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.line.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.line.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// What the program complains goes to the end of this file, and is there as soon as it is written.
    pub(crate) fn complaints_to(mut self, file: &Path) -> Self {
        let shell = ["sh", "-c", r#"exec "$@" 2>>"$0""#].map(OsString::from);
        self.line.splice(0..0, shell.into_iter().chain([file.into()]));
        self
    }

    /// Sets a variable of the program's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(known, _)| known != name.as_ref());
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What the program reads; without it the input is empty.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Kills the program, and fails the test, after this time (default: 90 s).
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the program to its end.
    pub fn run(self) -> Finished {
        let limit = self.limit;
        let done = self.run_or_kill();
        assert!(!done.killed, "did not end within {limit:?}: {done}");
        done
    }

    /// Runs the program to its end, or kills it at its limit and says so ([`Finished::killed`]).
    pub fn run_or_kill(mut self) -> Finished {
        let input = self.input.take().unwrap_or_default();
        let mut running = self.spawn();
        if let Some(mut stdin) = running.take_input() {
            // On a thread of its own: the program may write before it reads.
            std::thread::spawn(move || stdin.write_all(&input));
        }
        running.wait_or_kill()
    }

    /// Starts the program; its input stays open (see [`Running::say`]).
    pub fn spawn(self) -> Running {
        let mut command = std::process::Command::new(&self.enter[0]);
        // What a shell starts in the background ignores interrupts, and would pass that on.
        command
            .args(&self.enter[1..])
            .args(["--", "env", "--default-signal", "-i", "-C"])
            .arg(&self.directory);
        for (name, value) in &self.environment {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            command.arg(variable);
        }
        let child = command
            .args(&self.line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("nsenter is needed (util-linux)");
        let line = self.line.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Running::new(child, line, self.limit)
    }
}

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote, as text.
    pub stdout: String,
    /// What it wrote, as it is.
    pub bytes: Vec<u8>,
    /// What it complained.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was still running at its limit.
    pub killed: bool,
    pub(crate) line: String,
}

impl Finished {
    /// The output, after a check that the status is 0.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// The exit status; 128 and the signal's number if a signal ended it, as in a shell.
    pub fn code(&self) -> i32 {
        self.status.code().or_else(|| Some(128 + self.status.signal()?)).unwrap_or(-1)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, stdout, stderr, elapsed, line, .. } = self;
        write!(f, "{line}\n{status} after {elapsed:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }
}
