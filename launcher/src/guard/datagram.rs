//! Datagram sockets of supervised programs.

use libc::{EACCES, c_int};

use super::notification::Answer;

/// `socket(family, kind, protocol)` of an internet datagram socket; `kind` with its flags.
pub(crate) fn socket(_family: c_int, _kind: c_int, _protocol: c_int) -> Answer {
    Answer::Fail(EACCES)
}
