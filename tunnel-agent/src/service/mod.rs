//! Life as a service: what a service manager is told, how it says what to do, and how a process ends without harm to
//! what is open. docs/service.md describes it for people.
//!
//! # Layout
//!
//! - [`notify`]: what the service manager is told, and the watchdog.
//! - [`passed`]: sockets that others have opened for us.
//! - [`signals`]: what signals mean. [`drain`]: what is open may end by itself.
//! - [`successor`]: the process that takes our place; [`inherited`]: what we have got from the one whose place we take, and
//!   [`elder`], what we ask it. [`link`]: how both speak.

pub(crate) mod drain;
pub(crate) mod elder;
pub(crate) mod inherited;
pub(crate) mod link;
pub(crate) mod notify;
pub(crate) mod passed;
pub(crate) mod signals;
pub(crate) mod successor;

use std::io;
use std::time::Duration;

use inherited::Inherited;
use notify::Manager;
use passed::Passed;

/// How a process serves.
#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) manager: Manager,
    /// How long what is open may take to end after SIGTERM; nothing said is no time at all.
    pub(crate) drain: Option<Duration>,
    /// It stays, though nobody uses it.
    pub(crate) stays: bool,
    /// From the process whose place we take.
    pub(crate) inherited: Option<Inherited>,
}

impl Service {
    /// In the foreground, for somebody who has started it for good.
    pub(crate) fn from_env(drain: Option<u32>, inherited: Option<Inherited>) -> Self {
        let drain = drain.map(|seconds| Duration::from_secs(seconds.into()));
        Self { manager: Manager::from_env(), drain, stays: true, inherited }
    }

    /// What listens already: at a predecessor's, or at a service manager's.
    pub(crate) fn passed(&mut self) -> io::Result<Passed> {
        match &mut self.inherited {
            Some(inherited) => Ok(std::mem::take(&mut inherited.passed)),
            None => Passed::from_env(),
        }
    }
}
