//! For which sockets a connection was begun: of any other the kernel's own `SO_ERROR` is the truth, and nobody is asked.

use std::collections::HashSet;

/// How many sockets are known: a program that never asks what became of them is not remembered for ever.
const MAX: usize = 32_768;

/// The sockets, by their cookies, which the kernel never gives twice.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    sockets: HashSet<u64>,
    /// Some have been forgotten: those that are not known may be among them.
    forgotten: bool,
}

impl Begun {
    pub(crate) fn note(&mut self, cookie: u64) {
        if self.sockets.len() >= MAX {
            self.sockets = HashSet::new();
            self.forgotten = true;
        }
        self.sockets.insert(cookie);
    }

    /// The program knows what has become of it.
    pub(crate) fn told(&mut self, cookie: u64) {
        self.sockets.remove(&cookie);
    }

    pub(crate) fn may_contain(&self, cookie: u64) -> bool {
        self.forgotten || self.sockets.contains(&cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_known_until_it_is_told() {
        let mut begun = Begun::default();
        begun.note(7);
        assert!(begun.may_contain(7) && !begun.may_contain(8));
        begun.told(7);
        assert!(!begun.may_contain(7));
    }

    #[test]
    fn where_some_were_forgotten_any_may_be_one() {
        let mut begun = Begun::default();
        (0..=MAX as u64).for_each(|cookie| begun.note(cookie));
        assert!(begun.sockets.len() <= MAX);
        assert!(begun.may_contain(0) && begun.may_contain(MAX as u64) && begun.may_contain(u64::MAX));
    }
}
