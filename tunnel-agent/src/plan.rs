//! What a session may do: its configuration, with the chains made ready.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::Semaphore;
use underpass_core::config::route::{Asked, To};
use underpass_core::config::{Config, Handoff, Udp};
use underpass_core::upstream::Isolation;

use crate::upstream::chain::Chain;

/// Names of one plan that wait for an answer from elsewhere at once.
const MAX_QUESTIONS: usize = 64;

/// A configuration at work. Sessions with the same configuration share one.
pub(crate) struct Plan {
    /// From 1: tells it apart from the others of this agent.
    pub(crate) number: u32,
    pub(crate) config: Config,
    chains: BTreeMap<String, Chain>,
    /// Whether the log says already that a program connects to the first hop.
    has_told: AtomicBool,
    /// Room for names that are asked elsewhere: each plan's own, so that chains that do not answer keep nobody else's waiting.
    pub(crate) questions: Semaphore,
}

/// Where a connection goes.
pub(crate) enum Way<'a> {
    Chain(&'a Chain),
    Direct,
    Refuse(i32),
}

impl Plan {
    /// Checks the configuration, and reads what it names.
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let mut chains = BTreeMap::new();
        for (name, chain) in &config.chains {
            let chain = Chain::new(chain, config.warm).map_err(|why| format!("chain {name}: {why}"))?;
            chains.insert(name.clone(), chain);
        }
        let ways = config.routes.iter().map(|route| &route.to).chain([&config.otherwise]);
        for way in ways {
            if let To::Chain(name) = way
                && !chains.contains_key(name)
            {
                return Err(format!("there is no chain {name:?}"));
            }
        }
        if let Some(expose) = config.exposes.iter().find(|expose| !chains.contains_key(&expose.at)) {
            return Err(format!("there is no chain {:?} to listen at", expose.at));
        }
        static PLANS: AtomicU32 = AtomicU32::new(0);
        let number = PLANS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let questions = Semaphore::new(MAX_QUESTIONS);
        Ok(Self { number, config, chains, has_told: AtomicBool::new(false), questions })
    }

    /// The way of a connection, and the number of the route that says so, from 1.
    pub(crate) fn way(&self, asked: &Asked<'_>) -> (Option<usize>, Way<'_>) {
        let (route, to) = self.config.decide(asked);
        let way = match to {
            To::Direct => Way::Direct,
            To::Refuse(errno) => Way::Refuse(*errno),
            To::Chain(name) => self.chains.get(name).map_or(Way::Refuse(libc::ENETUNREACH), Way::Chain),
        };
        (route.map(|number| number + 1), way)
    }

    /// Notices a program that connects to the first hop of its own chain, and says so, once.
    pub(crate) fn notice(&self, chain: &Chain, asked: &Asked<'_>, pid: i32) {
        if !chain.begins_at(asked) {
            return;
        }
        chain.is_dialled_by(pid);
        if !self.has_told.swap(true, Ordering::Relaxed) {
            let name = self.chains().find(|(_, other)| std::ptr::eq(*other, chain)).map(|(name, _)| name);
            tracing::warn!(
                pid,
                chain = name,
                hint = "it is configured for the proxy, too: take that away, or send the proxy direct by a route",
                "a program connects to the first hop itself, and goes through it twice"
            );
        }
    }

    /// Whether routes or hops ask which program it is.
    pub(crate) fn asks_for_program(&self) -> bool {
        let isolates = || self.chains.values().any(|chain| chain.isolates(Isolation::Program));
        self.routes_ask_for_program()
            || self.config.exposes.iter().any(|expose| !expose.programs.is_empty())
            || isolates()
    }

    /// Whether routes do.
    pub(crate) fn routes_ask_for_program(&self) -> bool {
        self.config.routes.iter().any(|route| !route.programs.is_empty())
    }

    /// Whether there is a way by which datagrams can go.
    pub(crate) fn carries_datagrams(&self) -> bool {
        let mut ways = self.config.routes.iter().map(|route| &route.to).chain([&self.config.otherwise]);
        self.config.udp == Udp::Carry
            && ways.any(|to| match to {
                To::Direct => true,
                To::Refuse(_) => false,
                To::Chain(name) => {
                    self.chain(name).is_some_and(|chain| chain.is_local() || chain.carriage().is_ok())
                }
            })
    }

    /// Whether sockets are handed off: never, wherever it can be, or (`None`) where it is faster.
    pub(crate) fn hands_off(&self) -> Option<bool> {
        match self.config.handoff {
            // The program is shown the exit's address, as its own would be.
            _ if !self.config.exposes.is_empty() => Some(false),
            Handoff::Auto => None,
            Handoff::Always => Some(true),
            Handoff::Never => Some(false),
        }
    }

    pub(crate) fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.get(name)
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = (&str, &Chain)> {
        self.chains.iter().map(|(name, chain)| (name.as_str(), chain))
    }
}
