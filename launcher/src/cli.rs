//! The command line. Options end at the first word that is none; all after it is the command's.

mod help;
mod options;

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use underpass_core::upstream::Upstream;

use crate::configuration::{Changes, Given};
use crate::launch::Program;
use crate::messages::{Failure, Verbosity};
use help::help;
use options::{Brief, Name, OPTIONS, Opt};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Start a program.
    Run(Run),
    /// Start a program where what would leave is counted.
    Leaktest(Run),
    /// Start a program in the session that we are in, under guard. It does not have this descriptor.
    Within { file: PathBuf, program: Program, close_on_exec: Option<RawFd> },
    /// Print the environment of a session for the shell that asks.
    Shell { given: Given, verbosity: Verbosity },
    /// Try each hop.
    Check { given: Given },
    /// Print the names of the chains.
    Chains { given: Given },
    /// Say where a connection would go.
    Why { destination: OsString, given: Given, verbosity: Verbosity },
    /// Say what a program is.
    Explain(OsString),
    /// Print this text.
    Print(String),
}

/// A program to start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) given: Given,
    pub(crate) verbosity: Verbosity,
    pub(crate) program: Program,
}

/// Reads the arguments that follow our own name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut source = Source::default();
    let mut verbosity = Verbosity::Normal;
    let mut asked: Vec<(&Opt, Option<OsString>)> = Vec::new();
    let (mut argv0, mut close_on_exec, mut leaktest) = (None, None, false);
    let mut command = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| misuse(&error))? {
        let option = match argument {
            Long(word) => OPTIONS.iter().find(|option| option.long == word),
            Short(letter) => OPTIONS.iter().find(|option| option.short == Some(letter)),
            Value(program) => {
                command.push(program);
                command.extend(parser.raw_args().map_err(|error| misuse(&error))?);
                continue;
            }
        };
        let option = option.ok_or_else(|| unknown(&argument))?;
        let mut value = || value(&mut parser, option);
        match option.name {
            Name::Proxy => source.urls.push(value()?),
            Name::Config => source.files.push(value()?),
            Name::Format => source.format = Some(value()?),
            Name::Udp => source.udp = Some(value()?),
            Name::Inherited => source.inherited = Some(value()?),
            Name::ListenAt => source.listen_at = Some(value()?),
            Name::Tier => source.tier = Some(value()?),
            Name::LetIn => source.let_in.push(value()?.into()),
            Name::Argv0 => argv0 = Some(value()?),
            Name::CloseOnExec => close_on_exec = Some(descriptor(&value()?)?),
            Name::Dns => source.dns = Some(value()?),
            Name::Quiet => verbosity = Verbosity::Quiet,
            Name::Verbose => verbosity = Verbosity::Verbose,
            Name::Leaktest => leaktest = true,
            Name::Shell | Name::Check | Name::Chains => asked.push((option, None)),
            Name::Why | Name::Explain => asked.push((option, Some(value()?))),
            Name::Version => {
                return Ok(Task::Print(format!("underpass {}\n", env!("CARGO_PKG_VERSION"))));
            }
            Name::Help => return Ok(Task::Print(help())),
        }
    }
    if let [(first, _), (second, _), ..] = &asked[..] {
        return Err(Failure::setup(format_args!("--{}: not together with --{}", second.long, first.long)));
    }
    if let Some((other, _)) = asked.first().filter(|_| leaktest) {
        return Err(Failure::setup(format_args!("--{}: not together with --leaktest", other.long)));
    }
    let mut words = command.into_iter();
    if let Some(name) = argv0 {
        let file = words.next().ok_or_else(|| Failure::setup("--argv0: no program given"))?;
        let program = Program { name, arguments: words.collect() };
        return Ok(Task::Within { file: file.into(), program, close_on_exec });
    }
    match (asked.pop(), words.next()) {
        // What it is, is not repeated: it may be a URL, with a password.
        (Some((option, _)), Some(_)) => {
            Err(Failure::setup(format_args!("--{}: takes no command", option.long)))
        }
        (Some((option, value)), None) => instead(option.name, value.unwrap_or_default(), source, verbosity),
        (None, Some(program)) => {
            let program = Program { name: program, arguments: words.collect() };
            let run = Run { given: source.given()?, verbosity, program };
            Ok(if leaktest { Task::Leaktest(run) } else { Task::Run(run) })
        }
        (None, None) => Err(Failure::setup("no command given").hint("underpass --help")),
    }
}

/// What an option asks for instead of a command; its value is empty where it takes none.
fn instead(option: Name, value: OsString, source: Source, verbosity: Verbosity) -> Result<Task, Failure> {
    match option {
        Name::Explain if source.is_empty() => Ok(Task::Explain(value)),
        Name::Explain => Err(Failure::setup("--explain: takes no other option")),
        Name::Why => Ok(Task::Why { destination: value, given: source.given()?, verbosity }),
        Name::Shell => Ok(Task::Shell { given: source.given()?, verbosity }),
        Name::Chains => Ok(Task::Chains { given: source.given()? }),
        _ => Ok(Task::Check { given: source.given()? }),
    }
}

