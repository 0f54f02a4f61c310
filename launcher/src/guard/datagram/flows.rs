//! All flows, by their ends and by the numbers with which the kernel tells of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::Resource;

use super::flow::Flow;
use super::packet::Ends;

/// How many there are at most, and no more than this part of the limit on descriptors; the one that was not used for
/// longest goes when there are more.
const MAX: usize = 1024;
const PART: u64 = 8;
/// How long one that nobody uses is kept: as long as the agent keeps its side.
const IDLE: Duration = Duration::from_secs(300);
/// How long the agent may take to answer. It has deadlines of its own, which are shorter.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one is kept at least after it was used: what was sent by a socket that is closed at once has left by then.
const AFTERLIFE: Duration = Duration::from_secs(2);

pub(super) struct Flows {
    max: usize,
    flows: HashMap<u64, Flow>,
    by_ends: HashMap<Ends, u64>,
    next: u64,
}

impl Flows {
    pub(super) fn new() -> Self {
        let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let max = usize::try_from(limit / PART).unwrap_or(MAX).min(MAX);
        Self { max, flows: HashMap::new(), by_ends: HashMap::new(), next: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Whether any waits for the agent.
    pub(super) fn ask(&self) -> bool {
        self.flows.values().any(Flow::asks)
    }

    pub(super) fn find(&self, ends: Ends) -> Option<u64> {
        self.by_ends.get(&ends).copied()
    }

    pub(super) fn get(&mut self, number: u64) -> Option<&mut Flow> {
        self.flows.get_mut(&number)
    }

    /// Keeps one. No other has had its number: the kernel may still tell of a socket that is closed here, as long as
    /// a child that has not gone on to its own has a copy.
    pub(super) fn add(&mut self, flow: Flow) -> u64 {
        if self.flows.len() >= self.max
            && let Some((&oldest, _)) = self.flows.iter().min_by_key(|(_, flow)| flow.used)
        {
            self.remove(oldest);
        }
        let number = self.next;
        self.next += 1;
        self.by_ends.insert(flow.ends, number);
        self.flows.insert(number, flow);
        number
    }

    /// Ends one: its sockets are closed.
    pub(super) fn remove(&mut self, number: u64) -> Option<Flow> {
        let flow = self.flows.remove(&number)?;
        self.by_ends.remove(&flow.ends);
        Some(flow)
    }

    /// Ends those that nobody uses, and those whose program's socket is `closed`.
    pub(super) fn sweep(&mut self, now: Instant, closed: impl Fn(Ends) -> bool) {
        let is_over = |flow: &Flow| {
            let unused = now.duration_since(flow.used);
            if flow.asks() {
                unused > PATIENCE
            } else {
                unused > IDLE || (unused > AFTERLIFE && closed(flow.ends))
            }
        };
        let over = self.flows.extract_if(|_, flow| is_over(flow));
        for (_, flow) in over {
            self.by_ends.remove(&flow.ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::datagram::flow::State;

    fn flow(port: u16, used: Instant) -> Flow {
        let to = "127.0.0.1:9".parse().unwrap();
        let ends = Ends { from: ([127, 0, 0, 1], port).into(), to };
        // A thousand sockets more than a test may have: one file stands for all.
        let socket = std::fs::File::open("/dev/null").unwrap().into();
        Flow { ends, socket, state: State::Carried, used }
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_goes() {
        let (mut flows, start) = (Flows::new(), Instant::now());
        let ends: Vec<Ends> = (0..4).map(|n| flow(n, start).ends).collect();
        for n in 0..3 {
            flows.add(flow(n, start + Duration::from_secs(3 - u64::from(n))));
        }
        assert_eq!(
            ends.iter().map(|ends| flows.find(*ends)).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2), None]
        );
        flows.sweep(start + Duration::from_secs(4), |ends| ends.from.port() != 0);
        assert_eq!(flows.find(ends[0]), Some(0));
        assert_eq!(flows.find(ends[2]), None);
        assert_eq!(flows.find(ends[1]), Some(1), "it was used two seconds ago");
        flows.max = 2;
        flows.add(flow(3, start));
        assert_eq!(flows.find(ends[1]), None, "it was used before the other");
        assert_eq!((flows.find(ends[0]), flows.find(ends[3])), (Some(0), Some(3)), "no number is used again");
        flows.sweep(start + Duration::from_secs(400), |_| false);
        assert!(flows.is_empty());
    }
}
