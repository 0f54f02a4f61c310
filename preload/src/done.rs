//! How many look-ups of `getaddrinfo_a` have ended in threads, for those who wait for one.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// One may have ended.
    Perhaps,
    TooLong,
    Interrupted,
}

/// A look-up has ended.
pub(crate) fn one_more() {
    COUNT.fetch_add(1, Ordering::Release);
    let _ = futex::wake(&COUNT, futex::Flags::PRIVATE, i32::MAX as u32);
}

/// The count at this moment.
pub(crate) fn count() -> u32 {
    COUNT.load(Ordering::Acquire)
}

/// Waits until the count is another than `seen`, or this long.
pub(crate) fn wait(seen: u32, limit: Option<Duration>) -> Waited {
    let limit = limit.map(|limit| futex::Timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    match futex::wait(&COUNT, futex::Flags::PRIVATE, seen, limit.as_ref()) {
        Ok(()) => Waited::Perhaps,
        Err(Errno::TIMEDOUT) => Waited::TooLong,
        Err(Errno::INTR) => Waited::Interrupted,
        Err(_) => Waited::Perhaps,
    }
}
