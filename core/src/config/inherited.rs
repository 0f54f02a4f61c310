//! What becomes of the sockets that a program has when it is started, and that somebody else has made.

use std::str::FromStr;

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

impl FromStr for Inherited {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, inherited)| *inherited).ok_or("neither keep nor close nor refuse")
    }
}
