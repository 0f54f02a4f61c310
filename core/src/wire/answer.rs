//! The answer to [`super::Request::Query`]: a DNS message, which may be longer than any frame.

use super::{MAX_FRAME, WireError, kind};

/// The longest question, in bytes: a frame less its head (magic, version, kind, token).
pub const MAX_QUESTION: usize = MAX_FRAME - 21;
/// The longest answer with its kind, in bytes (a DNS message over TCP, RFC 1035 section 4.2.2).
pub const MAX_ANSWER: usize = 1 + 65_535;

/// One message of the connection: the DNS message behind its kind.
pub fn answer(message: &[u8]) -> Vec<u8> {
    [&[kind::ANSWER], message].concat()
}

/// The DNS message, one byte at least.
pub fn read_answer(bytes: &[u8]) -> Result<&[u8], WireError> {
    match bytes.split_first() {
        None | Some((&kind::ANSWER, [])) => Err(WireError::Short),
        Some((&kind::ANSWER, message)) => Ok(message),
        Some(_) => Err(WireError::Unknown),
    }
}

/// Whether a message that begins so is an answer: for a reader that keeps the kind and the rest apart.
pub fn is_answer(kind: u8) -> bool {
    kind == super::kind::ANSWER
}
