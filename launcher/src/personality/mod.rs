//! Started by the name of a peer (a link to us), we take its options, its variables and its file.
//!
//! What is meant there and is not so here is an error or a warning, never silence.

mod proxychains;
mod torsocks;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::messages::Failure;

/// Whose place we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personality {
    Proxychains,
    Torsocks,
}

/// By the name that we were started by.
pub(crate) fn of(name: &OsStr) -> Option<Personality> {
    match Path::new(name).file_name()?.to_str()? {
        "proxychains4" | "proxychains" => Some(Personality::Proxychains),
        "torsocks" => Some(Personality::Torsocks),
        _ => None,
    }
}

impl Personality {
    /// Does what the words that follow the name say; returns the exit status.
    pub(crate) fn run(self, words: impl Iterator<Item = OsString>) -> Result<u8, Failure> {
        match self {
            Self::Proxychains => proxychains::run(words),
            Self::Torsocks => torsocks::run(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_name_decides() {
        for (name, personality) in [
            ("proxychains4", Some(Personality::Proxychains)),
            ("/usr/local/bin/proxychains", Some(Personality::Proxychains)),
            ("./torsocks", Some(Personality::Torsocks)),
            ("underpass", None),
            ("proxychains4/underpass", None),
            ("", None),
        ] {
            assert_eq!(of(OsStr::new(name)), personality, "{name}");
        }
    }
}
