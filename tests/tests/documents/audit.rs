//! docs/unsafe.md: how much unsafe code each file has, and why it holds.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenTree};

use crate::sources::{self, Source, begins, group, ident, text, walk};
use underpass_tests::markdown::{code, rows};

/// Of one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unsafe {
    /// `unsafe { … }`
    blocks: usize,
    /// `unsafe fn`, `unsafe impl`, `unsafe extern`, where they are defined; not types of functions.
    items: usize,
}

fn counted(source: &Source) -> Unsafe {
    let mut found = Unsafe::default();
    walk(&source.tokens, &mut |tokens| {
        if !begins(tokens, &["unsafe"]) {
            return;
        }
        let mut rest = &tokens[1..];
        if group(rest.first(), Delimiter::Brace).is_some() {
            found.blocks += 1;
            return;
        }
        let is_extern = begins(rest, &["extern"]);
        if is_extern {
            rest = &rest[1..];
            rest = &rest[usize::from(matches!(rest.first(), Some(TokenTree::Literal(_))))..];
        }
        let foreign = is_extern && group(rest.first(), Delimiter::Brace).is_some();
        let function = begins(rest, &["fn"]) && (ident(rest.get(1)).is_some() || begins(&rest[1..], &["$"]));
        let other = begins(rest, &["impl"]) || begins(rest, &["trait"]);
        found.items += usize::from(foreign || function || other);
    });
    found
}

#[test]
fn the_table_of_unsafe_code_is_that_of_the_code() {
    let code_has: BTreeMap<String, Unsafe> = sources::PACKAGES
        .into_iter()
        .flat_map(sources::of)
        .map(|source| (source.path.clone(), counted(&source)))
        .filter(|(_, found)| *found != Unsafe::default())
        .collect();
    let document = text("docs/unsafe.md");
    let mut told = BTreeMap::new();
    for row in rows(&document).iter().filter(|row| row[0].ends_with(".rs`")) {
        let [file, blocks, items, why] = &row[..] else { panic!("docs/unsafe.md: not four cells: {row:?}") };
        let number = |cell: &str| cell.parse().unwrap_or_else(|_| panic!("docs/unsafe.md: {file}: {cell:?}"));
        assert!(why.split_whitespace().count() >= 5, "docs/unsafe.md: {file}: why?");
        let file = code(file).concat();
        let found = Unsafe { blocks: number(blocks), items: number(items) };
        assert!(told.insert(file.clone(), found).is_none(), "docs/unsafe.md: {file} is there twice");
    }
    for (file, found) in &code_has {
        let Unsafe { blocks, items } = found;
        assert_eq!(
            told.get(file),
            Some(found),
            "docs/unsafe.md: {file} has {blocks} blocks and {items} items"
        );
    }
    for file in told.keys() {
        assert!(code_has.contains_key(file), "docs/unsafe.md: {file} has no unsafe code");
    }
    let blocks: usize = code_has.values().map(|found| found.blocks).sum();
    let items: usize = code_has.values().map(|found| found.items).sum();
    let sum = format!(
        "{blocks} blocks and {items} functions, implementations and declarations in {} files",
        code_has.len()
    );
    assert!(document.contains(&sum), "docs/unsafe.md does not say: {sum}");
}
