//! What is wrong with a configuration, and where; words for people. No text here repeats a value that
//! may hold credentials.

use std::fmt;

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file, or the environment variable.
    pub file: String,
    /// From 1; `None` where the whole is meant.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// `what: why`, lower case, no full stop.
    pub message: String,
}

impl ConfigError {
    /// About the file as a whole.
    pub fn whole(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, column: None, message: message.into() }
    }

    /// About a line, from 1.
    pub fn line(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::whole(file, message) }
    }

    /// About what begins at a byte of the text.
    pub fn at(file: &str, text: &str, byte: usize, message: impl Into<String>) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[start..].chars().count() + 1;
        Self { column: Some(column), ..Self::line(file, line, message) }
    }
}

/// `FILE:LINE:COLUMN: what: why`, as compilers have it.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Something that has no effect or another one than its writer may think. Not an error by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// `what: why`, lower case, no full stop.
    pub message: String,
}

/// `FILE:LINE: what: why`
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// The known word that one was probably meant to be: a third of it, or one letter, may differ.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let most = |other: &str| (other.len() / 3).max(1);
    let plain = |word: &str| word.to_ascii_lowercase().replace('_', "-");
    let meant = plain(word);
    let near = known.into_iter().filter(|other| word.len().abs_diff(other.len()) <= most(other));
    let near = near.filter_map(|other| {
        let known = plain(other);
        // The distance costs the product of the lengths, and a file may have many strange words.
        let may_be = least_distance(&meant, &known) <= most(other);
        let distance = may_be.then(|| strsim::osa_distance(&meant, &known))?;
        (distance <= most(other)).then_some((distance, other))
    });
    near.min().map(|(_, other)| other)
}

/// What two words differ by at least: each letter that one of them alone has costs a change.
fn least_distance(a: &str, b: &str) -> usize {
    let letters = |word: &str| word.chars().fold(0u64, |set, letter| set | 1 << (u32::from(letter) % 64));
    let (a, b) = (letters(a), letters(b));
    (a & !b).count_ones().max((b & !a).count_ones()) as usize
}

/// `"word"`, or nothing of one that does not look like a word: it may hold credentials.
pub fn shown(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.*?/[]".contains(c);
    match (1..=64).contains(&word.len()) && word.chars().all(plain) {
        true => format!("\"{word}\""),
        false => "(not shown)".to_owned(),
    }
}

/// `unknown kind "strcit" (did you mean "strict"?)`
pub fn unknown<'k>(what: &str, word: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("unknown {what} {} (did you mean \"{near}\"?)", shown(word)),
        None => {
            let known: Vec<_> = known.into_iter().collect();
            format!("unknown {what} {}; known are {}", shown(word), known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_if_it_is_near() {
        let known = ["kind", "hops", "length", "no-proxy", "proxy_dns"];
        for (word, near) in [
            ("knid", Some("kind")),
            ("hop", Some("hops")),
            ("no_proxy", Some("no-proxy")),
            ("proxydns", Some("proxy_dns")),
            ("LENGHT", Some("length")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }

    #[test]
    fn words_differ_at_least_by_the_letters_that_one_alone_has() {
        let words = ["kind", "knid", "hops", "", "aab", "bba", "socks-type", "sücks", "\u{80}\u{c0}", "ab"];
        for (a, b) in words.iter().flat_map(|a| words.map(|b| (*a, b))) {
            assert!(least_distance(a, b) <= strsim::osa_distance(a, b), "{a} {b}");
        }
        assert_eq!(least_distance("hops", "kind"), 4);
    }

    #[test]
    fn a_word_that_may_hold_credentials_is_not_shown() {
        assert_eq!(shown("kind"), "\"kind\"");
        for word in ["socks5h://u:p@h", "u:p", "a b", "", "p@h", "a\nb"] {
            assert_eq!(shown(word), "(not shown)");
        }
    }

    #[test]
    fn places_are_counted_from_one_in_characters() {
        let text = "a\nü = 1\n";
        for (byte, place) in [(0, "f:1:1: x"), (2, "f:2:1: x"), (5, "f:2:3: x"), (99, "f:3:1: x")] {
            assert_eq!(ConfigError::at("f", text, byte, "x").to_string(), place);
        }
    }
}
