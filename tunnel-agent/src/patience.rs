//! Says on a terminal that something takes longer than a second, and takes it back when it is done.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Nobody needs to be told before.
const SOON: Duration = Duration::from_secs(1);

/// As long as this lives, what is waited for takes its time.
pub(crate) struct Waiting {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// `what` is said on standard error, if that is a terminal.
    pub(crate) fn new(what: &'static str) -> Self {
        let none = Self { done: None, thread: None };
        if !io::stderr().is_terminal() {
            return none;
        }
        let (done, ended) = channel();
        let told = move || {
            // Nothing is ever sent: either it is done, or the time is over.
            if ended.recv_timeout(SOON) == Err(RecvTimeoutError::Timeout) {
                let mut out = io::stderr();
                let _ = write!(out, "{what} …");
                let _ = ended.recv();
                // The line is erased (ECMA-48, EL).
                let _ = write!(out, "\r\x1b[K");
            }
        };
        let thread = thread::Builder::new().name("patience".to_owned()).spawn(told);
        thread.map_or(none, |thread| Self { done: Some(done), thread: Some(thread) })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
