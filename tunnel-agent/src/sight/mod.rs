//! What the agent remembers of connections, for whoever asks.
//!
//! # Layout
//!
//! - [`failures`]: why connections have failed lately.

pub(crate) mod failures;

use std::io;

use underpass_core::failure::{Failure, documented, errno};

use crate::agent::Agent;
use crate::flow::Trip;
use crate::log;

/// An attempt has failed, or was refused.
pub(crate) fn failed(agent: &Agent, trip: &Trip, failure: &Failure) {
    agent.failures.note(trip, failure);
    log::failed(trip, failure);
}

/// The program's socket could not be held, or not be completed.
pub(crate) fn not_carried(agent: &Agent, trip: &Trip, error: &io::Error) {
    let errno = documented(error.raw_os_error().unwrap_or(errno::ENETUNREACH));
    agent.failures.note_error(trip, error, errno);
    log::not_carried(trip, error);
}
