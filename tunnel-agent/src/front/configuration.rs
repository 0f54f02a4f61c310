//! Which configuration the front door has: what is given, else the first of the places where the launcher looks
//! too.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use underpass_core::config::environment::from_environment;
use underpass_core::config::expose::Reverse;
use underpass_core::config::format::Format;
use underpass_core::config::listen::Door;
use underpass_core::config::{Config, logins, places};
use underpass_core::control::Source;
use underpass_core::upstream::Upstream;

/// A configuration with its credentials, and the file that it is from.
pub(crate) struct Chosen {
    pub(crate) config: Config,
    pub(crate) source: Option<Source>,
}

/// What of a file a reload leaves as it was: its doors, and its listeners at exits.
#[derive(Debug)]
pub(crate) struct Fixed {
    path: PathBuf,
    doors: Vec<Door>,
    reverses: Vec<Reverse>,
}

impl Fixed {
    /// Those of a configuration that has been read; nothing where it is from no file.
    pub(super) fn of(chosen: &Chosen) -> Option<Self> {
        let path = chosen.source.as_ref()?.path.clone();
        Some(Self { path, doors: chosen.config.listen.clone(), reverses: chosen.config.reverses.clone() })
    }

    /// Reads the file again, and says what has no effect of what it has now. That it cannot be read is said elsewhere.
    pub(crate) fn changed(&self) -> Option<String> {
        let config = read(&self.path).ok()?.config;
        let is_same = config.listen == self.doors && config.reverses == self.reverses;
        (!is_same).then(|| {
            format!(
                "{}: [[listen]], and [[expose]] with to, stay as they were until a restart",
                self.path.display()
            )
        })
    }
}

/// One chain of `proxies`, or `file`, or what is found.
pub(crate) fn choose(proxies: Vec<Upstream>, file: Option<PathBuf>) -> Result<Chosen, String> {
    if !proxies.is_empty() {
        return with_logins(Config::strict(proxies));
    }
    if let Some(path) = file.or_else(|| set(places::VARIABLE).map(PathBuf::from)) {
        return read(&path);
    }
    for path in places::files(set) {
        // What is there and cannot be used is an error.
        if path.symlink_metadata().is_ok() {
            return read(&path);
        }
    }
    let variable = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    match from_environment(variable) {
        Some(found) => with_logins(found.map_err(|error| error.to_string())?.1),
        None => Err("no proxy given: add -x URL or -f FILE, or -x local: to try it with no proxy".to_owned()),
    }
}

fn with_logins(mut config: Config) -> Result<Chosen, String> {
    let here = env::current_dir().map_err(|error| format!("the current directory: {error}"))?;
    let variable = |name: &str| env::var(name).ok();
    logins::fetch(&mut config, &here, logins::default_key(variable).as_deref(), variable)?;
    Ok(Chosen { config, source: None })
}

fn read(path: &Path) -> Result<Chosen, String> {
    let path = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let format = Format::of_file_name(&path.to_string_lossy());
    let source = Source::file(&path, format).with_environment(|name| env::var(name).ok())?;
    let mut config = source.read()?;
    let folder = path.parent().unwrap_or(&path);
    logins::fetch_doors(&mut config.listen, folder, |name| env::var(name).ok())
        .map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(Chosen { config, source: Some(source) })
}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
