//! docs/limits.md: the differences that the transcripts know, each of which fails its test when it no longer occurs.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenTree};

use crate::sources::{begins, files, group, ident, string, text, walk};
use underpass_tests::markdown::{code, rows, section};

const DOCUMENT: &str = "docs/limits.md";

/// What each file gives as the `reason` of a difference: itself, or by the name of a constant.
fn known() -> BTreeSet<(String, String)> {
    let mut known = BTreeSet::new();
    for path in files("tests/tests", ".rs") {
        let tokens: proc_macro2::TokenStream =
            text(&path).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let constant = |name: &str| {
            let mut value = None;
            walk(&tokens, &mut |tokens| {
                if begins(tokens, &["const", name]) {
                    value = tokens.iter().find_map(string);
                }
            });
            value
        };
        walk(&tokens, &mut |tokens| {
            let Some(given) = group(tokens.get(1), Delimiter::Brace) else { return };
            if !begins(tokens, &["Known"]) {
                return;
            }
            let fields: Vec<TokenTree> = given.stream().into_iter().collect();
            let Some(at) = (0..fields.len()).find(|at| begins(&fields[*at..], &["reason", ":"])) else {
                return;
            };
            let named = ident(fields.get(at + 2)).and_then(|name| constant(&name));
            // The type itself has a type there.
            if let Some(reason) = fields.get(at + 2).and_then(string).or(named) {
                known.insert((path.clone(), reason));
            }
        });
    }
    known.retain(|(_, reason)| reason != "the same");
    known
}

#[test]
fn differences_that_transcripts_know_are_told() {
    let mut told = BTreeSet::new();
    for row in rows(&section(DOCUMENT, "### As transcripts have them")) {
        let [reason, file] = &row[..] else { panic!("{DOCUMENT}: not two cells: {row:?}") };
        told.insert((code(file).concat(), reason.clone()));
    }
    let known = known();
    assert!(known.len() > 5, "{known:?}");
    let missing: Vec<_> = known.difference(&told).collect();
    let wrong: Vec<_> = told.difference(&known).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{DOCUMENT} lacks {missing:#?}, and has what no test knows: {wrong:#?}"
    );
}
