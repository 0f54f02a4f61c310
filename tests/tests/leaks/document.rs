//! `docs/leaks.md`: what is known to leak, and the table.

use std::fmt::Write;

use underpass_tests::Finished;

use crate::cases::{CASES, Needs};
use crate::tiers::Tier;
use crate::trial::Outcome;

/// What comes before the table, but for the lists.
const HEAD: &str = include_str!("leaks-head.md");
/// Where [`KNOWN`] goes in it.
const LIST: &str = "<LIST>";

/// What is known not to be held: the number of the check, what it is, and the tiers.
const KNOWN: &[(&str, &str, &[Tier])] = &[
    ("L07", "`execve` by instruction, with an environment that lacks the library", AUTO),
    ("L13", "calls by instruction", AUTO),
    ("L14", "calls by io_uring", AUTO),
    ("L15", "libc's own functions, found by a handle of libc", AUTO),
    ("L16", "functions of a second libc, in a namespace of its own", AUTO),
    ("L18", "a library with system calls of its own inside", AUTO),
    ("L28", "connections to a server of the program's: servers are left alone", AUTO),
    ("L29", "a socket from before the launch, unless `--inherited` says otherwise", SHARED),
    (
        "L30",
        "a socket that another process passes, unless `foreign-sockets` says otherwise to the library",
        SHARED,
    ),
    (
        "L32",
        "what a process outside does for the program, by a Unix socket: an instance of its own, a service by D-Bus",
        SHARED,
    ),
];
/// Of one tier there are no more.
const MOST: usize = 12;
const AUTO: &[Tier] = &[Tier::Hook, Tier::Auto];
const SHARED: &[Tier] = &[Tier::Hook, Tier::Auto, Tier::Guard];
const ALL: &[Tier] = &[Tier::Hook, Tier::Auto, Tier::Guard, Tier::Sealed];

fn known_line(number: &str, what: &str, tiers: &[Tier]) -> String {
    let tiers: Vec<&str> = tiers.iter().map(|tier| tier.title()).collect();
    format!("| {number} | {what} | {} |\n", tiers.join(", "))
}

/// What came of one way.
pub(crate) struct Row {
    pub(crate) number: &'static str,
    pub(crate) way: &'static str,
    pub(crate) needs: Needs,
    /// In the order of [`Tier::SHOWN`], with what the program said.
    pub(crate) outcomes: Vec<(Outcome, Finished)>,
}

impl Row {
    /// The line of the table up to the outcomes.
    fn start(&self) -> String {
        let mark = if self.needs == Needs::Root { " (root)" } else { "" };
        format!("| {} | {}{mark} | ", self.number, self.way)
    }

    fn line(&self) -> String {
        let cells: Vec<&str> = self.outcomes.iter().map(|(outcome, _)| outcome.word()).collect();
        format!("{}{} |", self.start(), cells.join(" | "))
    }

    /// Whether there is such a way here.
    fn is_here(&self) -> bool {
        self.outcomes.iter().any(|(outcome, _)| *outcome != Outcome::Nowhere)
    }

    fn leaks(&self, tier: Tier) -> bool {
        let under = Tier::SHOWN.iter().position(|shown| *shown == tier);
        under.is_some_and(|place| self.outcomes[place].0 == Outcome::Leaks)
    }
}

/// The whole document.
pub(crate) fn text(rows: &[&Row]) -> String {
    let list: String = KNOWN.iter().map(|(number, what, tiers)| known_line(number, what, tiers)).collect();
    let mut text = HEAD.replace(LIST, list.trim_end());
    let titles: Vec<&str> = Tier::SHOWN.iter().map(|tier| tier.title()).collect();
    let counts: Vec<String> = Tier::SHOWN
        .iter()
        .map(|tier| rows.iter().filter(|row| row.leaks(*tier)).count().to_string())
        .collect();
    let _ = writeln!(text, "| check | way out | {} |", titles.join(" | "));
    let _ = writeln!(text, "| --- | --- |{}", " --- |".repeat(titles.len()));
    for row in rows {
        let _ = writeln!(text, "{}", row.line());
    }
    let ways = rows.iter().filter(|row| row.is_here()).count();
    let _ = writeln!(text, "| | leaks, of {ways} ways | {} |", counts.join(" | "));
    text
}

/// Whether the document says what was found, and nothing leaks that is not listed.
pub(crate) fn compare(rows: &[&Row], report: &mut String) {
    let document = include_str!("../../../docs/leaks.md");
    for row in rows.iter().filter(|row| row.is_here()) {
        let start = row.start();
        let Some(told) = document.lines().find_map(|line| line.strip_prefix(&start)) else {
            let _ = writeln!(report, "docs/leaks.md has no line for {start}");
            continue;
        };
        let told: Vec<&str> = told.trim_end_matches(" |").split(" | ").map(str::trim).collect();
        for ((tier, (outcome, said)), told) in Tier::SHOWN.iter().zip(&row.outcomes).zip(told) {
            if !agrees(*tier, *outcome, told) {
                let _ = writeln!(report, "{start}{}: {outcome:?}, not {told:?}: {said}", tier.title());
            }
        }
    }
    let table = document.lines().filter(|line| line.starts_with("| L")).count();
    if table != CASES.len() + KNOWN.len() {
        let _ =
            writeln!(report, "docs/leaks.md has {table} lines of ways, not {}", CASES.len() + KNOWN.len());
    }
    for tier in ALL {
        listed(*tier, rows, report);
    }
    for (number, what, tiers) in KNOWN {
        if !document.contains(&known_line(number, what, tiers)) {
            let _ = writeln!(report, "docs/leaks.md does not tell of {number} in the same words");
        }
    }
}

/// Of others it counts whether they leak, not how they do what they do; ours may do more than is told.
fn agrees(tier: Tier, outcome: Outcome, told: &str) -> bool {
    match (outcome, told) {
        // Written on a kernel without it.
        (_, "") => outcome != Outcome::Leaks || !tier.is_ours(),
        (Outcome::Held, _) if tier.is_ours() => told == outcome.word(),
        _ => (outcome == Outcome::Leaks) == (told == Outcome::Leaks.word()),
    }
}

/// Nothing leaks that is not known, and what is known leaks.
fn listed(tier: Tier, rows: &[&Row], report: &mut String) {
    let name = tier.title();
    let known = || KNOWN.iter().filter(|(.., tiers)| tiers.contains(&tier)).map(|(number, ..)| *number);
    if known().count() > MOST {
        let _ = writeln!(report, "{} kinds of leaks under {name}: too many", known().count());
    }
    for row in rows.iter().filter(|row| row.leaks(tier)) {
        if !known().any(|number| number == row.number) {
            let _ = writeln!(report, "{} {} leaks under {name}, and is not listed", row.number, row.way);
        }
    }
    for number in known() {
        let mut tried = rows.iter().filter(|row| row.number == number && row.is_here()).peekable();
        if tried.peek().is_some() && !tried.any(|row| row.leaks(tier)) {
            let _ = writeln!(report, "{number} no longer leaks under {name}: take it out of the list");
        }
    }
}
