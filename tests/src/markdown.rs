//! What tests read of a document: its headings, tables, code and links.

use std::collections::BTreeSet;

use crate::artifacts::text;

/// A document's lines outside of fenced and indented blocks.
pub fn prose(document: &str) -> String {
    let mut fenced = false;
    let mut kept = String::new();
    for line in document.lines() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if !fenced && !fence && !line.starts_with("    ") {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

/// What is below a heading (`## Floors`) of a file, to the next one of its level or above.
#[track_caller]
pub fn section(path: &str, heading: &str) -> String {
    let document = text(path);
    let level = heading.bytes().take_while(|b| *b == b'#').count();
    let mut lines = document.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "{path}: no heading {heading:?}");
    let ends = |line: &&str| {
        let marks = line.bytes().take_while(|b| *b == b'#').count();
        (1..=level).contains(&marks) && line[marks..].starts_with(' ')
    };
    lines.take_while(|line| !ends(line)).map(|line| format!("{line}\n")).collect()
}

/// The cells of each row of the tables in a text, without their heads.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut lines = text.lines().peekable();
    let is_rule = |line: &&str| line.starts_with("| ---");
    while let Some(line) = lines.next() {
        if line.starts_with("| ") && !is_rule(&line) && !lines.peek().is_some_and(is_rule) {
            rows.push(cells(line));
        }
    }
    rows
}

/// A bar that belongs to a cell is written `\|`.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    inner.split('|').map(|cell| cell.replace('\u{0}', "|").trim().to_owned()).collect()
}

/// What stands in backticks; a span by two of them may hold one.
pub fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let marks = rest[start..].bytes().take_while(|b| *b == b'`').count();
        let inner = &rest[start + marks..];
        let Some(end) = inner.find(&"`".repeat(marks)) else { break };
        found.push(match marks {
            1 => inner[..end].replace('\n', " "),
            _ => inner[..end].trim().replace('\n', " "),
        });
        rest = &inner[end + marks..];
    }
    found
}

/// Where the links of a text lead.
pub fn links(text: &str) -> Vec<String> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
pub fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    headings.map(anchor).collect()
}

/// What the first column of the tables of a section has in backticks, each to its first blank.
#[track_caller]
pub fn first_words(path: &str, heading: &str) -> BTreeSet<String> {
    let rows = rows(&section(path, heading));
    let words = rows.iter().flat_map(|row| code(&row[0]));
    words.map(|words| words.split_whitespace().next().unwrap_or_default().to_owned()).collect()
}

/// A document tells what is there, and nothing else.
#[track_caller]
pub fn compare(path: &str, what: &str, told: &BTreeSet<String>, there: &BTreeSet<String>) {
    let missing: Vec<_> = there.difference(told).collect();
    let wrong: Vec<_> = told.difference(there).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{what}: {path} lacks {missing:?}, has {wrong:?} too many"
    );
}
