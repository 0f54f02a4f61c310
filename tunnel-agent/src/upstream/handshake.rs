//! What a hop's protocol wants next, without I/O: one code drives the program's own socket, an agent's
//! socket and a stream inside TLS alike.

use std::net::SocketAddr;

use underpass_core::failure::Failure;

/// What a handshake does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Send these bytes; taken as done.
    Send(&'a [u8]),
    /// Read exactly so many bytes and give them to [`Handshake::received`].
    Receive(usize),
    /// Read the bytes of an HTTP answer up to and including the first empty line, at most [`MAX_HEAD`].
    ReceiveHead,
    /// The hop has done its part; the next byte belongs to whoever comes after.
    Done,
}

/// One side of a protocol, that of the client.
pub(crate) trait Handshake: Send {
    /// What to do next.
    fn step(&mut self) -> Result<Step<'_>, Failure>;
    /// Takes the bytes that the last step asked for.
    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure>;
    /// Where the hop says that the connection leaves it from.
    fn leaves_from(&self) -> Option<SocketAddr> {
        None
    }
}

/// No answer's head is longer, in bytes.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// Where a head ends, if it does: after the first empty line. A line may end without a carriage
/// return (RFC 9112 section 2.2).
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut line_is_empty = false;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if line_is_empty => return Some(at + 1),
            b'\n' => line_is_empty = true,
            b'\r' if line_is_empty => {}
            _ => line_is_empty = false,
        }
    }
    None
}

/// Whether these bytes can begin the head of an HTTP answer (RFC 9112 section 4): what is something else
/// may have no end to wait for.
pub(crate) fn can_begin_head(bytes: &[u8]) -> bool {
    bytes.iter().zip(b"HTTP/").all(|(byte, wanted)| byte == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_after_its_first_empty_line() {
        for (head, rest) in
            [("HTTP/1.1 200\r\nA: b\r\n\r\n", "\r\n\r\nx"), ("a\n\n", "\n"), ("a\n\r\n", "b\n\n")]
        {
            let bytes = format!("{head}{rest}");
            assert_eq!(head_end(bytes.as_bytes()), Some(head.len()));
            for cut in 0..head.len() {
                assert_eq!(head_end(&bytes.as_bytes()[..cut]), None, "{cut}");
            }
        }
    }
}
