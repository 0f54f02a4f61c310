//! Ways and routes in words. No hop shows its credentials.

use std::fmt::{Display, Write};
use std::io;

use underpass_core::config::format::Format;
use underpass_core::config::route::{Route, To};
use underpass_core::config::{Chain, Config, Kind};
use underpass_core::upstream::Upstream;

use crate::configuration::{Found, Origin};
use crate::messages::reason;

/// Where a connection goes.
pub(crate) fn way(config: &Config, to: &To) -> String {
    match to {
        To::Direct => "direct".to_owned(),
        To::Refuse(errno) => format!("refused, {}", reason(&io::Error::from_raw_os_error(*errno))),
        To::Chain(name) => match config.chains.get(name) {
            Some(chain) if chain.kind == Kind::Strict => format!("carried by {}", list(&chain.hops)),
            Some(chain) => format!("carried by chain {name}, {}: {}", kind(chain), list(&chain.hops)),
            None => format!("refused, there is no chain {name}"),
        },
    }
}

/// How a path is made of a chain's hops.
pub(crate) fn kind(chain: &Chain) -> String {
    let name = match chain.kind {
        Kind::Strict => "strict",
        Kind::Dynamic => "dynamic",
        Kind::Random => "random",
        Kind::RoundRobin => "round-robin",
        Kind::Nearest => "nearest",
        Kind::Failover => "failover",
    };
    match chain.length {
        Some(length) => format!("{name} of {length}"),
        None => name.to_owned(),
    }
}

/// Who resolves the names of what goes there.
pub(super) fn resolved(config: &Config, to: &To) -> &'static str {
    match to {
        To::Direct => ", name resolved here",
        To::Refuse(_) => "",
        To::Chain(name) => match config.chains.get(name).and_then(|chain| chain.hops.last()) {
            Some(Upstream::Local) => ", name resolved by the agent",
            _ => ", name resolved there",
        },
    }
}

/// Which route it is, from 0, and what it says: its text, where that is found.
pub(super) fn place(found: &Found, number: usize) -> String {
    let routes = &found.config.routes;
    let mut text = format!("  route {} of {}", number + 1, routes.len());
    let file = match &found.origin {
        Origin::File { path, text, format } => Some((path, text, *format)),
        Origin::Options | Origin::Variable(_) => None,
    };
    let block = file.filter(|(_, _, format)| *format == Format::Underpass).and_then(|(_, text, _)| {
        let blocks = blocks(text);
        // Those of no-proxy come first.
        let index = number.checked_sub(routes.len().checked_sub(blocks.len())?)?;
        blocks.into_iter().nth(index)
    });
    match (file, block) {
        (Some((path, ..)), Some((line, block))) => {
            let _ = writeln!(text, ", {}:{line}", path.display());
            for line in block {
                let _ = writeln!(text, "    {line}");
            }
        }
        (file, _) => {
            if let Some((path, ..)) = file {
                let _ = write!(text, ", {}", path.display());
            }
            let _ = writeln!(text, ": {}", routes.get(number).map(conditions).unwrap_or_default());
        }
    }
    text
}

/// The tables `[[route]]` of a text, each with the number of its first line, from 1.
fn blocks(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if let Some(header) = line.trim_start().strip_prefix('[') {
            let name = header.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            inside = name.is_some_and(|(name, _)| name.trim() == "route");
            if inside {
                blocks.push((number + 1, Vec::new()));
            }
        }
        let comment = line.is_empty() || line.trim_start().starts_with('#');
        if let Some((_, lines)) = blocks.last_mut().filter(|_| inside && !comment) {
            lines.push(line);
        }
    }
    blocks
}

/// What a route asks of a connection.
fn conditions(route: &Route) -> String {
    let mut parts = Vec::new();
    let mut add = |what: &str, values: String| {
        if !values.is_empty() {
            parts.push(format!("{what} {values}"));
        }
    };
    add("names", list(&route.domains));
    add("addresses", list(&route.addresses));
    add("ports", list(&route.ports));
    add("programs", list(&route.programs));
    add("users", list(&route.users));
    if parts.is_empty() { "everything".to_owned() } else { parts.join("; ") }
}

pub(super) fn list(values: &[impl Display]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routes_text_ends_where_the_next_table_begins() {
        let text = "proxy = \"local:\"\n\n[[route]]\n# why\nports = [\n  1,\n]\nto = \"direct\"\n\n  [[ route ]] # x\n\
                    to = \"refuse\"\n[chain.a]\nhops = []\n";
        assert_eq!(
            blocks(text),
            [
                (3, vec!["[[route]]", "ports = [", "  1,", "]", "to = \"direct\""]),
                (10, vec!["  [[ route ]] # x", "to = \"refuse\""])
            ]
        );
        assert_eq!(blocks("route = [{ to = \"direct\" }]\n"), []);
    }
}