/// The options that say where the configuration comes from.
#[derive(Default)]
struct Source {
    urls: Vec<OsString>,
    files: Vec<OsString>,
    format: Option<OsString>,
    dns: Option<OsString>,
    udp: Option<OsString>,
    inherited: Option<OsString>,
    listen_at: Option<OsString>,
    tier: Option<OsString>,
    let_in: Vec<PathBuf>,
}

impl Source {
    fn is_empty(&self) -> bool {
        self.urls.is_empty()
            && self.files.is_empty()
            && self.format.is_none()
            && self.dns.is_none()
            && self.udp.is_none()
            && self.inherited.is_none()
            && self.listen_at.is_none()
            && self.tier.is_none()
            && self.let_in.is_empty()
    }

    fn given(mut self) -> Result<Given, Failure> {
        let dns = self.dns.take().map(|dns| dns.to_string_lossy().parse());
        let dns = dns.transpose().map_err(|why: String| Failure::setup(format_args!("--dns: {why}")))?;
        let udp = self.udp.take().map(|udp| udp.to_string_lossy().parse());
        let udp = udp.transpose().map_err(|why: &str| Failure::setup(format_args!("--udp: {why}")))?;
        let inherited = self.inherited.take().map(|inherited| inherited.to_string_lossy().parse());
        let inherited =
            inherited.transpose().map_err(|why: &str| Failure::setup(format_args!("--inherited: {why}")))?;
        let listen_at = self.listen_at.take().map(|chain| chain.to_string_lossy().into_owned());
        let tier = self.tier.take().map(|tier| tier.to_string_lossy().parse());
        let tier = tier.transpose().map_err(|why: &str| Failure::setup(format_args!("--tier: {why}")))?;
        let let_in = std::mem::take(&mut self.let_in);
        if let Some(path) = let_in.iter().find(|path| !path.is_absolute()) {
            return Err(Failure::setup(format_args!("--let-in: {}: not an absolute path", path.display())));
        }
        let place = self.place()?;
        let changes = Changes { dns, udp, inherited, listen_at, tier, let_in };
        Ok(if changes == Changes::default() { place } else { Given::With(changes, Box::new(place)) })
    }

    fn place(self) -> Result<Given, Failure> {
        let mut files = self.files.into_iter();
        match (files.next(), files.next()) {
            (Some(_), None) if !self.urls.is_empty() => {
                Err(Failure::setup("--config: not together with --proxy: one of them says where to go"))
            }
            (Some(path), None) => {
                let format = self.format.map(|name| name.to_string_lossy().parse());
                let format =
                    format.transpose().map_err(|why| Failure::setup(format_args!("--format: {why}")))?;
                Ok(Given::File { path: path.into(), format })
            }
            (Some(_), Some(_)) => Err(Failure::setup("--config: given twice; there is one configuration")),
            (None, _) if self.format.is_some() => {
                Err(Failure::setup("--format: says how to read a --config, and none is given"))
            }
            (None, _) if self.urls.is_empty() => Ok(Given::Nothing),
            (None, _) => {
                let hops: Result<Vec<Upstream>, Failure> = self.urls.into_iter().map(proxy).collect();
                Ok(Given::Proxies(hops?))
            }
        }
    }
}

fn proxy(url: OsString) -> Result<Upstream, Failure> {
    // The URL may hold a password, so it is not repeated.
    let url = url.into_string().map_err(|_| Failure::setup("--proxy: not a URL in UTF-8"))?;
    url.parse().map_err(|error| Failure::setup(format_args!("--proxy: {error}")))
}

fn descriptor(number: &OsString) -> Result<RawFd, Failure> {
    let number = number.to_str().and_then(|number| number.parse().ok());
    number.ok_or_else(|| Failure::setup("--close-on-exec: not the number of a descriptor"))
}

fn value(parser: &mut lexopt::Parser, option: &Opt) -> Result<OsString, Failure> {
    let what = option.value.unwrap_or_default();
    parser.value().map_err(|_| Failure::setup(format_args!("--{}: {what} is missing", option.long)))
}

fn misuse(error: &lexopt::Error) -> Failure {
    match error {
        lexopt::Error::UnexpectedValue { option, .. } => {
            Failure::setup(format_args!("{option}: takes no value"))
        }
        other => Failure::setup(other),
    }
}

fn unknown(argument: &lexopt::Arg<'_>) -> Failure {
    let (word, dashed) = match argument {
        Long(word) => ((*word).to_owned(), format!("--{word}")),
        Short(letter) => (letter.to_string(), format!("-{letter}")),
        Value(word) => (word.to_string_lossy().into_owned(), word.to_string_lossy().into_owned()),
    };
    let failure = Failure::setup(format_args!("{dashed}: unknown option"));
    let shown = OPTIONS.iter().filter(|option| !matches!(option.brief, Brief::Hidden));
    match shown.map(|option| (distance(&word, option.long), option.long)).min() {
        // A name that differs in more than a third of its letters is another word.
        Some((far, known)) if far * 3 <= known.len() => failure.hint(format_args!("did you mean --{known}?")),
        _ => failure.hint("underpass --help lists the options"),
    }
}

/// How many letters must be inserted, deleted or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
