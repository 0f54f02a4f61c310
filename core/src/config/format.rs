//! Which format a configuration file has: by its name, or as it is said.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Parsed, file, legacy, problem};

/// The format of a configuration file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Our own: TOML.
    #[default]
    Underpass,
    /// `proxychains.conf` of proxychains-ng.
    Proxychains,
    /// `torsocks.conf`.
    Torsocks,
    /// `tsocks.conf`.
    Tsocks,
}

const NAMES: [(&str, Format); 4] = [
    ("underpass", Format::Underpass),
    ("proxychains", Format::Proxychains),
    ("torsocks", Format::Torsocks),
    ("tsocks", Format::Tsocks),
];

impl Format {
    /// By the last part of a file's path: the well-known names of the peers' files; every other is ours.
    pub fn of_file_name(path: &str) -> Self {
        match path.rsplit('/').next().unwrap_or_default() {
            "proxychains.conf" | "proxychains4.conf" => Self::Proxychains,
            "torsocks.conf" => Self::Torsocks,
            "tsocks.conf" => Self::Tsocks,
            _ => Self::Underpass,
        }
    }
}

/// As for `--format`; the error is for a person.
impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        let known = NAMES.iter().map(|(known, _)| *known);
        found.map(|(_, format)| *format).ok_or_else(|| problem::unknown("format", name, known))
    }
}

/// Reads a configuration. `file` names it in errors; `user_id` gives the id of a user by its name.
pub fn parse_as(
    format: Format,
    text: &str,
    file: &str,
    user_id: impl Fn(&str) -> Option<u32>,
) -> Result<Parsed, ConfigError> {
    match format {
        Format::Underpass => file::parse(text, file, user_id),
        Format::Proxychains => legacy::proxychains::parse(text, file),
        Format::Torsocks => legacy::torsocks::parse(text, file),
        Format::Tsocks => legacy::tsocks::parse(text, file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_format_that_its_name_says() {
        for (path, format) in [
            ("/etc/proxychains.conf", Format::Proxychains),
            ("proxychains4.conf", Format::Proxychains),
            ("/etc/tor/torsocks.conf", Format::Torsocks),
            ("./tsocks.conf", Format::Tsocks),
            ("/etc/underpass/config.toml", Format::Underpass),
            ("my-proxychains.conf", Format::Underpass),
            ("", Format::Underpass),
        ] {
            assert_eq!(Format::of_file_name(path), format, "{path}");
        }
    }

    #[test]
    fn a_format_is_said_by_its_name() {
        assert_eq!("tsocks".parse(), Ok(Format::Tsocks));
        assert_eq!(
            "proxychain".parse::<Format>(),
            Err("unknown format \"proxychain\" (did you mean \"proxychains\"?)".to_owned())
        );
    }
}
