//! docs/logs.md: each log event with its level and its fields, as the sources have them.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenTree};

use crate::sources::{self, begins, group, ident, text, walk};
use underpass_tests::markdown::{code, rows};

const DOCUMENT: &str = "docs/logs.md";
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Level, message, and fields.
type Event = (String, String, BTreeSet<String>);

/// What stands between commas.
fn parts(tokens: &[TokenTree]) -> Vec<&[TokenTree]> {
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    tokens.split(is_comma).filter(|part| !part.is_empty()).collect()
}

/// The field that one argument is: `pid`, `%error`, `at = …`, `why = …`.
fn field(part: &[TokenTree]) -> Option<String> {
    let name = if matches!(part.first(), Some(TokenTree::Punct(_))) { part.get(1) } else { part.first() };
    ident(name)
}

/// The fixed words of a message; a text in which something is put has none.
fn message(path: &str, part: &[TokenTree]) -> String {
    let [TokenTree::Literal(literal)] = part else { panic!("{path}: the last of {part:?} is no message") };
    let literal = literal.to_string();
    let words = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let words = words.unwrap_or_else(|| panic!("{path}: {literal} is no plain text"));
    assert!(!words.contains(['{', '\\']), "{path}: {literal}: what varies belongs into a field");
    words.to_owned()
}

/// The events of one file.
fn events(source: &sources::Source) -> BTreeSet<Event> {
    let mut found = BTreeSet::new();
    walk(&source.tokens, &mut |tokens| {
        let level = ident(tokens.get(3)).filter(|_| begins(tokens, &["tracing", ":", ":"]));
        let level = level.filter(|level| LEVELS.contains(&level.as_str()) && begins(&tokens[4..], &["!"]));
        if let (Some(level), Some(arguments)) = (level, group(tokens.get(5), Delimiter::Parenthesis)) {
            let arguments: Vec<TokenTree> = arguments.stream().into_iter().collect();
            let parts = parts(&arguments);
            let Some((last, fields)) = parts.split_last() else { panic!("{}: no message", source.path) };
            // The body of `line!`, which is read where it is used.
            if arguments
                .iter()
                .any(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '$'))
            {
                return;
            }
            let fields = fields.iter().filter_map(|part| field(part)).collect();
            found.insert((level, message(&source.path, last), fields));
        }
        // `line!(TRIP, { FIELDS }, "MESSAGE")` of log.rs.
        if let Some(arguments) =
            group(tokens.get(2), Delimiter::Parenthesis).filter(|_| begins(tokens, &["line", "!"]))
            && source.path.ends_with("/log.rs")
        {
            let arguments: Vec<TokenTree> = arguments.stream().into_iter().collect();
            let parts = parts(&arguments);
            let [_, more, last] = parts[..] else { panic!("{}: {parts:?}", source.path) };
            let more = group(more.first(), Delimiter::Brace).expect("fields in braces");
            let more: Vec<TokenTree> = more.stream().into_iter().collect();
            let common = ["program", "pid", "destination", "chain", "route"].map(str::to_owned);
            let fields = self::parts(&more).into_iter().filter_map(field).chain(common).collect();
            found.insert(("info".to_owned(), message(&source.path, last), fields));
        }
    });
    found
}

#[test]
fn the_messages_of_the_log_are_those_of_the_sources() {
    let logged: BTreeSet<Event> = sources::of("tunnel-agent").iter().flat_map(events).collect();
    assert!(logged.len() > 50, "{logged:?}");
    let mut documented = BTreeSet::new();
    for row in rows(&text(DOCUMENT)) {
        let [level, message, fields, _] = &row[..] else { continue };
        let message =
            code(message).first().cloned().unwrap_or_else(|| panic!("{DOCUMENT}: no message: {row:?}"));
        let event = (level.clone(), message, code(fields).into_iter().collect());
        assert!(documented.insert(event), "{DOCUMENT}: twice: {row:?}");
    }
    let missing: Vec<&Event> = logged.difference(&documented).collect();
    let gone: Vec<&Event> = documented.difference(&logged).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "{DOCUMENT} has no row for {missing:#?}, and has too many: {gone:#?}"
    );
}

/// Nothing but the agent has a log.
#[test]
fn only_the_agent_logs() {
    for package in sources::PACKAGES.into_iter().filter(|package| *package != "tunnel-agent") {
        for source in sources::of(package) {
            walk(&source.tokens, &mut |tokens| {
                assert!(!begins(tokens, &["tracing", ":", ":"]), "{} logs", source.path);
            });
        }
    }
}
