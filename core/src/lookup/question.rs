//! The few bytes of a DNS message that the library reads and writes itself (RFC 1035, RFC 6891).

use super::search::{Herror, Tried};

/// What an answer's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The answer's code.
    pub code: u8,
    /// How many records there are.
    pub answers: u16,
}

/// Reads the head of a message; `None` if it is shorter than one.
pub fn head(message: &[u8]) -> Option<Head> {
    let head: &[u8; 12] = message.first_chunk()?;
    Some(Head { code: head[3] & 0xf, answers: u16::from_be_bytes([head[6], head[7]]) })
}

/// What a datagram holds without EDNS, and with it where the caller's buffer is smaller (RFC 1035 section 2.3.4).
const DATAGRAM: usize = 512;

/// What is told of the length of an answer that came over a stream, and whether it is marked as cut, for a
/// buffer of this size. glibc gets short answers in datagrams, which are cut without a word; of long ones
/// it tells the whole length.
pub fn told(length: usize, size: usize) -> (usize, bool) {
    match length {
        _ if length <= size => (length, false),
        ..=DATAGRAM => (size, false),
        _ => (length, true),
    }
}

impl Head {
    /// The server has not answered the question (SERVFAIL, NOTIMP, REFUSED): glibc would ask the next one,
    /// and then says that nobody has answered.
    pub fn is_rejection(self) -> bool {
        matches!(self.code, 2 | 4 | 5)
    }

    /// What res_query(3) makes of it; `length` is the message's.
    pub fn judge(self, length: usize) -> Tried {
        let not = |why| Tried::Not { why, from_server: true };
        match (self.code, self.answers) {
            (0, 0) => not(Herror::NoData),
            (0, _) => Tried::Found(length),
            (2, _) => not(Herror::TryAgain),
            (3, _) => not(Herror::NotFound),
            (4 | 5, _) => Tried::Not { why: Herror::TryAgain, from_server: false },
            _ => not(Herror::NoRecovery),
        }
    }
}

/// The OPT record behind a question that says how long an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Signatures are wanted (the DO bit).
    pub signatures: bool,
    /// What the caller's buffer holds.
    pub room: usize,
}

impl Edns {
    /// Appends the record to a message of `length` bytes, and gives the new length; `None`, and nothing is
    /// written, where it does not fit.
    pub fn append(self, message: &mut [u8], length: usize) -> Option<usize> {
        let size = u16::try_from(self.room.clamp(512, 1200)).unwrap_or(512).to_be_bytes();
        let bits = if self.signatures { 0x80 } else { 0 };
        let record = [0, 0, 41, size[0], size[1], 0, 0, bits, 0, 0, 0];
        let end = length.checked_add(record.len())?;
        message.get_mut(length..end)?.copy_from_slice(&record);
        let count: &mut [u8; 2] = message.get_mut(10..12)?.first_chunk_mut()?;
        *count = u16::from_be_bytes(*count).wrapping_add(1).to_be_bytes();
        Some(end)
    }
}
