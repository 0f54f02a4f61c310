//! The thread that relays, by which what has to be there with the connections outlives the dial that made it.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

static THREAD: OnceLock<tokio::runtime::Handle> = OnceLock::new();

/// Runs `task` on the thread that relays.
pub(crate) fn on_thread<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    match THREAD.get() {
        Some(thread) => thread.spawn(task),
        None => tokio::spawn(task),
    }
}

/// `runtime` is that thread's from now on, if there was none.
pub(crate) fn is(runtime: &tokio::runtime::Handle) {
    let _ = THREAD.set(runtime.clone());
}
