//! How many descriptors there may be, and what for.

use std::io;

use crate::room::{MORE_FILES, raise_limit};

/// Descriptors for connections, whatever the limit is.
const MAX_CONNECTIONS: u64 = 300_000;
/// Descriptors for datagrams, whatever that limit is.
const MAX_DATAGRAMS: u64 = 65_536;
/// Descriptors for everything that is not a connection: listeners, files, frames that are being read.
const RESERVE: u64 = 36;

/// How the limit on descriptors is divided, so that what is open never waits for what comes new.
pub(super) struct Budget {
    /// See [`crate::room::Room`].
    pub(super) connections: usize,
    /// Each has two ends.
    pub(super) pipes: usize,
    /// Each remote address of a program's datagram socket is one, and each association has a few.
    pub(super) datagrams: usize,
}

/// Descriptors that there is room for from the start: 64 KiB.
const TABLE: u64 = 8192;

/// Raises the limit as far as it goes, and divides it.
pub(super) fn divide_descriptors() -> io::Result<Budget> {
    let limit = raise_limit();
    widen_descriptor_table(limit);
    let pipes = (limit / 32).clamp(2, 4096);
    let datagrams = (limit / 8).clamp(8, MAX_DATAGRAMS);
    // A session is one for a hundred streams.
    let sessions = limit / 64;
    let rest = limit.saturating_sub(RESERVE + 2 * pipes + datagrams + sessions);
    let connections = rest.min(MAX_CONNECTIONS) as usize;
    if connections == 0 {
        let why = format!("the limit on open files is {limit}, too low for a single connection");
        return Err(io::Error::other(format!("{why}\nhint: {MORE_FILES}")));
    }
    Ok(Budget { connections, pipes: pipes as usize, datagrams: datagrams as usize })
}

/// Makes room in the kernel's table of this process for [`TABLE`] descriptors while there is one thread: with
/// two, each time that the table grows costs a grace period of RCU (`expand_fdtable()` in the kernel's
/// fs/file.c), and a burst of connections to a new agent stands still for 30 ms in all.
fn widen_descriptor_table(limit: u64) {
    let last = limit.min(TABLE).saturating_sub(1).try_into().unwrap_or(0);
    // What is made is closed at once; the table stays as large as it was made.
    if let Err(error) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), last) {
        tracing::debug!(%error, "the descriptor table grows with its use");
    }
}
