//! The attempts under way, by socket: a new `connect` ends the one before it, also where the two are
//! handled by different threads. A program that dissolves a pending socket and connects it elsewhere
//! must never get the connection that it has given up.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How an attempt has ended: an errno, or 0. Nothing is ever said of one that another has taken the place of.
pub(crate) type Outcome = watch::Receiver<Option<i32>>;

#[derive(Default)]
struct Table {
    /// Hand-offs under way, and who else waits for each: another thread that connects the same socket.
    handoffs: HashMap<u64, Vec<OwnedFd>>,
    by_cookie: HashMap<u64, (u64, AbortHandle, Outcome)>,
    last: u64,
}

/// The attempts of one agent.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<Table>);

impl Attempts {
    /// Enters an attempt for the socket; `start` gets its number.
    pub(crate) fn begin(
        &self,
        cookie: u64,
        start: impl FnOnce(u64, watch::Sender<Option<i32>>) -> AbortHandle,
    ) -> Outcome {
        // The lock is held so that the attempt cannot end before it is entered.
        let mut table = self.0.lock();
        table.last += 1;
        let number = table.last;
        let (teller, outcome) = watch::channel(None);
        let handle = start(number, teller);
        table.by_cookie.insert(cookie, (number, handle, outcome.clone()));
        outcome
    }

    /// The sockets of all.
    pub(crate) fn cookies(&self) -> Vec<u64> {
        let table = self.0.lock();
        table.handoffs.keys().chain(table.by_cookie.keys()).copied().collect()
    }

    /// What tells the outcome of the attempt under way for the socket, if there is one.
    pub(crate) fn outcome(&self, cookie: u64) -> Option<Outcome> {
        self.0.lock().by_cookie.get(&cookie).map(|(_, _, outcome)| outcome.clone())
    }

    /// Lets `connection` wait for the hand-off of the socket, if one is under way; else gives it back.
    pub(crate) fn join_handoff(&self, cookie: u64, connection: OwnedFd) -> Result<(), OwnedFd> {
        match self.0.lock().handoffs.get_mut(&cookie) {
            Some(waiting) => {
                waiting.push(connection);
                Ok(())
            }
            None => Err(connection),
        }
    }

    /// A hand-off begins.
    pub(crate) fn begin_handoff(&self, cookie: u64) {
        self.0.lock().handoffs.insert(cookie, Vec::new());
    }

    /// Whether no more than one hand-off is under way.
    pub(crate) fn is_alone(&self) -> bool {
        self.0.lock().handoffs.len() <= 1
    }

    /// The hand-off has ended; these wait for the news.
    pub(crate) fn end_handoff(&self, cookie: u64) -> Vec<OwnedFd> {
        self.0.lock().handoffs.remove(&cookie).unwrap_or_default()
    }

    /// Ends the attempt under way for the socket, if there is one.
    pub(crate) fn end(&self, cookie: u64) {
        if let Some((_, handle, _)) = self.0.lock().by_cookie.remove(&cookie) {
            handle.abort();
        }
    }

    /// Runs what settles attempt `number`, unless another has taken its place.
    pub(crate) fn finish<T>(&self, cookie: u64, number: u64, settle: impl FnOnce() -> T) -> Option<T> {
        let mut table = self.0.lock();
        if table.by_cookie.get(&cookie).is_none_or(|(current, ..)| *current != number) {
            return None;
        }
        table.by_cookie.remove(&cookie);
        Some(settle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_last_attempt_settles_a_socket() {
        let attempts = Attempts::default();
        let idle = || tokio::spawn(std::future::pending::<()>()).abort_handle();
        let mut numbers = Vec::new();
        for _ in 0..2 {
            attempts.end(7);
            let _outcome = attempts.begin(7, |number, _| {
                numbers.push(number);
                idle()
            });
        }
        assert_eq!(attempts.finish(7, numbers[0], || ()), None);
        assert_eq!(attempts.finish(7, numbers[1], || "settled"), Some("settled"));
        assert_eq!(attempts.finish(7, numbers[1], || ()), None);
    }
}
