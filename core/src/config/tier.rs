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
}

impl Tier {
    /// The words of configurations and of the command line.
    pub const WORDS: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("hook", Self::Hook), ("guard", Self::Guard)];
}

impl FromStr for Tier {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if word == "sealed" {
            return Err("sealed is not in this version; guard is the strictest");
        }
        super::one_of(&Self::WORDS, word).ok_or("neither auto nor hook nor guard")
    }
}
