//! Pipes for splice(2), held by a connection only while its bytes are in flight.
//!
//! An ordinary user may have 64 pipes of 1 MiB (pipe(7), pipe-user-pages-soft); beyond that every
//! new pipe of that user, also a program's, shrinks to 8 KiB. So there are few large ones, and
//! pipes of the default size for whoever comes when those are in use.

use std::io;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;
use rustix::pipe::PipeFlags;

/// Pipes of [`LARGE_SIZE`], at most.
const LARGE: usize = 16;
const LARGE_SIZE: usize = 1 << 20;
/// Idle pipes of the default size that are kept for the next.
const SPARE: usize = 16;

/// An empty pipe, or one with bytes in flight.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) read: OwnedFd,
    pub(crate) write: OwnedFd,
    pub(crate) capacity: usize,
}

#[derive(Debug, Default)]
struct Idle {
    large: Vec<Pipe>,
    small: Vec<Pipe>,
    /// Large ones that exist, in use or idle.
    large_made: usize,
    /// Pipes that exist, and that may.
    made: usize,
    most: usize,
}

/// The pipes of one agent.
#[derive(Debug, Default)]
pub(crate) struct Pipes(Mutex<Idle>);

impl Pipes {
    /// No more than `most` at once.
    pub(crate) fn new(most: usize) -> Self {
        Self(Mutex::new(Idle { most, ..Idle::default() }))
    }

    /// An empty pipe.
    pub(crate) fn take(&self) -> io::Result<Pipe> {
        let mut idle = self.0.lock();
        if let Some(pipe) = idle.large.pop() {
            return Ok(pipe);
        }
        let grow = idle.large_made < LARGE;
        if !grow && let Some(pipe) = idle.small.pop() {
            return Ok(pipe);
        }
        if idle.made >= idle.most {
            return idle.small.pop().ok_or_else(|| io::ErrorKind::WouldBlock.into());
        }
        let (read, write) = match rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) {
            Ok(ends) => ends,
            // Out of descriptors: one of the default size will do.
            Err(error) => return idle.small.pop().ok_or_else(|| error.into()),
        };
        let capacity = if grow && rustix::pipe::fcntl_setpipe_size(&write, LARGE_SIZE).is_ok() {
            idle.large_made += 1;
            LARGE_SIZE
        } else {
            if grow {
                // This user has no more; the ones in use are all there will be.
                idle.large_made = LARGE;
            }
            rustix::pipe::fcntl_getpipe_size(&write)?
        };
        idle.made += 1;
        Ok(Pipe { read, write, capacity })
    }

    /// Takes back a pipe that is empty.
    pub(crate) fn give_back(&self, pipe: Pipe) {
        let mut idle = self.0.lock();
        if pipe.capacity == LARGE_SIZE {
            idle.large.push(pipe);
        } else if idle.small.len() < SPARE {
            idle.small.push(pipe);
        } else {
            idle.made -= 1;
        }
    }

    /// A pipe with bytes in it is closed, with its bytes.
    pub(crate) fn discard(&self, pipe: Pipe) {
        let mut idle = self.0.lock();
        idle.made -= 1;
        if pipe.capacity == LARGE_SIZE {
            idle.large_made = idle.large_made.saturating_sub(1);
        }
    }
}
