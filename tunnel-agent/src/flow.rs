//! The relayed connections, for as long as they last: whose each is, where it goes, what has passed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use underpass_core::destination::Destination;

use crate::course::Course;
use crate::tally::chains::Tally;

/// A connection as people want to know it.
pub(crate) struct Trip {
    pub(crate) pid: i32,
    /// The program's file; known in advance only where it is to be logged.
    pub(crate) program: Option<Box<str>>,
    pub(crate) destination: Destination,
    /// `None` only where there are more than can be numbered.
    pub(crate) course: Option<Arc<Course>>,
    /// Where it is counted.
    pub(crate) tally: Arc<Tally>,
}

/// A relayed connection.
pub(crate) struct Flow {
    pub(crate) trip: Trip,
    pub(crate) start: Instant,
    up: AtomicU64,
    down: AtomicU64,
}

impl Flow {
    /// So many bytes have passed since the start.
    pub(crate) fn passed(&self, up: u64, down: u64) {
        let more = |now: u64, counter: &AtomicU64| now.saturating_sub(counter.swap(now, Ordering::Relaxed));
        self.trip.tally.passed(more(up, &self.up), more(down, &self.down));
    }

    /// Bytes from the program.
    pub(crate) fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// Bytes to the program.
    pub(crate) fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

/// How a relay has ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Both ends have sent all that they had.
    Regularly,
    /// The program has reset the connection, or has ended without reading all.
    ByProgram,
    /// The far end has.
    ByFar,
    /// Inside TLS, or here.
    Other(io::Error),
}

impl Ended {
    /// In words, if there is anything to say.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Regularly => None,
            Self::ByProgram => Some("reset by the program".to_owned()),
            Self::ByFar => Some("reset by the far end".to_owned()),
            Self::Other(error) => Some(error.to_string()),
        }
    }
}

/// A connection is listed as long as this lives.
pub(crate) struct Listed {
    table: Arc<Mutex<Table>>,
    number: u64,
    pub(crate) flow: Arc<Flow>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.table.lock().by_number.remove(&self.number);
        self.flow.trip.tally.closes();
    }
}

#[derive(Default)]
struct Table {
    by_number: BTreeMap<u64, Arc<Flow>>,
    last: u64,
}

/// The relayed connections of one agent, in the order of their beginnings.
#[derive(Default)]
pub(crate) struct Flows(Arc<Mutex<Table>>);

impl Flows {
    /// A relay begins.
    pub(crate) fn begin(&self, trip: Trip) -> Listed {
        let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
        trip.tally.opens();
        let flow = Arc::new(Flow { trip, start: Instant::now(), up, down });
        let mut table = self.0.lock();
        table.last += 1;
        let number = table.last;
        table.by_number.insert(number, Arc::clone(&flow));
        drop(table);
        Listed { table: Arc::clone(&self.0), number, flow }
    }

    /// At most `most` connections that began after number `last`, with their numbers.
    pub(crate) fn after(&self, last: u64, most: usize) -> Vec<(u64, Arc<Flow>)> {
        let table = self.0.lock();
        table
            .by_number
            .range(last + 1..)
            .take(most)
            .map(|(&number, flow)| (number, Arc::clone(flow)))
            .collect()
    }
}
