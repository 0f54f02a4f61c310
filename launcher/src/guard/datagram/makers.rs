//! Which process has asked for a socket: routes may speak of programs, and a packet does not say whose it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many sockets are known, of those that were made last.
const MAX: usize = 4096;

/// The processes, by the cookies of their sockets; shared by the supervisor and the pump.
#[derive(Clone, Default)]
pub(super) struct Makers(Arc<Mutex<VecDeque<(u64, u32)>>>);

impl Makers {
    pub(super) fn note(&self, cookie: u64, process: u32) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= MAX {
            made.pop_front();
        }
        made.push_back((cookie, process));
    }

    /// Whose it is. Of one that is not known, as it is closed already, the last who has asked for any.
    pub(super) fn of(&self, cookie: Option<u64>) -> u32 {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = made.iter().rev().find(|(known, _)| Some(*known) == cookie).or(made.back());
        found.map_or(0, |(_, process)| *process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known() {
        let makers = Makers::default();
        for cookie in 0..=MAX as u64 {
            makers.note(cookie, 7);
        }
        makers.note(5, 8);
        assert_eq!((makers.of(Some(MAX as u64)), makers.of(Some(5))), (7, 8));
        assert_eq!((makers.of(None), makers.of(Some(0)), Makers::default().of(None)), (8, 8, 0));
    }
}
