//! What is carried through what: chains of upstreams, and the routes that choose among them.
//!
//! A [`Config`] is plain data. It is read from a file of ours or of a peer's, or made from `-x`; it
//! travels to the agent as JSON over the control socket.
//!
//! # Layout
//!
//! - [`route`]: which route a connection takes; the same code answers `--why` and the agent.
//! - [`pattern`]: what a route's lists are made of.
//! - [`mod@file`]: our own format; [`legacy`]: those of proxychains, torsocks and tsocks; [`mod@format`]: which
//!   of them a file has.
//! - [`environment`]: `ALL_PROXY` and its kin; `no_proxy`: the list of what goes direct.
//! - [`dns`]: how names are answered; [`pool`]: the addresses that stand for them.
//! - [`expose`]: which listening programs are reached elsewhere.
//! - [`inherited`]: what becomes of sockets that others have made. [`tier`]: how a program is held.
//! - [`listen`]: doors of the agent, for those that do not load the library. [`metrics`]: where it tells them.
//! - [`logins`]: what is elsewhere: credentials in files and variables, users by name.
//! - [`reader`]: TOML with the place of each value; [`problem`]: mistakes, and the words that were probably
//!   meant.

pub mod dns;
pub mod environment;
pub mod expose;
pub mod file;
pub mod format;
pub mod inherited;
pub mod legacy;
pub mod listen;
pub mod logins;
pub mod metrics;
mod no_proxy;
pub mod pattern;
pub mod places;
pub mod pool;
pub mod problem;
pub mod reader;
pub mod route;
pub mod tier;

pub use problem::{ConfigError, Warning};

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::upstream::Upstream;
use route::{Route, To};

/// The chain that `-x` makes, and that a configuration with one chain has.
pub const MAIN_CHAIN: &str = "main";

/// A configuration as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub config: Config,
    /// What in it has no effect, or another one than its writer may think.
    pub warnings: Vec<Warning>,
}

/// Chains, routes, and how connections are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By name.
    pub chains: BTreeMap<String, Chain>,
    /// The first that matches decides.
    pub routes: Vec<Route>,
    /// What no route matches.
    pub otherwise: To,
    /// When a program's socket is handed off.
    pub handoff: Handoff,
    /// How long a connection attempt may take, in seconds.
    pub deadline: u32,
    /// Whether connections are kept warm for the next attempt.
    pub warm: bool,
    /// What becomes of datagrams.
    #[serde(default)]
    pub udp: Udp,
    /// How names are answered.
    #[serde(default)]
    pub dns: dns::Dns,
    /// The addresses that stand for names.
    #[serde(default)]
    pub pool: pool::Pool,
    /// Which listening programs are reached at the exits of chains; the first that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposes: Vec<expose::Expose>,
    /// Listeners at exits of an agent that is started with them: nothing to a session.
    #[serde(skip)]
    pub reverses: Vec<expose::Reverse>,
    /// What becomes of sockets that other processes pass to the program.
    #[serde(default, skip_serializing_if = "inherited::ForeignSockets::is_keep")]
    pub foreign_sockets: inherited::ForeignSockets,
    /// What becomes of sockets that the program is started with: the launcher's alone.
    #[serde(skip)]
    pub inherited: inherited::Inherited,
    /// How a program is held: the launcher's alone.
    #[serde(skip)]
    pub tier: tier::Tier,
    /// Doors of an agent that is started to listen: nothing to a session.
    #[serde(skip)]
    pub listen: Vec<listen::Door>,
    /// Where the agent serves metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<metrics::Metrics>,
    /// What a sealed program may reach besides: the launcher's alone.
    #[serde(skip)]
    pub let_in: Vec<PathBuf>,
}

/// Several upstreams and how one path is made of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// How a path is made of the hops.
    pub kind: Kind,
    /// At least one.
    pub hops: Vec<Upstream>,
    /// How many of them make a path; for [`Kind::Random`] and [`Kind::RoundRobin`].
    pub length: Option<NonZeroUsize>,
}

/// How a path is made of the hops of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All hops, in order.
    #[default]
    Strict,
    /// All hops that are alive, in order.
    Dynamic,
    /// `length` hops, drawn anew for each connection.
    Random,
    /// `length` hops, going on where the last connection has stopped.
    RoundRobin,
    /// The one hop with the shortest measured round trip.
    Nearest,
    /// The first hop that is alive, alone.
    Failover,
}

impl Kind {
    /// The words of configurations.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("strict", Self::Strict),
        ("dynamic", Self::Dynamic),
        ("random", Self::Random),
        ("round-robin", Self::RoundRobin),
        ("nearest", Self::Nearest),
        ("failover", Self::Failover),
    ];

    /// As configurations have it.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("strict", |(word, _)| word)
    }
}

/// When a program's own socket is handed off instead of held and relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handoff {
    /// Where it is faster: a near first hop.
    #[default]
    Auto,
    /// Wherever it can be done.
    Always,
    /// Never.
    Never,
}

/// What becomes of datagrams that a chain would have to carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Udp {
    /// They are carried, as far as the chain can.
    #[default]
    Carry,
    /// They are refused.
    Refuse,
}

impl Udp {
    /// The words of configurations and of the command line.
    pub const WORDS: [(&'static str, Self); 2] = [("carry", Self::Carry), ("refuse", Self::Refuse)];
}

impl std::str::FromStr for Udp {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        one_of(&Self::WORDS, word).ok_or("neither carry nor refuse")
    }
}

/// What a word of a list means.
fn one_of<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
    words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

/// How long a connection attempt may take if nothing else is said, in seconds.
pub const DEADLINE: u32 = 10;

/// As [`Chain::begins_at`], for a chain that is made of something else.
pub fn begins_at<'a>(
    kind: Kind,
    mut hops: impl ExactSizeIterator<Item = &'a Upstream>,
    asked: &route::Asked<'_>,
) -> bool {
    let firsts = match kind {
        Kind::Strict | Kind::Dynamic => 1,
        _ => hops.len(),
    };
    let Some(port) = asked.port else { return false };
    hops.by_ref().take(firsts).any(|hop| hop.is_at(asked.name, asked.ip, port))
}

impl Chain {
    /// Whether somebody wants to connect to a hop at which a path begins: a program that does is configured
    /// for the proxy itself, and asks it through the chain for itself.
    pub fn begins_at(&self, asked: &route::Asked<'_>) -> bool {
        begins_at(self.kind, self.hops.iter(), asked)
    }
}

impl Config {
    /// One chain for everything, in the order of the hops.
    pub fn strict(hops: Vec<Upstream>) -> Self {
        let chain = Chain { kind: Kind::Strict, hops, length: None };
        Self {
            chains: BTreeMap::from([(MAIN_CHAIN.to_owned(), chain)]),
            routes: Vec::new(),
            otherwise: To::Chain(MAIN_CHAIN.to_owned()),
            handoff: Handoff::default(),
            deadline: DEADLINE,
            warm: true,
            udp: Udp::default(),
            dns: dns::Dns::default(),
            pool: pool::Pool::default(),
            exposes: Vec::new(),
            reverses: Vec::new(),
            foreign_sockets: inherited::ForeignSockets::default(),
            inherited: inherited::Inherited::default(),
            tier: tier::Tier::default(),
            listen: Vec::new(),
            metrics: None,
            let_in: Vec::new(),
        }
    }
}
