//! In the place of torsocks: its options are above its variables, and these above its file.

use std::env;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lexopt::Arg::{Long, Short, Value};
use underpass_core::config::format::Format;
use underpass_core::config::pattern::number;
use underpass_core::upstream::{Credentials, HopHost, Isolation, Login, Proxy, Upstream};

use crate::configuration::{self, Found, Given, set};
use crate::launch::{Program, launch};
use crate::messages::{Failure, Verbosity, answer, note};

const HELP: &str = "\
This is underpass in the place of torsocks.

Usage: torsocks [OPTIONS] COMMAND [ARGS...]

  -a, --address HOST  where Tor listens; an address (127.0.0.1)
  -P, --port PORT     and its port (9050)
  -u, --user NAME     user name, with -p
  -p, --pass WORD     password; seen by other users while this starts
  -i, --isolate       a circuit of its own for each program; not with -u, -p
  -q, --quiet         no warnings
  -d, --debug         say on standard error what is done
      --shell         start a shell, all of whose programs are carried
      --version       print the version
  -h, --help          print this

Variables: TORSOCKS_CONF_FILE, TORSOCKS_TOR_ADDRESS, TORSOCKS_TOR_PORT,
TORSOCKS_USERNAME, TORSOCKS_PASSWORD, TORSOCKS_ISOLATE_PID, TORSOCKS_LOG_LEVEL.
";

const CONF_FILE: &str = "TORSOCKS_CONF_FILE";
const SYSTEM: &str = "/etc/tor/torsocks.conf";
const SHELL: &str = "/bin/sh";

/// What the options and the variables say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    address: Option<OsString>,
    port: Option<OsString>,
    user: Option<OsString>,
    password: Option<OsString>,
    isolate: bool,
    verbosity: Option<Verbosity>,
}

enum Task {
    Run(Options, Program),
    Print(String),
}

pub(super) fn run(words: impl Iterator<Item = OsString>) -> Result<u8, Failure> {
    let (options, program) = match parse(words)? {
        Task::Print(text) => return answer(&text).map(|()| 0),
        Task::Run(options, program) => (options, program),
    };
    let (options, unused) = with_variables(options, set)?;
    let verbosity = options.verbosity.unwrap_or(Verbosity::Normal);
    let mut found = file()?;
    // The options stand above the file, so it is not read again without them.
    found.once = true;
    for upstream in found.config.chains.values_mut().flat_map(|chain| &mut chain.hops) {
        if let Upstream::Proxy(proxy) = upstream {
            apply(&options, proxy)?;
        }
    }
    if verbosity >= Verbosity::Normal {
        unused.iter().for_each(|line| note(format_args!("warning: {line}")));
    }
    // They have had their effect, and hold a password.
    found.taken = ["TORSOCKS_USERNAME", "TORSOCKS_PASSWORD"].map(str::to_owned).to_vec();
    match launch(found, &program, verbosity)? {}
}

fn parse(words: impl Iterator<Item = OsString>) -> Result<Task, Failure> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(words);
    let wrong = |error: lexopt::Error| Failure::setup(error);
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Short('a') | Long("address") => options.address = value(&mut parser, "--address: HOST")?,
            Short('P') | Long("port") => options.port = value(&mut parser, "--port: PORT")?,
            Short('u') | Long("user") => options.user = value(&mut parser, "--user: NAME")?,
            Short('p') | Long("pass") => options.password = value(&mut parser, "--pass: WORD")?,
            Short('i') | Long("isolate") => options.isolate = true,
            Short('q') | Long("quiet") => options.verbosity = Some(Verbosity::Quiet),
            Short('d') | Long("debug") => options.verbosity = Some(Verbosity::Verbose),
            Long("shell") => {
                let name = set("SHELL").unwrap_or_else(|| SHELL.into());
                return Ok(Task::Run(options, Program { name, arguments: Vec::new() }));
            }
            Long("version") => {
                let version = env!("CARGO_PKG_VERSION");
                return Ok(Task::Print(format!("underpass {version}, in the place of torsocks\n")));
            }
            Short('h') | Long("help") => return Ok(Task::Print(HELP.to_owned())),
            Short('6') | Long("ipv6") => {} // Sockets of IPv6 are always carried.
            Value(word) => return command(options, word, &mut parser),
            Short(letter) => return Err(unknown(&format!("-{letter}"))),
            Long(name) => return Err(unknown(&format!("--{name}"))),
        }
    }
    Err(Failure::setup("no command given").hint("torsocks --help"))
}

