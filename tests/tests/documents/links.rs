//! Files, headings and commands that the documents name are there.

use std::path::Path;

use underpass_tests::artifacts::workspace;

use crate::sources::{files, text};
use underpass_tests::markdown::{anchors, code, links, prose};

/// Folders in which a document may name a source by the rest of its path.
const SOURCES: [&str; 5] = ["core", "preload", "launcher", "tunnel-agent", "tests"];

/// The documents: all of docs/, and those at the top.
fn documents() -> Vec<String> {
    let mut all = files("docs", ".md");
    all.extend(["README.md".to_owned(), "CHANGELOG.md".to_owned()]);
    all
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut checked = 0;
    for document in documents() {
        let whole = prose(&text(&document));
        for link in links(&whole).iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(&document).parent().expect("it has a name");
            let target = match file {
                "" => document.clone(),
                file => folder.join(file).display().to_string(),
            };
            assert!(workspace().join(&target).exists(), "{document}: {link}: no such file");
            if !anchor.is_empty() {
                assert!(anchors(&text(&target)).contains(anchor), "{document}: {link}: no such heading");
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn sources_that_are_named_are_there() {
    let sources: Vec<String> = SOURCES.into_iter().flat_map(|folder| files(folder, ".rs")).collect();
    for document in documents() {
        // What was is told of what was.
        if document == "CHANGELOG.md" {
            continue;
        }
        for named in code(&prose(&text(&document))).iter().filter(|named| named.ends_with(".rs")) {
            let is = |source: &String| source == named || source.ends_with(&format!("/{named}"));
            assert!(sources.iter().any(is), "{document}: `{named}`: no such file");
        }
    }
}

#[test]
fn folders_and_documents_that_are_named_are_there() {
    for document in documents() {
        for named in code(&prose(&text(&document))) {
            let plain = named.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let ours = ["docs/", "tests/", "core/", "preload/", "launcher/", "tunnel-agent/", ".ci/"];
            if plain && ours.iter().any(|folder| named.starts_with(folder)) {
                assert!(workspace().join(&named).exists(), "{document}: `{named}` is not there");
            }
        }
    }
}

/// The two commands of README.md, to try and to test, are what CI runs.
#[test]
fn the_commands_of_the_readme_are_run() {
    let readme = text("README.md");
    let indented = |start: &str| {
        let lines: Vec<&str> = readme
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(start))
            .collect();
        let [line] = lines[..] else { panic!("README.md: not one line begins with {start:?}: {lines:?}") };
        line
    };
    let ci = text(".ci/run");
    assert_eq!(indented("bash tests/run"), "bash tests/run");
    assert!(
        ci.lines().any(|line| line.trim_start() == "run bash tests/run"),
        ".ci/run does not run the tests"
    );
    // It takes the line out of the document.
    assert!(indented("cargo build --release").contains("underpass -x local: curl"));
    let takes = "run env CI=1 sh -ec \"$(sed -n '/^    cargo build --release /s,target/release,${CARGO_TARGET_DIR:-target}/release,p' README.md)\"";
    assert!(ci.lines().any(|line| line == takes), ".ci/run has no line {takes}");
}
