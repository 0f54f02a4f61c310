//! Life as a service: what a service manager is told, how it says what to do, and how a process ends without harm to
//! what is open. docs/service.md describes it for people.
//!
//! # Layout
//!
//! - [`notify`]: what the service manager is told, and the watchdog.
//! - [`passed`]: sockets that others have opened for us.
//! - [`signals`]: what signals mean. [`drain`]: what is open may end by itself.

pub(crate) mod drain;
pub(crate) mod notify;
pub(crate) mod passed;
pub(crate) mod signals;

use std::time::Duration;

use notify::Manager;

/// How a process serves.
#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) manager: Manager,
    /// How long what is open may take to end after SIGTERM; nothing said is no time at all.
    pub(crate) drain: Option<Duration>,
    /// It stays, though nobody uses it.
    pub(crate) stays: bool,
}

impl Service {
    /// In the foreground, for somebody who has started it for good.
    pub(crate) fn from_env(drain: Option<u32>) -> Self {
        let drain = drain.map(|seconds| Duration::from_secs(seconds.into()));
        Self { manager: Manager::from_env(), drain, stays: true }
    }
}
