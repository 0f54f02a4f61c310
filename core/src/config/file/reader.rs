//! Values with their places. A message names the key, and a value only where it is a word.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::problem::{shown, unknown};
use super::super::{ConfigError, Warning};

/// The text that is read, for the places of its mistakes.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a str,
    pub(super) user_id: &'a dyn Fn(&str) -> Option<u32>,
}

/// A key and its value, or an element of a list with the key of the list.
#[derive(Clone, Copy)]
pub(super) struct Entry<'t> {
    pub(super) key: &'t str,
    /// Bytes from the start of the text.
    pub(super) key_at: usize,
    pub(super) value: &'t DeValue<'t>,
    pub(super) at: usize,
}

/// The entries of a table, in the order of the text.
pub(super) struct Entries<'t>(Vec<Entry<'t>>);

impl<'t> Entries<'t> {
    /// The entry with this key.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry<'t>> {
        let found = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(found))
    }
}

impl Reader<'_> {
    /// An error about what begins at a byte of the text.
    pub(super) fn fail<T>(&self, at: usize, message: impl Into<String>) -> Result<T, ConfigError> {
        Err(ConfigError::at(self.file, self.text, at, message))
    }

    /// A warning about what begins at a byte of the text.
    pub(super) fn warning(&self, at: usize, message: String) -> Warning {
        let line = ConfigError::at(self.file, self.text, at, "").line.unwrap_or(1);
        Warning { file: self.file.to_owned(), line, message }
    }

    /// The entries of a table that may have these keys and no others.
    pub(super) fn table<'t>(
        &self,
        table: &'t DeTable<'t>,
        known: &[&str],
    ) -> Result<Entries<'t>, ConfigError> {
        let entries = entries(table);
        match entries.iter().find(|entry| !known.contains(&entry.key)) {
            Some(odd) => self.fail(odd.key_at, unknown("key", odd.key, known.iter().copied())),
            None => Ok(Entries(entries)),
        }
    }

    /// The entries of a table with keys of any name.
    pub(super) fn members<'t>(&self, entry: &Entry<'t>) -> Result<Vec<Entry<'t>>, ConfigError> {
        Ok(entries(self.as_table(entry)?))
    }

    pub(super) fn as_table<'t>(&self, entry: &Entry<'t>) -> Result<&'t DeTable<'t>, ConfigError> {
        match entry.value {
            DeValue::Table(table) => Ok(table),
            _ => self.fail(entry.at, format!("{} is a table: write [chain.NAME]", shown(entry.key))),
        }
    }

    /// The elements of a list, or the one value that stands for a list of one.
    pub(super) fn elements<'t>(&self, entry: &Entry<'t>) -> Result<Vec<Entry<'t>>, ConfigError> {
        let DeValue::Array(array) = entry.value else { return Ok(vec![*entry]) };
        if array.is_empty() {
            return self.fail(entry.at, format!("{} is an empty list: leave the key out", shown(entry.key)));
        }
        let element = |value: &'t Spanned<DeValue<'t>>| Entry {
            value: value.get_ref(),
            at: value.span().start,
            ..*entry
        };
        Ok(array.iter().map(element).collect())
    }

    pub(super) fn string<'t>(&self, entry: &Entry<'t>) -> Result<&'t str, ConfigError> {
        match entry.value {
            DeValue::String(text) => Ok(text),
            value => {
                let is = value.type_str();
                self.fail(entry.at, format!("{} has the wrong type: a string, not {is}", shown(entry.key)))
            }
        }
    }

    pub(super) fn boolean(&self, entry: &Entry<'_>) -> Result<bool, ConfigError> {
        match entry.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => self.fail(entry.at, format!("{} is true or false", shown(entry.key))),
        }
    }

    /// A whole number from 1 to `most`.
    pub(super) fn number(&self, entry: &Entry<'_>, most: u32) -> Result<u32, ConfigError> {
        match integer(entry.value) {
            Some(number) if (1..=most).contains(&number) => Ok(number),
            _ => self.fail(entry.at, format!("{} is a whole number from 1 to {most}", shown(entry.key))),
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, entry: &Entry<'_>, known: &[(&str, T)]) -> Result<T, ConfigError> {
        let word = self.string(entry)?;
        match known.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => Ok(*value),
            None => {
                let known = known.iter().map(|(name, _)| *name);
                self.fail(entry.at, unknown(entry.key, word, known))
            }
        }
    }
}

/// A whole number that is not negative.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u32> {
    value.as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
}

fn entries<'t>(table: &'t DeTable<'t>) -> Vec<Entry<'t>> {
    let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<DeValue<'t>>)| {
        let name: &'t std::borrow::Cow<'t, str> = key.get_ref();
        Entry { key: name, key_at: key.span().start, value: value.get_ref(), at: value.span().start }
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.key_at);
    entries
}
