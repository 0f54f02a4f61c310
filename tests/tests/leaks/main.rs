//! Every way out that is known (L01 to L39), tried under each tier and beside other wrappers. Without a
//! wrapper each must leak, or the trial shows nothing.
//!
//! `docs/leaks.md` tells what came of it, and must tell the truth. `bash tests/leaks` writes it anew.

mod around;
mod cases;
mod document;
mod place;
mod races;
mod tiers;
mod told;
mod trial;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cases::{CASES, Case, Needs};
use document::Row;
use tiers::Tier;
use trial::{Outcome, Trial};

/// At once: most of the time they wait.
const WORKERS: usize = 8;

/// The file to be written, for `tests/leaks`.
const WRITE: &str = "UNDERPASS_LEAKS";
/// Only the ways whose number or words contain this.
const ONLY: &str = "UNDERPASS_LEAKS_ONLY";

/// What came of one way under every tier; the control's complaint if it did not leak.
fn tried(case: &Case) -> Result<Row, String> {
    let trial = Trial::new(case);
    let (control, said) = trial.under(Tier::Control);
    let here = match (control, case.needs) {
        (_, Needs::Root) if !rustix::process::geteuid().is_root() => false,
        (Outcome::Nowhere, Needs::Kernel) => false,
        (Outcome::Leaks, _) => true,
        _ => return Err(format!("{} {}: the control does not leak: {said}", case.number, case.way)),
    };
    let mut row = Row { number: case.number, way: case.way, needs: case.needs, outcomes: vec![] };
    for tier in Tier::SHOWN {
        // Nobody else has an agent that could end.
        let is_one = here && (tier.is_ours() || case.number != "L39");
        row.outcomes.push(if is_one { trial.under(tier) } else { (Outcome::Nowhere, said.clone()) });
    }
    Ok(row)
}

#[test]
fn nothing_leaks_but_what_is_told() {
    let only = std::env::var(ONLY).unwrap_or_default();
    let chosen: Vec<&Case> =
        CASES.iter().filter(|case| case.number.contains(&only) || case.way.contains(&only)).collect();
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = tried(case);
                    rows.lock().expect("no holder panics").push((case.number, case.way, row));
                }
            });
        }
    });
    let rows = rows.into_inner().expect("no holder panics");
    let mut sound = Vec::new();
    let mut report = String::new();
    for case in &chosen {
        let row = rows.iter().find(|row| (row.0, row.1) == (case.number, case.way)).map(|row| &row.2);
        match row.expect("each was tried") {
            Ok(row) => sound.push(row),
            Err(why) => report += &format!("{why}\n"),
        }
    }
    if let Some(path) = std::env::var_os(WRITE) {
        std::fs::write(path, document::text(&sound)).expect("the document is written");
    } else {
        document::compare(&sound, &mut report);
    }
    assert!(report.is_empty(), "\n{report}");
}
