//! How a program is held: what carries its traffic, and what stops what is not carried.

use std::str::FromStr;

/// What a launch does to hold its program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// [`Self::Hook`] for what loads the library, [`Self::Guard`] for what cannot.
    #[default]
    Auto,
    /// The library alone.
    Hook,
    /// The kernel asks the launcher about each socket and connection (seccomp_unotify(2)).
    Guard,
    /// [`Self::Guard`], in a network and a file system of its own.
    Sealed,
}

impl Tier {
    /// The words of configurations and of the command line.
    pub const WORDS: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("hook", Self::Hook), ("guard", Self::Guard), ("sealed", Self::Sealed)];
}

impl FromStr for Tier {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        super::one_of(&Self::WORDS, word).ok_or("neither auto nor hook nor guard nor sealed")
    }
}
