//! The queue of the audit, and the thread that empties it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use super::line;

/// Lines that wait. One has a few hundred bytes.
const QUEUE: usize = 1024;

/// Lines that were lost.
#[derive(Debug, Default)]
struct Lost {
    /// Those of which nothing is written down yet.
    untold: AtomicU64,
    all: AtomicU64,
}

impl Lost {
    fn one(&self) {
        self.untold.fetch_add(1, Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes lines, and loses them rather than wait.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<String>,
    lost: Arc<Lost>,
    ended: Receiver<()>,
}

impl Writer {
    /// `sink` writes all of a line or fails.
    pub(super) fn start(sink: Box<dyn Write + Send>) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let (end, ended) = channel();
        let lost = Arc::new(Lost::default());
        let counter = Arc::clone(&lost);
        thread::Builder::new().name("audit".to_owned()).spawn(move || {
            run(&lines, sink, &counter);
            drop(end);
        })?;
        Ok(Self { queue, lost, ended })
    }

    pub(super) fn take(&self, line: String) {
        if self.queue.try_send(line).is_err() {
            self.lost.one();
        }
    }

    /// How many lines were lost, from the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.all.load(Ordering::Relaxed)
    }

    /// Waits at most so long for the lines that were taken.
    pub(super) fn close(self, most: Duration) {
        let Self { queue, ended, .. } = self;
        drop(queue);
        // Nothing is ever sent: either the thread has ended, or the time is over.
        let _ = ended.recv_timeout(most);
    }
}

fn run(lines: &Receiver<String>, mut sink: Box<dyn Write + Send>, lost: &Lost) {
    for line in lines {
        tell(&mut *sink, lost);
        if sink.write_all(line.as_bytes()).is_err() {
            lost.one();
        }
    }
    tell(&mut *sink, lost);
}

/// Writes down how many lines were lost, if any were; what cannot be told now is told later.
fn tell(sink: &mut dyn Write, lost: &Lost) {
    let count = lost.untold.swap(0, Ordering::Relaxed);
    if count > 0 && sink.write_all(line::lost(count, SystemTime::now()).as_bytes()).is_err() {
        lost.untold.fetch_add(count, Ordering::Relaxed);
    }
}
