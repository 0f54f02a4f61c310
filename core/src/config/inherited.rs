//! What becomes of sockets that somebody else has made: those that a program is started with, and those that
//! others pass to it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a launch does about inherited internet sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inherited {
    /// The program has them, as inetd, socket activation and `ssh -W` mean it.
    #[default]
    Keep,
    /// All but the standard descriptors are closed; a program that has one there is not started.
    Close,
    /// A program that has one is not started.
    Refuse,
}

impl Inherited {
    /// The words of configurations and of the command line.
    pub const WORDS: [(&'static str, Self); 3] =
        [("keep", Self::Keep), ("close", Self::Close), ("refuse", Self::Refuse)];
}

/// What becomes of internet sockets that other processes pass to a program, and that the agent does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignSockets {
    /// The program has them.
    #[default]
    Keep,
    /// The program has sockets that are connected to nothing in their place.
    Refuse,
}

impl ForeignSockets {
    /// The words of configurations.
    pub const WORDS: [(&'static str, Self); 2] = [("keep", Self::Keep), ("refuse", Self::Refuse)];

    /// For agents of before there was this word.
    pub(super) fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

impl FromStr for Inherited {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        super::one_of(&Self::WORDS, word).ok_or("neither keep nor close nor refuse")
    }
}
