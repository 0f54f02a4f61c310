//! docs/architecture.md: each crate that the product is made of, with its reason.

use std::collections::BTreeSet;

use crate::sources::{PACKAGES, text};
use underpass_tests::markdown::{rows, section};

const DOCUMENT: &str = "docs/architecture.md";

/// The crates that a manifest asks for; not what only tests are made of.
fn asked_for(manifest: &str) -> BTreeSet<String> {
    let manifest = text(manifest);
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    let name = |line: &str| match line.split_once("package = \"") {
        Some((_, rest)) => rest.split('"').next().unwrap_or_default().to_owned(),
        None => line.split([' ', '.', '=']).next().unwrap_or_default().to_owned(),
    };
    lines.map(name).filter(|name| !name.is_empty() && !name.starts_with("underpass-")).collect()
}

#[test]
fn each_dependency_has_its_reason() {
    let more = ["launcher/package", "core/fuzz", "tunnel-agent/fuzz"];
    let there: BTreeSet<String> = PACKAGES
        .into_iter()
        .chain(more)
        .flat_map(|package| asked_for(&format!("{package}/Cargo.toml")))
        .collect();
    assert!(there.contains("tokio") && there.contains("rustls-webpki"), "{there:?}");
    let mut told = BTreeSet::new();
    for row in rows(&section(DOCUMENT, "## Dependencies")) {
        let [crates, within, why] = &row[..] else { panic!("{DOCUMENT}: not three cells: {row:?}") };
        assert!(!within.is_empty() && !why.is_empty(), "{DOCUMENT}: {crates}");
        // What is in brackets is of the crate before.
        let names = crates.split('(').map(|part| part.rsplit(')').next().unwrap_or_default());
        told.extend(
            names.flat_map(|part| part.split([',', ' '])).filter(|name| !name.is_empty()).map(str::to_owned),
        );
    }
    let missing: Vec<_> = there.difference(&told).collect();
    let wrong: Vec<_> = told.difference(&there).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{DOCUMENT} lacks {missing:?}, and has {wrong:?}, which nothing asks for"
    );
}
