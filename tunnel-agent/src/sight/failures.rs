//! Why connections have failed lately: one entry for each chain, hop and reason, so that a program which tries again
//! and again does not push out what others have met.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use parking_lot::Mutex;
use underpass_core::control::FailureStatus;
use underpass_core::failure::Failure;

use crate::client;
use crate::flow::Trip;

/// The entry that was met longest ago goes when there are more.
const MOST: usize = 64;
/// Reasons are cut after this many characters: some are in the words of a program that is not ours.
const LONGEST: usize = 300;

struct Entry {
    told: FailureStatus,
    last: Instant,
}

/// The failures of one agent.
#[derive(Default)]
pub(crate) struct Failures(Mutex<VecDeque<Entry>>);

impl Failures {
    /// An attempt has failed for this reason.
    pub(crate) fn note(&self, trip: &Trip, failure: &Failure) {
        let at = match failure {
            Failure::At { hop, of, name, .. } => Some((*hop, *of, name.as_str())),
            _ => None,
        };
        self.add(trip, at, &failure.bare().to_string(), failure.hint(), failure.errno());
    }

    /// An attempt has failed here.
    pub(crate) fn note_error(&self, trip: &Trip, error: &io::Error, errno: i32) {
        self.add(trip, None, &error.to_string(), None, errno);
    }

    fn add(
        &self,
        trip: &Trip,
        at: Option<(usize, usize, &str)>,
        reason: &str,
        hint: Option<&str>,
        errno: i32,
    ) {
        let course = trip.course.as_deref();
        let chain = course.and_then(|course| course.chain.as_deref());
        let configuration = course.map_or(0, |course| course.configuration);
        let reason: String = reason.chars().take(LONGEST).collect();
        let last = Instant::now();
        let mut entries = self.0.lock();
        let known = entries.iter().position(|Entry { told, .. }| {
            let place = told.hop.zip(told.of).zip(told.url.as_deref()).map(|((hop, of), url)| (hop, of, url));
            let same_way = told.configuration == configuration && told.chain.as_deref() == chain;
            same_way && place == at && told.errno == errno && told.reason == reason
        });
        let before = known.and_then(|known| entries.remove(known)).map(|entry| entry.told);
        let destination = trip.destination.to_string();
        let program = match &before {
            // One process that fails often is looked at once.
            Some(before) if before.pid == trip.pid && before.program.is_some() => before.program.clone(),
            _ => trip.program.as_deref().map(str::to_owned).or_else(|| client::program_of(trip.pid)),
        };
        let told = FailureStatus {
            chain: chain.map(str::to_owned),
            configuration,
            hop: at.map(|at| at.0),
            of: at.map(|at| at.1),
            url: at.map(|at| at.2.to_owned()),
            reason,
            hint: hint.map(str::to_owned),
            errno,
            count: before.map_or(0, |before| before.count).saturating_add(1),
            seconds_ago: 0,
            destination,
            program,
            pid: trip.pid,
        };
        entries.push_back(Entry { told, last });
        if entries.len() > MOST {
            entries.pop_front();
        }
    }

    /// What has failed, the latest first.
    pub(crate) fn recent(&self) -> Vec<FailureStatus> {
        let entries = self.0.lock();
        let told = |entry: &Entry| FailureStatus {
            seconds_ago: entry.last.elapsed().as_secs(),
            ..entry.told.clone()
        };
        entries.iter().rev().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use underpass_core::destination::Destination;

    use super::*;

    fn trip(port: u16) -> Trip {
        let destination = Destination::Name { host: "a.test".to_owned(), port };
        Trip { pid: 0, program: Some("/bin/sh".into()), destination, course: None, tally: Arc::default() }
    }

    fn at(hop: usize) -> Failure {
        let failure = Box::new(Failure::Unauthorized);
        Failure::At { hop, of: 2, name: format!("socks5h://h{hop}:1"), failure }
    }

    #[test]
    fn what_fails_again_is_counted_and_comes_first() {
        let failures = Failures::default();
        failures.note(&trip(1), &at(1));
        failures.note(&trip(2), &at(2));
        failures.note(&trip(3), &at(1));
        let recent = failures.recent();
        let told: Vec<_> =
            recent.iter().map(|it| (it.hop, it.count, it.destination.as_str(), it.errno)).collect();
        assert_eq!(told, [(Some(1), 2, "a.test:3", 13), (Some(2), 1, "a.test:2", 13)]);
        assert_eq!(recent[0].reason, "the upstream refused the user name and password");
        assert_eq!(recent[0].url.as_deref(), Some("socks5h://h1:1"));
        assert!(recent[0].hint.is_some());
    }

    #[test]
    fn the_number_of_reasons_and_their_length_are_bounded() {
        let failures = Failures::default();
        for number in 0..=MOST {
            failures.note(&trip(1), &Failure::Ssh(format!("{number}: {}", "no ".repeat(LONGEST))));
        }
        failures.note_error(&trip(1), &io::Error::other("no"), 101);
        let recent = failures.recent();
        assert_eq!(recent.len(), MOST);
        assert!(recent.iter().all(|it| it.reason.chars().count() <= LONGEST && it.count == 1));
        assert_eq!((recent[0].reason.as_str(), recent[0].hop, recent[0].errno), ("no", None, 101));
        assert!(recent[1].reason.starts_with("ssh: 64: "));
    }
}
