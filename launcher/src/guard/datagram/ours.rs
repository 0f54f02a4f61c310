//! Which addresses on loopback were a program's a moment ago: what comes too late for them is for nobody outside.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long one is known.
const KEPT: Duration = Duration::from_secs(30);
/// How many are known; where there are more, all but those that are still good are forgotten, or all.
const MAX: usize = 4096;

/// Addresses, and when they were seen last.
#[derive(Default)]
pub(super) struct Ours(HashMap<SocketAddr, Seen>);

struct Seen {
    /// With which datagram, counted.
    datagram: u64,
    at: Instant,
}

impl Ours {
    /// This datagram has come from there, or is taken there.
    pub(super) fn saw(&mut self, address: SocketAddr, datagram: u64, now: Instant) {
        if self.0.len() >= MAX && !self.0.contains_key(&address) {
            self.0.retain(|_, seen| now.duration_since(seen.at) < KEPT);
            if self.0.len() >= MAX {
                self.0.clear();
            }
        }
        self.0.insert(address, Seen { datagram, at: now });
    }

    /// The last datagram with which an address was seen.
    pub(super) fn last(&self, address: SocketAddr, now: Instant) -> Option<u64> {
        self.0.get(&address).filter(|seen| now.duration_since(seen.at) < KEPT).map(|seen| seen.datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_for_a_while_and_there_are_never_too_many() {
        let (mut ours, start) = (Ours::default(), Instant::now());
        let address = |n: u16| SocketAddr::from(([127, 0, 0, 1], n));
        ours.saw(address(1), 1, start);
        ours.saw(address(1), 7, start);
        assert_eq!(ours.last(address(1), start + KEPT / 2), Some(7));
        assert_eq!(ours.last(address(1), start + KEPT), None);
        assert_eq!(ours.last(address(2), start), None);
        for n in 0..2 * MAX as u16 {
            ours.saw(address(n), 8, start);
            assert!(ours.0.len() <= MAX && ours.last(address(n), start) == Some(8));
        }
    }
}
