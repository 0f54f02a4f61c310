//! TOML with the place of each value: for our own configuration and for the relay's. A message names the
//! key, and a value only where it is a word.

use std::fmt::Display;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::pattern::PortRange;
use super::problem::{shown, unknown};
use super::{ConfigError, Warning};

/// A configuration longer than this, in bytes, is refused.
pub const MAX_BYTES: usize = 1 << 20;

/// The text that is read, for the places of its mistakes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    /// Its name in errors.
    pub file: &'a str,
}

/// A text that is TOML.
#[derive(Debug)]
pub struct Document<'a>(Spanned<DeTable<'a>>);

/// A key and its value, or an element of a list with the key of the list.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'t> {
    /// As it is written.
    pub key: &'t str,
    /// Bytes from the start of the text.
    pub key_at: usize,
    pub(super) value: &'t DeValue<'t>,
    /// Where the value begins.
    pub at: usize,
}

/// The entries of a table, in the order of the text.
#[derive(Debug)]
pub struct Entries<'t>(Vec<Entry<'t>>);

impl<'t> Entries<'t> {
    /// The entry with this key.
    pub fn take(&mut self, key: &str) -> Option<Entry<'t>> {
        let found = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(found))
    }
}

impl<'a> Reader<'a> {
    /// `file` names the text in errors.
    pub fn new(text: &'a str, file: &'a str) -> Self {
        Self { text, file }
    }

    /// The text as TOML.
    pub fn document(&self) -> Result<Document<'a>, ConfigError> {
        if self.text.len() > MAX_BYTES {
            return Err(ConfigError::whole(self.file, "longer than 1 MiB: this is no configuration"));
        }
        DeTable::parse(self.text).map(Document).or_else(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.fail(at, error.message().lines().next().unwrap_or("not TOML"))
        })
    }

    /// The entries of the text, which may have these keys and no others.
    pub fn root<'t>(&self, document: &'t Document<'t>, known: &[&str]) -> Result<Entries<'t>, ConfigError> {
        self.known(document.0.get_ref(), known)
    }

    /// An error about what begins at a byte of the text.
    pub fn fail<T>(&self, at: usize, message: impl Into<String>) -> Result<T, ConfigError> {
        Err(ConfigError::at(self.file, self.text, at, message))
    }

    /// A warning about what begins at a byte of the text.
    pub fn warning(&self, at: usize, message: String) -> Warning {
        let line = ConfigError::at(self.file, self.text, at, "").line.unwrap_or(1);
        Warning { file: self.file.to_owned(), line, message }
    }

    /// The entries of a table that may have these keys and no others; `form` is how such a table is written.
    pub fn table<'t>(
        &self,
        entry: &Entry<'t>,
        known: &[&str],
        form: &str,
    ) -> Result<Entries<'t>, ConfigError> {
        self.known(self.as_table(entry, form)?, known)
    }

    fn known<'t>(&self, table: &'t DeTable<'t>, known: &[&str]) -> Result<Entries<'t>, ConfigError> {
        let entries = entries(table);
        match entries.iter().find(|entry| !known.contains(&entry.key)) {
            Some(odd) => self.fail(odd.key_at, unknown("key", odd.key, known.iter().copied())),
            None => Ok(Entries(entries)),
        }
    }

    /// The entries of a table with keys of any name.
    pub fn members<'t>(&self, entry: &Entry<'t>, form: &str) -> Result<Vec<Entry<'t>>, ConfigError> {
        Ok(entries(self.as_table(entry, form)?))
    }

    fn as_table<'t>(&self, entry: &Entry<'t>, form: &str) -> Result<&'t DeTable<'t>, ConfigError> {
        match entry.value {
            DeValue::Table(table) => Ok(table),
            _ => self.fail(entry.at, format!("{} is a table: write {form}", shown(entry.key))),
        }
    }

    /// The tables of a list of them.
    pub fn tables<'t>(&self, entry: &Entry<'t>) -> Result<Vec<Entry<'t>>, ConfigError> {
        let wrong = || format!("{} is a list of tables: write [[{0}]] above each", entry.key);
        let DeValue::Array(array) = entry.value else { return self.fail(entry.key_at, wrong()) };
        let list = if array.is_empty() { Vec::new() } else { self.elements(entry)? };
        match list.iter().find(|element| !matches!(element.value, DeValue::Table(_))) {
            Some(odd) => self.fail(odd.at, wrong()),
            None => Ok(list),
        }
    }

    /// The elements of a list, or the one value that stands for a list of one.
    pub fn elements<'t>(&self, entry: &Entry<'t>) -> Result<Vec<Entry<'t>>, ConfigError> {
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

    /// A text.
    pub fn string<'t>(&self, entry: &Entry<'t>) -> Result<&'t str, ConfigError> {
        match entry.value {
            DeValue::String(text) => Ok(text),
            value => {
                let is = value.type_str();
                self.fail(entry.at, format!("{} has the wrong type: a string, not {is}", shown(entry.key)))
            }
        }
    }

    /// Yes or no.
    pub fn boolean(&self, entry: &Entry<'_>) -> Result<bool, ConfigError> {
        match entry.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => self.fail(entry.at, format!("{} is true or false", shown(entry.key))),
        }
    }

    /// A whole number from 1 to `most`.
    pub fn number(&self, entry: &Entry<'_>, most: u32) -> Result<u32, ConfigError> {
        match integer(entry.value) {
            Some(number) if (1..=most).contains(&number) => Ok(number),
            _ => self.fail(entry.at, format!("{} is a whole number from 1 to {most}", shown(entry.key))),
        }
    }

    /// A number from 0 if the value is one at all; the inner `None` is one that is too large, or negative.
    pub fn integer(&self, entry: &Entry<'_>) -> Option<Option<u32>> {
        matches!(entry.value, DeValue::Integer(_)).then(|| integer(entry.value))
    }

    /// What a text stands for.
    pub fn parsed<P: FromStr<Err: Display>>(&self, entry: &Entry<'_>) -> Result<P, ConfigError> {
        let text = self.string(entry)?;
        text.parse().or_else(|why| self.fail(entry.at, format!("{} {}: {why}", entry.key, shown(text))))
    }

    /// The elements of a list that may be missing: then there are none.
    pub fn list<T>(
        &self,
        entry: Option<Entry<'_>>,
        read: impl Fn(&Self, &Entry<'_>) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(entry) = entry else { return Ok(Vec::new()) };
        self.elements(&entry)?.iter().map(|element| read(self, element)).collect()
    }

    /// A port as a number, or a range of them as a text.
    pub fn ports(&self, entry: &Entry<'_>) -> Result<PortRange, ConfigError> {
        let Some(number) = self.integer(entry) else { return self.parsed(entry) };
        let port = number.and_then(|port| u16::try_from(port).ok());
        let range = port.and_then(|port| PortRange::new(port, port));
        range.map_or_else(|| self.fail(entry.at, "port is not from 1 to 65535"), Ok)
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, entry: &Entry<'_>, known: &[(&str, T)]) -> Result<T, ConfigError> {
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
fn integer(value: &DeValue<'_>) -> Option<u32> {
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
