//! What an agent tells of itself: its connections, the hops that they go through, and what has failed lately. The
//! fields are those of `underpass-agent status --json`; `docs/status.md` describes them for people.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::Kind;

/// By what mechanism a connection is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// The program's own socket is connected to the proxy.
    #[serde(rename = "handed off")]
    HandedOff,
    /// The agent moves the bytes.
    #[serde(rename = "relayed")]
    Relayed,
}

impl Mechanism {
    /// As people and JSON have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HandedOff => "handed off",
            Self::Relayed => "relayed",
        }
    }
}

/// A connection that is carried now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionStatus {
    /// Tells it apart from all others of its mechanism, for as long as the agent lives.
    pub id: u64,
    /// The file of the program that asked for it; `None` if that process has ended.
    pub program: Option<String>,
    /// The process that asked for it.
    pub pid: i32,
    /// `NAME:PORT` or `ADDRESS:PORT`, as the program asked.
    pub destination: String,
    /// The route that decided, from 1; `None` where none matched.
    pub route: Option<u16>,
    /// The chain; `None` for a direct one.
    pub chain: Option<String>,
    /// Tells chains of the same name in different configurations apart.
    pub configuration: u32,
    /// By what mechanism.
    pub mechanism: Mechanism,
    /// Since the program has its connection, in seconds.
    pub age_seconds: u64,
    /// From the program; of a handed-off one, what the proxy has acknowledged.
    pub bytes_up: u64,
    /// To the program.
    pub bytes_down: u64,
}

/// A hop of a chain in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopStatus {
    /// The chain's name.
    pub chain: String,
    /// How a path is made of the chain's hops.
    pub kind: Kind,
    /// As in [`ConnectionStatus::configuration`].
    pub configuration: u32,
    /// From 1.
    pub hop: usize,
    /// How many hops the chain has.
    pub of: usize,
    /// Its URL, without credentials.
    pub url: String,
    /// How much longer it is passed over, in seconds; `None` if it is not, as no hop of a strict chain is.
    pub passed_over_seconds: Option<u64>,
    /// Since it has served or failed last, in seconds; `None` if it has done neither.
    pub tried_seconds_ago: Option<u64>,
    /// From the first packet to the connection, in microseconds; only a first hop is measured.
    pub round_trip_microseconds: Option<u64>,
    /// In a row, since it has served last.
    pub failures: u32,
    /// Why it has failed last, in words; `None` if it has served since.
    pub last_failure: Option<String>,
    /// Of the first hop: the last process that connected to it by way of the chain itself; configured for the
    /// proxy by itself, it goes through it twice.
    pub dialled_by: Option<i32>,
}

/// Connections that have not come about, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureStatus {
    /// The chain; `None` where there is none.
    pub chain: Option<String>,
    /// As in [`ConnectionStatus::configuration`].
    pub configuration: u32,
    /// The hop at fault, from 1; `None` where it is none.
    pub hop: Option<usize>,
    /// How many hops the path had, where one of them is at fault.
    pub of: Option<usize>,
    /// The hop's URL, without credentials.
    pub url: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What the program gets.
    pub errno: i32,
    /// How often.
    pub count: u64,
    /// Since the last time, in seconds.
    pub seconds_ago: u64,
    /// Of the last time: `NAME:PORT` or `ADDRESS:PORT`.
    pub destination: String,
    /// Of the last time: the program's file, if it was still there.
    pub program: Option<String>,
    /// Of the last time: the process; 0 if it is not known.
    pub pid: i32,
}

/// A listener at the exit of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerStatus {
    /// Where others connect, or could last; `None` where it has never listened yet.
    pub at: Option<SocketAddr>,
    /// Where that leads: `HOST:PORT` or a path; of a program, where its socket listens on loopback; of a client of the front
    /// door, from where it has come.
    pub to: String,
    /// The file of the program that listens; `None` where there is none, or it is not known.
    pub program: Option<String>,
    /// The process that listens; `None` for a forward and a client of the front door.
    pub pid: Option<i32>,
    /// The chain's name.
    pub chain: String,
    /// As in [`ConnectionStatus::configuration`].
    pub configuration: u32,
    /// Whether it listens now. If not, it is being asked for.
    pub listens: bool,
    /// Since it was asked for first, in seconds.
    pub age_seconds: u64,
    /// How many have been connected by it.
    pub connections: u64,
}

/// A program of a session that has not loaded the library, and that no launcher supervises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnhookedStatus {
    /// Its file; `None` if it has ended.
    pub program: Option<String>,
    /// Its process.
    pub pid: i32,
}
