//! What the agent remembers of connections, for whoever asks, and counts.
//!
//! # Layout
//!
//! - [`failures`]: why connections have failed lately.
//! - [`numbers`]: what metrics tell of the agent; [`endpoints`]: where.

pub(crate) mod endpoints;
pub(crate) mod failures;
mod numbers;

use std::io;
use std::time::Instant;

use underpass_core::failure::{Failure, documented, errno};

use crate::agent::Agent;
use crate::flow::Trip;
use crate::log;

/// An attempt has failed, or was refused.
pub(crate) fn failed(agent: &Agent, trip: &Trip, failure: &Failure) {
    trip.tally.has_failed(failure.word());
    agent.failures.note(trip, failure);
    log::failed(trip, failure);
}

/// The program's socket could not be held, or not be completed.
pub(crate) fn not_carried(agent: &Agent, trip: &Trip, error: &io::Error) {
    let errno = documented(error.raw_os_error().unwrap_or(errno::ENETUNREACH));
    trip.tally.has_failed("socket");
    agent.failures.note_error(trip, error, errno);
    log::not_carried(trip, error);
}

/// A connection that was asked for then has come about, and is relayed.
pub(crate) fn relayed(trip: &Trip, since: Instant) {
    trip.tally.was_relayed(since.elapsed());
    log::relayed(trip);
}

/// A program that has asked then has its own socket connected, by the course of this number.
pub(crate) fn handed_off(agent: &Agent, course: u16, since: Instant) {
    agent.courses.tally(agent.courses.get(course).as_deref()).was_handed_off(since.elapsed());
}
