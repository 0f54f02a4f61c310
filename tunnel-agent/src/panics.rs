//! A panic is a fault of ours, and whoever waits for what has panicked is told so: a held socket would wait for ever.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use underpass_core::failure::Failure;

/// What is told in the place of an outcome.
pub(crate) const FAULT: Failure =
    Failure::Socket("the agent has met a fault of its own; its log says where, and should be reported");

/// It has panicked; the log says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs `work` to its end, whatever that is.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // What has panicked is not polled again, and all that it has changed elsewhere is behind locks.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_outcome_also_after_a_wait() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        let late = async {
            tokio::task::yield_now().await;
            panic!("of the test");
        };
        assert_eq!(caught::<()>(late).await, Err(Panicked));
    }
}
