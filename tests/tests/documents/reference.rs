//! docs/options.md: every variable and every key that the sources read, and no other.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenTree};

use crate::sources::{self, PACKAGES, begins, group, ident, walk};
use underpass_tests::markdown::{code, compare, first_words, rows, section};

const DOCUMENT: &str = "docs/options.md";

/// Each table of keys: a part of its row's first cell, the source that has the list, and the list's name there.
const KEYS: [(&str, &str, &str); 15] = [
    ("the configuration", "core/src/config/file.rs", "KEYS"),
    ("[chain.NAME]", "core/src/config/file/chain.rs", "KEYS"),
    ("[[route]]", "core/src/config/file/route.rs", "KEYS"),
    ("`[[expose]]`](configuration", "core/src/config/file/expose.rs", "KEYS"),
    ("[[listen]]", "core/src/config/file/listen.rs", "KEYS"),
    ("a URL's parameters", "core/src/upstream/url.rs", "KNOWN"),
    ("proxychains.conf", "core/src/config/legacy/proxychains.rs", "DIRECTIVES"),
    ("torsocks.conf", "core/src/config/legacy/torsocks.rs", "KEYS"),
    ("tsocks.conf](configuration.md#tsocks", "core/src/config/legacy/tsocks.rs", "KEYS"),
    ("[a relay](", "tunnel-agent/src/relay/policy/settings.rs", "KEYS"),
    ("a relay's `[[rule]]`", "tunnel-agent/src/relay/policy/settings/rule.rs", "KEYS"),
    ("a relay's `[[expose]]`", "tunnel-agent/src/relay/policy/settings/expose.rs", "KEYS"),
    ("a relay's `[limits]`", "tunnel-agent/src/relay/policy/settings/limits.rs", "KEYS"),
    ("a relay's `[audit]`", "tunnel-agent/src/relay/policy/settings/audit.rs", "KEYS"),
    ("a line of authorized keys", "tunnel-agent/src/relay/policy/keys.rs", "OPTIONS"),
];

/// The functions of the sources that read a variable which is named in the call.
const READERS: [&str; 6] = ["var", "var_os", "variable", "from_environment", "environment", "remove"];

/// Names of variables that are read: those that stand in the call, and those of known prefixes.
#[test]
fn variables_are_those_that_are_read() {
    let told = first_words(DOCUMENT, "## Variables");
    let (mut read, mut all) = (BTreeSet::new(), BTreeSet::new());
    for source in PACKAGES.into_iter().flat_map(sources::of) {
        walk(&source.tokens, &mut |tokens| {
            if let Some(text) = text_of(&tokens[0]) {
                let name = text.trim_end_matches('=');
                let is_name = name.len() > 1 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if is_name && has_known_form(name) {
                    read.insert(name.to_owned());
                }
                all.insert(text);
            }
            let called = ident(tokens.first()).is_some_and(|name| READERS.contains(&&*name));
            if called && let Some(arguments) = group(tokens.get(1), Delimiter::Parenthesis) {
                let first = arguments.stream().into_iter().next().and_then(|token| text_of(&token));
                read.extend(first.filter(|name| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
                }));
            }
        });
    }
    let unread: Vec<_> = told.iter().filter(|name| !all.contains(*name)).collect();
    assert!(unread.is_empty(), "{DOCUMENT} has variables that nothing reads: {unread:?}");
    let missing: Vec<_> = read.difference(&told).collect();
    assert!(missing.is_empty(), "{DOCUMENT} lacks variables that are read: {missing:?}");
}

/// Of a string or a byte string.
fn text_of(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    let written = literal.to_string();
    let written = written.strip_prefix('b').unwrap_or(&written);
    Some(written.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

fn has_known_form(name: &str) -> bool {
    let capitals = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let known = ["UNDERPASS_", "TORSOCKS_", "PROXYCHAINS_", "XDG_", "LD_"];
    capitals && (known.iter().any(|prefix| name.starts_with(prefix)) || name.ends_with("_PROXY"))
        || name.strip_suffix("_proxy").is_some_and(|scheme| ["all", "http", "https", "no"].contains(&scheme))
}

#[test]
fn keys_are_those_of_the_sources() {
    let table = rows(&section(DOCUMENT, "## Keys"));
    assert_eq!(table.len(), KEYS.len());
    for (name, file, list) in KEYS {
        let rows: Vec<_> = table.iter().filter(|row| row[0].contains(name)).collect();
        let [row] = rows[..] else { panic!("{DOCUMENT}: not one row has {name}") };
        let told: BTreeSet<String> = code(&row[1]).into_iter().collect();
        compare(DOCUMENT, file, &told, &listed(file, list));
    }
}

/// The strings of a constant list; a constant in it is looked up in the same file.
fn listed(file: &str, list: &str) -> BTreeSet<String> {
    let package = file.split('/').next().expect("a path");
    let sources = sources::of(package);
    let source = sources.iter().find(|source| source.path == file).unwrap_or_else(|| panic!("no {file}"));
    let mut found = BTreeSet::new();
    for element in values(source, list) {
        match text_of(&element) {
            Some(text) => found.extend([text]),
            None => {
                let name = ident(Some(&element));
                found.extend(
                    name.iter().flat_map(|name| values(source, name)).filter_map(|value| text_of(&value)),
                );
            }
        }
    }
    assert!(!found.is_empty(), "{file} has no list {list}");
    found
}

/// What `const NAME: … = VALUE;` has: the elements of a list, or the one value.
fn values(source: &sources::Source, name: &str) -> Vec<TokenTree> {
    let mut found = Vec::new();
    walk(&source.tokens, &mut |tokens| {
        if begins(tokens, &["const", name]) {
            let is = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '=');
            let value = tokens.iter().position(is).and_then(|at| tokens.get(at + 1));
            match group(value, Delimiter::Bracket) {
                Some(list) => {
                    found.extend(list.stream().into_iter().filter(|t| !matches!(t, TokenTree::Punct(_))))
                }
                None => found.extend(value.cloned()),
            }
        }
    });
    found
}
