//! The command line. Options end at the first word that is none; all after it is the command's.

use std::ffi::OsString;

use lexopt::Arg::{Long, Short, Value};
use underpass_core::config::Config;
use underpass_core::upstream::Upstream;

use crate::messages::Failure;

/// `--help`; fits a screen.
pub(crate) const HELP: &str = "\
Runs any Linux program, unmodified, and carries its network traffic through
a proxy.

Usage: underpass [OPTIONS] [--] COMMAND [ARGS...]

  -x, --proxy URL        the proxy, spelled as for curl:
                         socks5h://[USER:PASSWORD@]HOST[:PORT], or local: to
                         try it with no proxy
  -q, --quiet            no warnings
  -v, --verbose          say on standard error what is done
      --why HOST:PORT    print how a connection to there would go, and exit
      --explain PROGRAM  print what PROGRAM is and whether it can be carried
      --version          print the version
  -h, --help             print this

Options end at COMMAND; what follows it is COMMAND's own. The exit status is
COMMAND's, or 125 if underpass itself fails, 126 if COMMAND cannot be executed
or cannot be carried, 127 if it is not found.

Examples:
  underpass -x socks5h://127.0.0.1:9050 curl https://example.com/
  underpass -x local: curl http://example.com/
";

/// Every option by its names, for the nearest one to a mistyped word.
const OPTIONS: [&str; 7] = ["--proxy", "--quiet", "--verbose", "--why", "--explain", "--version", "--help"];

const NO_UPSTREAM_HINT: &str =
    "underpass -x socks5h://HOST:PORT COMMAND, or -x local: to try it with no proxy";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Start a program.
    Run(Run),
    /// Say where a connection would go.
    Why { destination: OsString, config: Config },
    /// Say what a program is.
    Explain(OsString),
    /// Print this text.
    Print(String),
}

/// A program to start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) config: Config,
    pub(crate) verbosity: Verbosity,
    /// The program's name as typed; becomes its `argv[0]`.
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
}

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

/// Reads the arguments that follow our own name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut urls = Vec::new();
    let mut verbosity = Verbosity::Normal;
    let (mut why, mut explain) = (None, None);
    let mut command = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| misuse(&error))? {
        match argument {
            Short('x') | Long("proxy") => urls.push(value(&mut parser, "--proxy", "URL")?),
            Short('q') | Long("quiet") => verbosity = Verbosity::Quiet,
            Short('v') | Long("verbose") => verbosity = Verbosity::Verbose,
            Long("why") => why = Some(value(&mut parser, "--why", "HOST:PORT")?),
            Long("explain") => explain = Some(value(&mut parser, "--explain", "PROGRAM")?),
            Long("version") => return Ok(Task::Print(format!("underpass {}\n", env!("CARGO_PKG_VERSION")))),
            Short('h') | Long("help") => return Ok(Task::Print(HELP.to_owned())),
            Long(name) => return Err(unknown(&format!("--{name}"))),
            Short(letter) => return Err(unknown(&format!("-{letter}"))),
            Value(program) => {
                command.push(program);
                command.extend(parser.raw_args().map_err(|error| misuse(&error))?);
            }
        }
    }
    if why.is_some() || explain.is_some() {
        if let Some(word) = command.first() {
            return Err(Failure::setup(format_args!(
                "{}: --why and --explain take no command",
                word.to_string_lossy()
            )));
        }
        return match (why, explain) {
            (Some(destination), None) => Ok(Task::Why { destination, config: proxies(urls)? }),
            (_, Some(program)) if urls.is_empty() => Ok(Task::Explain(program)),
            _ => Err(Failure::setup("--explain: takes no other option")),
        };
    }
    let mut words = command.into_iter();
    let Some(program) = words.next() else {
        return Err(Failure::setup("no command given").hint("underpass --help"));
    };
    Ok(Task::Run(Run { config: proxies(urls)?, verbosity, program, arguments: words.collect() }))
}

/// The proxies of `-x`, one chain in that order.
fn proxies(urls: Vec<OsString>) -> Result<Config, Failure> {
    if urls.is_empty() {
        return Err(Failure::setup("no proxy given").hint(NO_UPSTREAM_HINT));
    }
    let hops: Result<Vec<Upstream>, Failure> = urls.into_iter().map(proxy).collect();
    Ok(Config::strict(hops?))
}

fn proxy(url: OsString) -> Result<Upstream, Failure> {
    // The URL may hold a password, so it is not repeated.
    let url = url.into_string().map_err(|_| Failure::setup("--proxy: not a URL in UTF-8"))?;
    url.parse().map_err(|error| Failure::setup(format_args!("--proxy: {error}")))
}

fn value(parser: &mut lexopt::Parser, option: &str, what: &str) -> Result<OsString, Failure> {
    parser.value().map_err(|_| Failure::setup(format_args!("{option}: {what} is missing")))
}

fn misuse(error: &lexopt::Error) -> Failure {
    match error {
        lexopt::Error::UnexpectedValue { option, .. } => {
            Failure::setup(format_args!("{option}: takes no value"))
        }
        other => Failure::setup(other),
    }
}

fn unknown(option: &str) -> Failure {
    let failure = Failure::setup(format_args!("{option}: unknown option"));
    let word = |option: &str| option.trim_start_matches('-').to_owned();
    let near = OPTIONS.iter().map(|known| (distance(&word(option), &word(known)), known)).min();
    match near {
        // A name that differs in more than a third of its letters is another word.
        Some((far, known)) if far * 3 <= word(known).len() => {
            failure.hint(format_args!("did you mean {known}?"))
        }
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
