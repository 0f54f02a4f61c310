//! What signals mean, but for SIGHUP, which each program reads its own configuration at.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM: nothing new; what is open may end by itself, as long as is configured.
    Drain,
    /// SIGINT: the end, now.
    End,
    /// SIGUSR2: another process takes our place.
    Upgrade,
}

/// The signals, from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Order {
        tokio::select! {
            Some(()) = self.terminate.recv() => Order::Drain,
            Some(()) = self.interrupt.recv() => Order::End,
            Some(()) = self.upgrade.recv() => Order::Upgrade,
            else => std::future::pending().await,
        }
    }
}