fn value(parser: &mut lexopt::Parser, what: &str) -> Result<Option<OsString>, Failure> {
    match parser.value() {
        Ok(value) if !value.is_empty() => Ok(Some(value)),
        _ => Err(Failure::setup(format_args!("{what} is missing"))),
    }
}

fn unknown(option: &str) -> Failure {
    Failure::setup(format_args!("{option}: torsocks has no such option"))
        .hint("torsocks --help; underpass --help has others")
}

/// What follows the options: a command, or a word that has a meaning of its own.
fn command(options: Options, word: OsString, parser: &mut lexopt::Parser) -> Result<Task, Failure> {
    match word.to_str() {
        Some(word @ ("on" | "off")) => {
            Err(Failure::setup(format_args!("{word}: a program cannot change the shell that starts it"))
                .hint("eval \"$(underpass -x socks5h://127.0.0.1:9050 --shell)\""))
        }
        Some("show" | "sh") => {
            let preload = env::var_os("LD_PRELOAD").unwrap_or_default();
            Ok(Task::Print(format!("LD_PRELOAD=\"{}\"\n", preload.to_string_lossy())))
        }
        _ => {
            let words = parser.raw_args().map_err(|error| Failure::setup(&error))?;
            Ok(Task::Run(options, Program { name: word, arguments: words.collect() }))
        }
    }
}

/// Adds what variables say and the options do not, and gives the lines about those that have no effect.
fn with_variables(
    mut options: Options,
    get: impl Fn(&str) -> Option<OsString>,
) -> Result<(Options, Vec<String>), Failure> {
    let mut unused = Vec::new();
    options.address = options.address.or_else(|| get("TORSOCKS_TOR_ADDRESS"));
    options.port = options.port.or_else(|| get("TORSOCKS_TOR_PORT"));
    options.user = options.user.or_else(|| get("TORSOCKS_USERNAME"));
    options.password = options.password.or_else(|| get("TORSOCKS_PASSWORD"));
    options.isolate |= flag("TORSOCKS_ISOLATE_PID", &get)? == Some(true);
    if flag("TORSOCKS_ALLOW_INBOUND", &get)? == Some(false) {
        unused.push(
            "TORSOCKS_ALLOW_INBOUND=0: listening sockets are untouched, so inbound connections are allowed"
                .to_owned(),
        );
    }
    let level = match get("TORSOCKS_LOG_LEVEL").as_deref().map(OsStr::to_str) {
        None => None,
        Some(Some("1" | "2")) => Some(Verbosity::Quiet),
        Some(Some("3" | "4")) => Some(Verbosity::Normal),
        Some(Some("5")) => Some(Verbosity::Verbose),
        Some(_) => return Err(Failure::setup("TORSOCKS_LOG_LEVEL: not a number from 1 to 5")),
    };
    options.verbosity = options.verbosity.or(level);
    for name in ["TORSOCKS_LOG_TIME", "TORSOCKS_LOG_FILE_PATH"] {
        if get(name).is_some() {
            unused.push(format!("{name}: has no effect here; UNDERPASS_LOG has the agent write a log"));
        }
    }
    Ok((options, unused))
}

fn flag(name: &str, get: &impl Fn(&str) -> Option<OsString>) -> Result<Option<bool>, Failure> {
    match get(name).as_deref().map(OsStr::to_str) {
        None => Ok(None),
        Some(Some("0")) => Ok(Some(false)),
        Some(Some("1")) => Ok(Some(true)),
        Some(_) => Err(Failure::setup(format_args!("{name}: neither 0 nor 1"))),
    }
}

/// The file that is named, the system's, or none: then what torsocks has without one.
fn file() -> Result<Found, Failure> {
    let format = Some(Format::Torsocks);
    if let Some(path) = set(CONF_FILE) {
        return configuration::find(Given::File { path: path.into(), format });
    }
    match configuration::read_if_there(Path::new(SYSTEM), format)? {
        Some(found) => Ok(found),
        None => configuration::parse(PathBuf::from(SYSTEM), String::new(), format),
    }
}

