//! Buffers of one size, which go from one connection of a thread to the next: memory that is given back to the kernel
//! and taken again costs more than what is done in it (measured: half of a relay's time).

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// How much is read at once.
pub(crate) const LENGTH: usize = 256 * 1024;
/// A direction lets others run after this many bytes in one go: with eight times as many, an echo beside a client that
/// reads 30 MB/s took 1.7 times as long as alone (p99), and takes 1.3 times; the throughput is the same.
pub(crate) const TURN: usize = 64 << 10;
/// Buffers that wait for the next connection.
const SPARE: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// One that is in use. What is in it is of somebody before, or zero.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    pub(crate) fn take() -> Self {
        let spare = POOL.with_borrow_mut(Vec::pop);
        Self(spare.unwrap_or_else(|| vec![0; LENGTH].into_boxed_slice()))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // At the end of a thread there is no pool any more.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < SPARE {
                pool.push(bytes);
            }
        });
    }
}

/// The first bytes of one, as what is sent.
pub(crate) struct Filled(pub(crate) Buffer, pub(crate) usize);

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
