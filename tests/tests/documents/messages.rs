//! docs/troubleshooting.md: each message that launcher and agent can print, with its cause and what to do.
//!
//! A message is a string of the sources with two words or more, less what stands in assertions, in attributes and in
//! events of the log. What is set in when it is printed is `…` in the document.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenTree};

use crate::sources::{self, group, ident, string, text};
use underpass_tests::markdown::{code, rows};

const DOCUMENT: &str = "docs/troubleshooting.md";

/// The packages that speak. The library prints nothing.
const SPEAKING: [&str; 3] = ["core", "launcher", "tunnel-agent"];

/// Macros whose strings nobody reads but who mends a fault of ours, or who follows the log.
const SILENT: [&str; 17] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "panic",
    "unreachable",
    "matches",
    "asm",
    "global_asm",
    "compile_error",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
];

/// What is said in these files is an answer that was asked for, or is said to a program: by a part of the path, and why.
const OTHER: [(&str, &str); 28] = [
    ("launcher/src/explain.rs", "the answer to --explain"),
    ("launcher/src/why.rs", "the answer to --why, but for its misuse"),
    ("launcher/src/why/words.rs", "the answer to --why"),
    ("launcher/src/cli/", "the help"),
    ("launcher/src/leaktest/packet.rs", "names of packets in a report"),
    ("launcher/src/leaktest/tally.rs", "the report of --leaktest"),
    ("launcher/src/guard/sealed/mounts.rs", "a resolv.conf"),
    ("tunnel-agent/src/upstream/local.rs", "the page of hello.internal"),
    ("tunnel-agent/src/upstream/ssh.rs", "what OpenSSH says, but for what we say of it"),
    ("tunnel-agent/src/upstream/http/mod.rs", "a request, but for what we say of the answer"),
    ("tunnel-agent/src/front/http.rs", "what a browser is answered"),
    ("tunnel-agent/src/relay/http1.rs", "what a client is answered"),
    ("tunnel-agent/src/relay/token.rs", "what a client is answered"),
    ("tunnel-agent/src/relay/inside.rs", "files of relays inside the agent"),
    ("tunnel-agent/src/keygen.rs", "the answer of keygen, but for what is wrong with a name"),
    ("tunnel-agent/src/table.rs", "the table of status"),
    ("tunnel-agent/src/diagram.rs", "the diagram of status"),
    ("tunnel-agent/src/status.rs", "the answer of status"),
    ("tunnel-agent/src/top/screen.rs", "the screen of top"),
    ("tunnel-agent/src/log.rs", "fields of events"),
    ("tunnel-agent/src/service/inherited.rs", "words to a predecessor, but for what it hears from that"),
    ("tunnel-agent/src/service/successor.rs", "words to a successor, but for why there is none"),
    ("tunnel-agent/src/sight/numbers.rs", "what metrics mean, as they are served"),
    ("tunnel-agent/src/relay/numbers.rs", "what metrics mean, as they are served"),
    ("tunnel-agent/src/metrics/process.rs", "what metrics mean, as they are served"),
    ("tunnel-agent/src/metrics/text.rs", "the form of metrics"),
    ("tunnel-agent/src/metrics/request.rs", "what a client of metrics is answered"),
    ("tunnel-agent/src/metrics/serve.rs", "the head of that answer"),
];

/// With `…` for what is set in, on one line.
fn normal(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '{' if rest.next_if_eq(&'{').is_none() => {
                while rest.next().is_some_and(|c| c != '}') {}
                plain.push('…');
            }
            '}' => {
                rest.next_if_eq(&'}');
                plain.push('}');
            }
            other => plain.push(other),
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Two words at least, and more than one line only at its end.
fn is_message(text: &str) -> bool {
    let words = text.split_whitespace().filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 1);
    words.count() >= 2 && !text.trim().contains('\n')
}

fn collect(tokens: &[TokenTree], found: &mut BTreeSet<String>) {
    let mut at = 0;
    while at < tokens.len() {
        let called = ident(tokens.get(at));
        let is_macro = matches!(tokens.get(at + 1), Some(TokenTree::Punct(punct)) if punct.as_char() == '!');
        if is_macro && called.as_deref().is_some_and(|name| SILENT.contains(&name)) {
            at += 3;
            continue;
        }
        if called.as_deref() == Some("expect") && group(tokens.get(at + 1), Delimiter::Parenthesis).is_some()
        {
            at += 2;
            continue;
        }
        match &tokens[at] {
            TokenTree::Group(group) => collect(&group.stream().into_iter().collect::<Vec<_>>(), found),
            literal => {
                found.extend(string(literal).filter(|text| is_message(text)).map(|text| normal(&text)))
            }
        }
        at += 1;
    }
}

/// Each message and the files that have it.
fn messages() -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in SPEAKING.into_iter().flat_map(sources::of) {
        let mut found = BTreeSet::new();
        collect(&source.tokens, &mut found);
        for message in found {
            all.entry(message).or_default().push(source.path.clone());
        }
    }
    all
}

#[test]
fn each_message_is_explained_and_each_that_is_explained_is_there() {
    let document = text(DOCUMENT);
    let mut told = BTreeSet::new();
    for row in rows(&document) {
        let [messages, cause, remedy] = &row[..] else { panic!("{DOCUMENT}: not three cells: {row:?}") };
        assert!(!cause.is_empty() && !remedy.is_empty(), "{DOCUMENT}: {messages}");
        told.extend(code(messages));
    }
    let there = messages();
    let wrong: Vec<_> = told.iter().filter(|message| !there.contains_key(*message)).collect();
    let other = |path: &String| OTHER.iter().any(|(part, _)| path.contains(part));
    let missing: Vec<_> = there
        .iter()
        .filter(|(message, files)| !told.contains(*message) && !files.iter().all(other))
        .collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{DOCUMENT} has what nothing says: {wrong:#?}, and lacks: {missing:#?}"
    );
}

#[test]
fn files_that_speak_otherwise_are_there() {
    let all: Vec<String> = SPEAKING.into_iter().flat_map(|package| sources::files(package, ".rs")).collect();
    for (part, why) in OTHER {
        assert!(all.iter().any(|path| path.contains(part)), "{part} ({why}) is not there");
    }
}
