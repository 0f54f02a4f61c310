//! What is shown: the agent's last answer and the rates since the one before, in the order and with the filter that are
//! wanted.

use std::collections::HashMap;
use std::time::Instant;

use underpass_core::control::{ConnectionStatus, Mechanism};

use super::keys::Action;
use crate::ask::{Snapshot, Unanswered};
use crate::table::name;

/// By what connections are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Rate,
    Bytes,
    Age,
    Program,
    Destination,
    Chain,
}

impl Order {
    const ALL: [Self; 6] =
        [Self::Rate, Self::Bytes, Self::Age, Self::Program, Self::Destination, Self::Chain];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Program => "program",
            Self::Destination => "destination",
            Self::Chain => "chain",
        }
    }

    fn next(self) -> Self {
        let at = Self::ALL.iter().position(|order| *order == self).map_or(0, |at| at + 1);
        Self::ALL.get(at).copied().unwrap_or(Self::Rate)
    }
}

/// Bytes in a second, up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) up: f64,
    pub(super) down: f64,
}

/// A connection with its rate.
pub(super) struct Shown {
    pub(super) status: ConnectionStatus,
    pub(super) rate: Rate,
}

/// What tells connections apart.
type Id = (bool, u64);

fn id(status: &ConnectionStatus) -> Id {
    (status.mechanism == Mechanism::Relayed, status.id)
}

/// Bytes up and down.
type Passed = HashMap<Id, (u64, u64)>;

/// What is looked at.
pub(super) struct View {
    /// In the order that is wanted.
    pub(super) connections: Vec<Shown>,
    /// All but the connections.
    pub(super) rest: Snapshot,
    /// Of the last answer: when it came, and what had passed.
    before: Option<(Instant, Passed)>,
    pub(super) order: Order,
    pub(super) is_reversed: bool,
    pub(super) is_paused: bool,
    pub(super) filter: String,
    is_writing: bool,
    /// Rows that are above the screen.
    pub(super) above: usize,
    /// Why the agent says nothing.
    pub(super) trouble: Option<String>,
}

impl View {
    pub(super) fn new(first: Snapshot, at: Instant) -> Self {
        let mut view = Self {
            connections: Vec::new(),
            rest: Snapshot::default(),
            before: None,
            order: Order::Rate,
            is_reversed: false,
            is_paused: false,
            filter: String::new(),
            is_writing: false,
            above: 0,
            trouble: None,
        };
        view.take(Ok(first), at);
        view
    }

    /// Whether a filter is being written.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// Takes an answer; while it is paused, nothing changes.
    pub(super) fn take(&mut self, answer: Result<Snapshot, Unanswered>, at: Instant) {
        if self.is_paused {
            return;
        }
        let mut snapshot = match answer {
            Ok(snapshot) => snapshot,
            Err(why) => {
                // What an agent that has gone had carried is not carried now.
                self.connections.clear();
                self.rest = Snapshot::default();
                self.before = None;
                self.trouble = Some(why.to_string());
                return;
            }
        };
        let before = self.before.take();
        let rate = |status: &ConnectionStatus| {
            // Of what has passed before the first answer, nobody knows when.
            let Some((then, known)) = &before else { return Rate::default() };
            let seconds = at.saturating_duration_since(*then).as_secs_f64();
            let per = |now: u64, before: u64| match seconds > 0.0 {
                true => now.saturating_sub(before) as f64 / seconds,
                false => 0.0,
            };
            // One that is new has passed all its bytes since.
            let (up, down) = known.get(&id(status)).copied().unwrap_or_default();
            Rate { up: per(status.bytes_up, up), down: per(status.bytes_down, down) }
        };
        let connections = std::mem::take(&mut snapshot.connections).into_iter();
        self.connections = connections.map(|status| Shown { rate: rate(&status), status }).collect();
        let passed = |it: &Shown| (id(&it.status), (it.status.bytes_up, it.status.bytes_down));
        self.before = Some((at, self.connections.iter().map(passed).collect()));
        self.rest = snapshot;
        self.trouble = None;
        self.sort();
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Sort => {
                self.order = self.order.next();
                self.above = 0;
            }
            Action::Reverse => self.is_reversed = !self.is_reversed,
            Action::Pause => self.is_paused = !self.is_paused,
            Action::Scroll(rows) => {
                let rows = isize::try_from(rows).unwrap_or(0);
                let most = self.matching().count().saturating_sub(1);
                self.above = self.above.saturating_add_signed(rows).min(most);
            }
            Action::Filter => self.is_writing = true,
            Action::Letter(letter) => {
                self.filter.push(letter);
                self.above = 0;
            }
            Action::Erase => {
                self.filter.pop();
            }
            Action::Done => self.is_writing = false,
            Action::Clear => {
                self.filter.clear();
                self.is_writing = false;
            }
            Action::Nothing | Action::Quit | Action::Stop => {}
        }
        self.sort();
    }

    /// The connections that the filter lets through.
    pub(super) fn matching(&self) -> impl Iterator<Item = &Shown> {
        let wanted = self.filter.to_lowercase();
        self.connections.iter().filter(move |shown| {
            let it = &shown.status;
            let texts = [&name(it.program.as_deref()), &it.destination, chain(it)];
            texts.iter().any(|text| text.to_lowercase().contains(&wanted)) || it.pid.to_string() == wanted
        })
    }

    /// All of them together.
    pub(super) fn rate(&self) -> Rate {
        let sum = |sum: Rate, it: &Shown| Rate { up: sum.up + it.rate.up, down: sum.down + it.rate.down };
        self.connections.iter().fold(Rate::default(), sum)
    }

    /// Numbers begin with the largest, words with the first; what is equal keeps one place.
    fn sort(&mut self) {
        let (order, is_reversed) = (self.order, self.is_reversed);
        let compared = |a: &Shown, b: &Shown| {
            let (one, two) = (&a.status, &b.status);
            let total = |rate: &Rate| rate.up + rate.down;
            let ordered = match order {
                Order::Rate => total(&b.rate).total_cmp(&total(&a.rate)),
                Order::Bytes => (two.bytes_up + two.bytes_down).cmp(&(one.bytes_up + one.bytes_down)),
                Order::Age => two.age_seconds.cmp(&one.age_seconds),
                Order::Program => name(one.program.as_deref()).cmp(&name(two.program.as_deref())),
                Order::Destination => one.destination.cmp(&two.destination),
                Order::Chain => chain(one).cmp(chain(two)),
            };
            let ordered = if is_reversed { ordered.reverse() } else { ordered };
            ordered.then_with(|| id(one).cmp(&id(two)))
        };
        self.connections.sort_by(compared);
    }
}

/// A chain's name, or that there is none.
pub(super) fn chain(status: &ConnectionStatus) -> &str {
    status.chain.as_deref().unwrap_or("direct")
}