/// Sets what is said above the file.
fn apply(options: &Options, proxy: &mut Proxy) -> Result<(), Failure> {
    if let Some(address) = &options.address {
        let address = address.to_str().and_then(|text| text.parse::<IpAddr>().ok());
        proxy.host = HopHost::Address(
            address.ok_or_else(|| Failure::setup("the address of Tor: not an address of IPv4 or IPv6"))?,
        );
    }
    if let Some(port) = &options.port {
        let port = port.to_str().and_then(number).filter(|&port| port != 0);
        proxy.port = port.ok_or_else(|| Failure::setup("the port of Tor: not a number from 1 to 65535"))?;
    }
    match (&options.user, &options.password) {
        (None, None) => {}
        (Some(_), Some(_)) if options.isolate => {
            return Err(Failure::setup(
                "--isolate: makes credentials up, so not together with --user and --pass",
            ));
        }
        (Some(user), Some(password)) => {
            let part = |text: &OsStr| {
                Some(text.as_encoded_bytes().to_vec()).filter(|b| (1..=255).contains(&b.len()))
            };
            let (Some(user), Some(password)) = (part(user), part(password)) else {
                return Err(Failure::setup("user name or password: not of 1 to 255 bytes (RFC 1929)"));
            };
            proxy.login = Login::Given(Credentials { user, password });
            proxy.isolation = Isolation::No;
        }
        _ => return Err(Failure::setup("user name and password: only one of them is given")),
    }
    if options.isolate {
        if proxy.login != Login::Nobody {
            return Err(Failure::setup("--isolate: makes credentials up, and the file has some already"));
        }
        proxy.isolation = Isolation::Program;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Options, Program), Failure> {
        match parse(line.split_whitespace().map(OsString::from))? {
            Task::Run(options, program) => Ok((options, program)),
            Task::Print(text) => panic!("{text}"),
        }
    }

    fn applied(options: &Options, url: &str) -> Result<String, Failure> {
        let Ok(Upstream::Proxy(mut proxy)) = url.parse() else { panic!("{url}") };
        apply(options, &mut proxy)?;
        Ok(String::from(Upstream::Proxy(proxy)))
    }

    #[test]
    fn options_are_above_the_file() {
        let tor = "socks5h://127.0.0.1:9050";
        for (line, url) in [
            ("a", tor),
            ("-a 10.0.0.1 -P 9150 a -u x", "socks5h://10.0.0.1:9150"),
            ("--address ::1 a", "socks5h://[::1]:9050"),
            ("-u me -p word a", "socks5h://me:word@127.0.0.1:9050"),
            ("-i a", "socks5h://127.0.0.1:9050?isolate=program"),
        ] {
            let (options, program) = read(line).unwrap();
            assert_eq!((applied(&options, tor).as_deref(), program.name), (Ok(url), "a".into()), "{line}");
        }
    }

    #[test]
    fn variables_are_between_and_those_without_effect_are_said() {
        let set = |pairs: &'static str| {
            move |name: &str| {
                pairs
                    .split(' ')
                    .filter_map(|pair| pair.split_once('='))
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            }
        };
        let (options, _) = read("-P 1 a").unwrap();
        let (options, unused) = with_variables(
            options,
            set("TORSOCKS_TOR_ADDRESS=10.0.0.9 TORSOCKS_TOR_PORT=2 TORSOCKS_LOG_LEVEL=5 TORSOCKS_LOG_TIME=1 TORSOCKS_ALLOW_INBOUND=0"),
        )
        .unwrap();
        assert_eq!(applied(&options, "socks5h://127.0.0.1:9050").unwrap(), "socks5h://10.0.0.9:1");
        assert_eq!(options.verbosity, Some(Verbosity::Verbose));
        assert_eq!(unused.len(), 2, "{unused:?}");
        for wrong in ["TORSOCKS_ISOLATE_PID=yes", "TORSOCKS_LOG_LEVEL=6"] {
            assert!(with_variables(Options::default(), set(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_mistake_is_said() {
        for (line, message) in [
            ("", "no command given"),
            ("-x a", "torsocks has no such option"),
            ("-a", "--address: HOST is missing"),
            ("on", "a program cannot change the shell"),
        ] {
            let failed = read(line).unwrap_err();
            assert!(failed.status == 125 && failed.message.contains(message), "{line}: {failed}");
        }
        for line in ["-u me a", "-p word a", "-i -u me -p word a", "-a localhost a", "-P 0 a", "-P x a"] {
            let (options, _) = read(line).unwrap();
            let failed = applied(&options, "socks5h://127.0.0.1:9050").unwrap_err();
            assert!(failed.status == 125 && !failed.message.contains("word a"), "{line}: {failed}");
        }
        let (isolate, _) = read("-i a").unwrap();
        assert!(applied(&isolate, "socks5h://u:p@127.0.0.1:9050").is_err());
    }
}
