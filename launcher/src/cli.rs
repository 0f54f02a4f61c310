//! The command line. Options end at the first word that is none; all after it is the command's.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use underpass_core::upstream::Upstream;

use crate::configuration::{Changes, Given};
use crate::launch::Program;
use crate::messages::Failure;

/// `--help`; fits a screen.
pub(crate) const HELP: &str = "\
Runs any Linux program, unmodified, and carries its traffic through proxies.
Usage: underpass [OPTIONS] [--] COMMAND [ARGS...]
  -x, --proxy URL        socks5h, socks4a, http or https://[USER:PASSWORD@]HOST
                         [:PORT], ssh://HOST, local: (none); repeated: a chain
  -f, --config FILE      chains and routes: TOML, or by its name or by NAME as
      --format NAME      the peers have it: proxychains, torsocks, tsocks
      --tier TIER        hook (library), guard (kernel), sealed, auto (default)
      --let-in PATH      sealed: what of /run, or which Unix socket, it reaches
      --dns MODE[:ADDR]  names get fake addresses (default), or real ones from
                         the far exit or this local machine; ADDR: a resolver
      --udp MODE         carry datagrams (default), or refuse them
      --inherited WHAT   keep (default), close or refuse inherited sockets
      --listen-at CHAIN  where COMMAND listens, others reach it at the exit
  -q, -v                 --quiet: no warnings; --verbose: say what is done
      --shell            print what makes a shell carried: eval \"$(...)\"
      --check            try each hop of each chain; status 1 if one fails
      --why HOST[:PORT]  print how a connection to there would go
      --explain PROGRAM  print what PROGRAM is and whether it can be carried
      --leaktest         report what COMMAND would let out; status 126 if any
      --version, --help  (-h) print the version, print this
Without -x and -f: UNDERPASS_CONFIG, ~/.config/underpass/config.toml,
/etc/underpass/config.toml, ALL_PROXY, HTTPS_PROXY, SOCKS_SERVER. Status:
COMMAND's; 125: own failure, 126: not to be run or carried, 127: not found.
  underpass -x socks5h://127.0.0.1:9050 curl https://example.com/
";

/// Every option by its names, for the nearest one to a mistyped word.
const OPTIONS: [&str; 18] = [
    "--proxy",
    "--config",
    "--format",
    "--dns",
    "--udp",
    "--inherited",
    "--listen-at",
    "--tier",
    "--let-in",
    "--quiet",
    "--verbose",
    "--shell",
    "--check",
    "--why",
    "--explain",
    "--leaktest",
    "--version",
    "--help",
];

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Start a program.
    Run(Run),
    /// Start a program where what would leave is counted.
    Leaktest(Run),
    /// Start a program in the session that we are in, under guard.
    Within { file: PathBuf, program: Program },
    /// Print the environment of a session for the shell that asks.
    Shell { given: Given, verbosity: Verbosity },
    /// Try each hop.
    Check { given: Given },
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
    let mut source = Source::default();
    let mut verbosity = Verbosity::Normal;
    let mut asked: Vec<(&str, Option<OsString>)> = Vec::new();
    let (mut argv0, mut leaktest) = (None, false);
    let mut command = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| misuse(&error))? {
        match argument {
            Short('x') | Long("proxy") => source.urls.push(value(&mut parser, "--proxy", "URL")?),
            Short('f') | Long("config") => source.files.push(value(&mut parser, "--config", "FILE")?),
            Long("format") => source.format = Some(value(&mut parser, "--format", "NAME")?),
            Long("udp") => source.udp = Some(value(&mut parser, "--udp", "MODE")?),
            Long("inherited") => source.inherited = Some(value(&mut parser, "--inherited", "WHAT")?),
            Long("listen-at") => source.listen_at = Some(value(&mut parser, "--listen-at", "CHAIN")?),
            Long("tier") => source.tier = Some(value(&mut parser, "--tier", "TIER")?),
            Long("let-in") => source.let_in.push(value(&mut parser, "--let-in", "PATH")?.into()),
            // What the library starts us with, instead of a program that cannot load it.
            Long("argv0") => argv0 = Some(value(&mut parser, "--argv0", "NAME")?),
            Long("dns") => source.dns = Some(value(&mut parser, "--dns", "MODE")?),
            Short('q') | Long("quiet") => verbosity = Verbosity::Quiet,
            Short('v') | Long("verbose") => verbosity = Verbosity::Verbose,
            Long("leaktest") => leaktest = true,
            Long("shell") => asked.push(("--shell", None)),
            Long("check") => asked.push(("--check", None)),
            Long("why") => asked.push(("--why", Some(value(&mut parser, "--why", "HOST")?))),
            Long("explain") => asked.push(("--explain", Some(value(&mut parser, "--explain", "PROGRAM")?))),
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
    if let [(first, _), (second, _), ..] = &asked[..] {
        return Err(Failure::setup(format_args!("{second}: not together with {first}")));
    }
    if let Some((other, _)) = asked.first().filter(|_| leaktest) {
        return Err(Failure::setup(format_args!("{other}: not together with --leaktest")));
    }
    let mut words = command.into_iter();
    if let Some(name) = argv0 {
        let file = words.next().ok_or_else(|| Failure::setup("--argv0: no program given"))?;
        let program = Program { name, arguments: words.collect() };
        return Ok(Task::Within { file: file.into(), program });
    }
    match (asked.pop(), words.next()) {
        (Some((option, _)), Some(word)) => {
            Err(Failure::setup(format_args!("{}: {option} takes no command", word.to_string_lossy())))
        }
        (Some(("--explain", Some(program))), None) if source.is_empty() => Ok(Task::Explain(program)),
        (Some(("--explain", _)), None) => Err(Failure::setup("--explain: takes no other option")),
        (Some((_, Some(destination))), None) => {
            Ok(Task::Why { destination, given: source.given()?, verbosity })
        }
        (Some(("--shell", None)), None) => Ok(Task::Shell { given: source.given()?, verbosity }),
        (Some((_, None)), None) => Ok(Task::Check { given: source.given()? }),
        (None, Some(program)) => {
            let program = Program { name: program, arguments: words.collect() };
            let run = Run { given: source.given()?, verbosity, program };
            Ok(if leaktest { Task::Leaktest(run) } else { Task::Run(run) })
        }
        (None, None) => Err(Failure::setup("no command given").hint("underpass --help")),
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
