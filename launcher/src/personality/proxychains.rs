//! In the place of proxychains-ng: `proxychains4 [-q] [-f FILE] COMMAND`.
//!
//! Two differences, both for safety: a file that is named and cannot be read is an error, where the
//! original goes on to the next; and `proxychains.conf` in the current directory is not used unless it is
//! named.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use underpass_core::config::format::Format;

use crate::configuration::{self, Found, Given, set};
use crate::launch::{Program, launch};
use crate::messages::{Failure, Verbosity, answer, note};

const HELP: &str = "\
This is underpass in the place of proxychains-ng.

Usage: proxychains4 [-q] [-f FILE] COMMAND [ARGS...]

  -q       no warnings (also PROXYCHAINS_QUIET_MODE=1)
  -f FILE  a configuration in the form of proxychains.conf
  --help   print this

Without -f: PROXYCHAINS_CONF_FILE, ~/.proxychains/proxychains.conf,
/etc/proxychains4.conf, /etc/proxychains.conf. One in the current directory is
used only if it is named. underpass --check -f FILE tries the proxies.
";

const FILE: &str = "proxychains.conf";
const VARIABLE: &str = "PROXYCHAINS_CONF_FILE";
const QUIET: &str = "PROXYCHAINS_QUIET_MODE";

#[derive(Debug, PartialEq, Eq)]
struct Options {
    verbosity: Verbosity,
    file: Option<PathBuf>,
    /// `None`: help.
    program: Option<Program>,
}

pub(super) fn run(words: impl Iterator<Item = OsString>) -> Result<u8, Failure> {
    let mut options = parse(words)?;
    let Some(program) = options.program else {
        answer(HELP)?;
        return Ok(0);
    };
    if set(QUIET).is_some_and(|value| value.as_encoded_bytes().starts_with(b"1")) {
        options.verbosity = Verbosity::Quiet;
    }
    match launch(find(options.file, options.verbosity)?, &program, options.verbosity)? {}
}

/// Its options are words of their own, in any order.
fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Options, Failure> {
    let (mut verbosity, mut file) = (Verbosity::Normal, None);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-q") => verbosity = Verbosity::Quiet,
            Some("-f") => {
                let name = words.next().ok_or_else(|| Failure::setup("-f: FILE is missing"))?;
                file = Some(PathBuf::from(name));
            }
            Some("--help") => return Ok(Options { verbosity, file, program: None }),
            Some(option) if option.starts_with('-') => {
                let failure = Failure::setup(format_args!("{option}: proxychains4 has no such option"));
                return Err(failure.hint("proxychains4 --help; underpass --help has others"));
            }
            _ => {
                let program = Program { name: word, arguments: words.collect() };
                return Ok(Options { verbosity, file, program: Some(program) });
            }
        }
    }
    Err(Failure::setup("no command given").hint("proxychains4 --help"))
}

fn find(file: Option<PathBuf>, verbosity: Verbosity) -> Result<Found, Failure> {
    if let Some(path) = file.or_else(|| set(VARIABLE).map(PathBuf::from)) {
        return configuration::find(Given::File { path, format: Some(Format::Proxychains) });
    }
    if verbosity >= Verbosity::Normal && Path::new(FILE).exists() {
        note(format_args!(
            "warning: ./{FILE} is not used: whoever made this directory may have written it; -f {FILE} uses it"
        ));
    }
    let own = set("HOME").map(|home| Path::new(&home).join(".proxychains").join(FILE));
    let system = ["/etc/proxychains4.conf", "/etc/proxychains.conf"].map(PathBuf::from);
    for path in own.into_iter().chain(system) {
        if let Some(found) = configuration::read_if_there(&path, Some(Format::Proxychains))? {
            return Ok(found);
        }
    }
    let home = env::var_os("HOME").unwrap_or_default();
    Err(Failure::setup(format_args!(
        "no configuration: neither {}/.proxychains/{FILE}, /etc/proxychains4.conf nor /etc/{FILE} is there",
        home.display()
    ))
    .hint("proxychains4 -f FILE COMMAND, or underpass -x socks5h://HOST:PORT COMMAND"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_end_at_the_command() {
        let options = read("-q -f a.conf curl -q -f b").unwrap();
        assert_eq!((options.verbosity, options.file), (Verbosity::Quiet, Some("a.conf".into())));
        let program = options.program.unwrap();
        assert_eq!((program.name, program.arguments.len()), ("curl".into(), 3));
        assert_eq!(read("-f a -q b").unwrap().verbosity, Verbosity::Quiet);
        assert_eq!(read("--help").unwrap().program, None);
    }

    #[test]
    fn each_mistake_is_said() {
        for (line, message) in [
            ("", "no command given"),
            ("-q", "no command given"),
            ("-f", "-f: FILE is missing"),
            ("-v a", "-v: proxychains4 has no such option"),
            ("-qf a b", "-qf: proxychains4 has no such option"),
        ] {
            assert_eq!(read(line).unwrap_err().message, message, "{line}");
        }
    }
}
