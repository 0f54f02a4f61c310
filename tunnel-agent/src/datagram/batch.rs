//! The buffers of all datagrams: one set for the agent, since nothing waits while they are in use.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::ops::Range;

use crate::sys::{self, Ends, MANY};

/// Room before each datagram for the headers of a chain.
pub(super) const HEADROOM: usize = 1536;
/// No datagram is longer, in bytes.
const LONGEST: usize = 65_536;
const SLOT: usize = HEADROOM + LONGEST;

/// Room for [`MANY`] datagrams. The pages that were never needed take no memory.
pub(crate) struct Batch {
    bytes: Box<[u8]>,
    lengths: [usize; MANY],
    ends: [Ends; MANY],
    count: usize,
}

/// What became of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All that can be sent; what cannot is dropped, as on a network.
    Done,
    /// Nobody is there (ICMP).
    Refused,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; MANY * SLOT].into(),
            lengths: [0; MANY],
            ends: [Ends::default(); MANY],
            count: 0,
        }
    }

    /// Takes the datagrams that are there. Fewer than [`MANY`]: nothing more was there.
    pub(super) fn receive(&mut self, socket: &impl std::os::fd::AsFd) -> io::Result<usize> {
        self.count = 0;
        self.count = sys::receive_many(socket, &mut buffers(&mut self.bytes), &mut self.lengths)?;
        Ok(self.count)
    }

    /// The same from a socket that is not connected, for [`Batch::pass_on`] and [`Batch::with_ends`].
    pub(crate) fn receive_from(&mut self, socket: &impl std::os::fd::AsFd) -> io::Result<usize> {
        self.count = 0;
        let mut buffers = buffers(&mut self.bytes);
        self.count = sys::receive_many_from(socket, &mut buffers, &mut self.lengths, &mut self.ends)?;
        Ok(self.count)
    }

    /// What was received, with its ends.
    pub(crate) fn with_ends(&self) -> impl Iterator<Item = (Ends, &[u8])> {
        self.ends.into_iter().zip(self.datagrams())
    }

    /// Sends what was received on by an unconnected socket. `onward` says for each datagram to whom, and how many
    /// bytes of its beginning are left out, and writes the header that takes their place; at most [`HEADROOM`] bytes.
    pub(crate) fn pass_on(
        &mut self,
        socket: &impl std::os::fd::AsFd,
        mut onward: impl FnMut(SocketAddr, &[u8], &mut Vec<u8>) -> Option<(SocketAddr, usize)>,
    ) {
        let mut header = Vec::new();
        let mut places: [Option<(SocketAddr, Range<usize>)>; MANY] = [const { None }; MANY];
        let slots =
            self.bytes.chunks_exact_mut(SLOT).zip(self.lengths.iter().zip(&self.ends)).take(self.count);
        for (place, (slot, (length, ends))) in places.iter_mut().zip(slots) {
            header.clear();
            let end = HEADROOM + length;
            let Some(from) = ends.from else { continue };
            let Some((to, skip)) = onward(from, &slot[HEADROOM..end], &mut header) else { continue };
            let payload = (HEADROOM + skip).min(end);
            let Some(begin) = payload.checked_sub(header.len()) else { continue };
            slot[begin..payload].copy_from_slice(&header);
            *place = Some((to, begin..end));
        }
        let mut list = [(IoSlice::new(&[]), SocketAddr::from(([0; 4], 0))); MANY];
        let mut count = 0;
        let found = self.bytes.chunks_exact(SLOT).zip(places);
        for (slot, (to, range)) in found.filter_map(|(slot, place)| Some((slot, place?))) {
            list[count] = (IoSlice::new(&slot[range]), to);
            count += 1;
        }
        send_to(socket, &list[..count]);
    }

    /// The datagrams that were received.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let slots = self.bytes.chunks_exact(SLOT).zip(self.lengths).take(self.count);
        slots.map(|(slot, length)| slot.get(HEADROOM..HEADROOM + length).unwrap_or_default())
    }

    /// Sends what was received with headers before each, which have at most [`HEADROOM`] bytes together.
    pub(super) fn send_behind(&mut self, headers: [&[u8]; 2], socket: &impl std::os::fd::AsFd) -> Sent {
        let size = headers[0].len() + headers[1].len();
        let begin = HEADROOM.saturating_sub(size);
        let mut list = [IoSlice::new(&[]); MANY];
        let slots = self.bytes.chunks_exact_mut(SLOT).zip(self.lengths).take(self.count);
        for (place, (slot, length)) in list.iter_mut().zip(slots) {
            let (first, second) = slot[begin..HEADROOM].split_at_mut(headers[0].len());
            first.copy_from_slice(headers[0]);
            second.copy_from_slice(headers[1]);
            *place = IoSlice::new(&slot[begin..HEADROOM + length]);
        }
        send(socket, &list[..self.count])
    }
}

/// The places of datagrams in the buffer.
fn buffers(bytes: &mut [u8]) -> [IoSliceMut<'_>; MANY] {
    let mut slots = bytes.chunks_exact_mut(SLOT);
    [(); MANY].map(|()| {
        let slot = slots.next().and_then(|slot| slot.get_mut(HEADROOM..));
        IoSliceMut::new(slot.unwrap_or_default())
    })
}

/// Sends each datagram to its address. What cannot be sent is lost, as on a network.
fn send_to(socket: &impl std::os::fd::AsFd, mut list: &[(IoSlice<'_>, SocketAddr)]) {
    while !list.is_empty() {
        match sys::send_many_to(socket, list) {
            Ok(count) => list = list.get(count.max(1)..).unwrap_or_default(),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) => return,
                _ => list = list.get(1..).unwrap_or_default(),
            },
        }
    }
}

/// Sends each datagram to where the socket is connected.
pub(super) fn send(socket: &impl std::os::fd::AsFd, mut list: &[IoSlice<'_>]) -> Sent {
    let mut sent = Sent::Done;
    while !list.is_empty() {
        match sys::send_many(socket, list) {
            Ok(count) => list = list.get(count.max(1)..).unwrap_or_default(),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // As full as it can be: the rest is lost.
                Some(libc::EAGAIN) => return sent,
                // An earlier datagram met nobody; this one has not been sent.
                Some(libc::ECONNREFUSED) if sent == Sent::Done => sent = Sent::Refused,
                // This one cannot be sent: it is too long, or there is no way.
                _ => list = list.get(1..).unwrap_or_default(),
            },
        }
    }
    sent
}
