//! The file of authorized keys: `[OPTIONS] sha256//PIN NAME` a line, as ssh has it (sshd(8)). The file of tokens
//! has the same form, with the digest of the token in the place of the key's.
//!
//! The options restrict what the rules of the relay say, for this client alone, and set its limits.

use std::sync::Arc;
use std::time::SystemTime;

use underpass_core::config::ConfigError;
use underpass_core::config::problem::{shown, unknown};
use underpass_core::config::reader::MAX_BYTES;
use underpass_core::upstream::pin;

use super::client::{ANONYMOUS, Client, Clients, Digest, fingerprint};
use super::limits::Limits;
use super::rules::Rule;
use super::size::Size;
use super::{moment, place};

const OPTIONS: [&str; 7] = ["permit", "deny", "streams", "new", "rate", "total", "expiry"];

/// Adds the clients of a file. `others` are those of files with the other kind of lines, because no two
/// clients have the same name.
pub(crate) fn read(
    clients: &mut Clients,
    others: &Clients,
    text: &str,
    file: &str,
    limits: Limits,
) -> Result<(), ConfigError> {
    if text.len() > MAX_BYTES {
        return Err(ConfigError::whole(file, "longer than 1 MiB: this is no file of keys"));
    }
    for (number, line) in text.lines().enumerate() {
        let wrong = |why: String| ConfigError::line(file, number + 1, why);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (digest, client) = client(line, limits).map_err(wrong)?;
        let name = Arc::clone(&client.name);
        if clients.has_name(&name) || others.has_name(&name) {
            return Err(wrong(format!("there is a client {} already", shown(&name))));
        }
        if !clients.add(digest, client) {
            return Err(wrong(format!("the key of {} is another client's, too", shown(&name))));
        }
    }
    Ok(())
}

fn client(line: &str, limits: Limits) -> Result<(Digest, Client), String> {
    const FORM: &str = "write [OPTIONS] sha256//PIN NAME";
    let (options, rest) = match line.starts_with("sha256//") {
        true => ("", line),
        false => line.split_at(end_of_options(line)?),
    };
    let mut words = rest.split_whitespace();
    let digest = words.next().ok_or(FORM)?;
    let digest = pin(digest).ok_or("the key is not sha256// and 44 characters of base64")?;
    let name = words.next().ok_or_else(|| format!("the client has no name: {FORM}"))?;
    let odd = |c: char| !c.is_ascii_alphanumeric() && !"-_.@".contains(c);
    if name.len() > 64 || name.contains(odd) || name == ANONYMOUS {
        return Err("a client's name is 1 to 64 letters, digits, - _ . and @, and not anonymous".to_owned());
    }
    if words.next().is_some() {
        return Err(format!("something is behind the name: {FORM}"));
    }
    let (rules, own, expiry) = read_options(options, name)?;
    let (name, fingerprint) = (name.into(), fingerprint(&digest));
    Ok((digest, Client { name, fingerprint, rules, limits: own.or(limits), expiry }))
}

/// Where the first blank outside of quotes is.
fn end_of_options(line: &str) -> Result<usize, String> {
    let mut quoted = false;
    let end = line.find(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    });
    match end {
        Some(end) => Ok(end),
        None if quoted => Err("a quote is not closed".to_owned()),
        None => Err("no key: write [OPTIONS] sha256//PIN NAME".to_owned()),
    }
}

type Options = (Vec<Rule>, Limits, Option<SystemTime>);

fn read_options(text: &str, client: &str) -> Result<Options, String> {
    let (mut rules, mut limits, mut expiry) = (Vec::new(), Limits::default(), None);
    let mut seen = Vec::new();
    for option in split(text) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if !OPTIONS.contains(&key) {
            return Err(unknown("option", key, OPTIONS));
        }
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        if value.is_empty() || value.contains('"') {
            return Err(format!("{key} needs a value: write {key}=\"…\""));
        }
        let repeated = key == "permit" || key == "deny";
        if !repeated && seen.contains(&key) {
            return Err(format!("{key} is there twice"));
        }
        seen.push(key);
        let wrong = |why: &dyn std::fmt::Display| format!("{key} {}: {why}", shown(value));
        let count =
            || value.parse().ok().filter(|count| *count > 0).ok_or_else(|| wrong(&"not a number from 1"));
        let size = || value.parse().map(|Size(size)| size).map_err(|why| wrong(&why));
        match key {
            "streams" => limits.streams = Some(count()?),
            "new" => limits.new = Some(count()?),
            "rate" => limits.rate = Some(size()?),
            "total" => limits.total = Some(size()?),
            "expiry" => {
                let day = moment::day(value).ok_or_else(|| wrong(&"not a day, as 2027-01-01"))?;
                expiry = Some(day);
            }
            _ => {
                let label = format!("{client} {}", rules.len() + 1);
                let rule = Rule::all(label, key == "permit");
                rules.push(place::rule(value, rule).map_err(|why| wrong(&why))?);
            }
        }
    }
    Ok((rules, limits, expiry))
}

/// At the commas outside of quotes.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests;
