//! What one dial has learned of its hops: which have failed, and on whose word.

/// Hops by their places in the chain.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    failed: Vec<usize>,
    /// By whom, and whom: a hop that closes instead of answering may mean the next one, or be at fault itself; and so may
    /// each that leads to it.
    accused: Vec<(usize, usize)>,
}

impl Tried {
    /// Those that the next path does without.
    pub(crate) fn failed(&self) -> &[usize] {
        &self.failed
    }

    /// Takes a failure of `hop` as `speakers` have shown it, the way to whoever has said so, who may be the hop itself. Who
    /// fails may have accused others wrongly, as it went down: they are given back, and may be tried again.
    pub(super) fn fails(&mut self, hop: usize, speakers: &[usize]) -> Vec<usize> {
        self.failed.push(hop);
        let (wrongly, accused): (Vec<_>, Vec<_>) = self.accused.iter().partition(|(by, _)| *by == hop);
        self.accused = accused;
        self.accused.extend(speakers.iter().filter(|&&by| by != hop).map(|&by| (by, hop)));
        let cleared: Vec<usize> = wrongly.into_iter().map(|(_, other)| other).collect();
        self.failed.retain(|place| !cleared.contains(place));
        cleared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: [usize; 0] = [];

    #[test]
    fn who_fails_may_have_accused_others_wrongly() {
        let mut tried = Tried::default();
        assert_eq!(tried.fails(2, &[1]), NOBODY);
        assert_eq!(tried.fails(3, &[1]), NOBODY);
        assert_eq!(tried.fails(4, &[0]), NOBODY);
        assert_eq!(tried.failed(), [2, 3, 4]);
        assert_eq!(tried.fails(1, &[1]), [2, 3]);
        assert_eq!(tried.failed(), [4, 1]);
        assert_eq!(tried.fails(5, &[5]), NOBODY);
        // Whoever says so.
        assert_eq!(tried.fails(0, &[3]), [4]);
        assert_eq!(tried.failed(), [1, 5, 0]);
        // Two that accuse each other end.
        assert_eq!(tried.fails(3, &[2]), [0]);
        assert_eq!(tried.fails(2, &[3]), [3]);
        assert_eq!(tried.failed(), [1, 5, 2]);
    }

    #[test]
    fn each_on_the_way_may_be_who_has_closed() {
        let mut tried = Tried::default();
        assert_eq!(tried.fails(3, &[1]), NOBODY);
        assert_eq!(tried.fails(2, &[0, 2]), NOBODY);
        assert_eq!(tried.fails(0, &[1]), [2]);
        assert_eq!(tried.failed(), [3, 0]);
    }
}
