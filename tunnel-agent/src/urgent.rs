//! The urgent byte of TCP (RFC 9293 section 3.8.5), which splice(2) does not take: it stops at its mark for ever, and says that
//! nothing is there though something is, or that the stream has ended. Here the mark is passed by recv(2). Natively a program finds the
//! byte with `MSG_OOB` or, by its own choice, in the stream, so it is sent as urgent again.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::pipes::Pipe;
use crate::sys;

/// Whether `spliced` says that reading has come to a mark. Where the kernel has announced none it costs a system call at the end
/// of a stream alone.
pub(crate) fn is_next(from: &AsyncFd<OwnedFd>, spliced: Result<usize, Errno>) -> bool {
    // That it would block is what forgets the announcement; the next event has it again as long as the byte is there.
    let at_mark = |socket: &OwnedFd| match sys::is_at_mark(socket) {
        true => Ok(()),
        false => Err(io::ErrorKind::WouldBlock.into()),
    };
    match spliced {
        // The announcement may not have been seen yet, and there is no event after the end.
        Ok(0) => sys::is_at_mark(from.get_ref()),
        Err(Errno::AGAIN) => from.try_io(Interest::PRIORITY, at_mark).is_ok(),
        _ => false,
    }
}

/// Passes the mark: the urgent byte, if it was still there, and how many bytes from behind it are in the pipe, which was empty.
/// `None` if there is nothing yet.
pub(crate) fn pass(from: &OwnedFd, pipe: &Pipe) -> io::Result<Option<(Option<u8>, usize)>> {
    let urgent = match receive(from, RecvFlags::OOB) {
        Err(Errno::AGAIN) => return Ok(None),
        // Another urgent byte has taken its place, and this one has become an ordinary one.
        Err(Errno::INVAL) => None,
        received => received?,
    };
    // The mark is passed with the next byte, or where there is none yet.
    let behind = match receive(from, RecvFlags::empty()) {
        Err(Errno::AGAIN) => None,
        received => received?,
    };
    let written = match behind {
        Some(byte) => rustix::io::write(&pipe.write, &[byte])?,
        None => 0,
    };
    Ok((urgent.is_some() || written > 0).then_some((urgent, written)))
}

/// One byte; `None` at the end of the stream.
fn receive(from: &OwnedFd, flags: RecvFlags) -> Result<Option<u8>, Errno> {
    let mut byte = [0];
    let received =
        rustix::io::retry_on_intr(|| rustix::net::recv(from, &mut byte, flags | RecvFlags::DONTWAIT));
    received.map(|(_, count)| (count == 1).then_some(byte[0]))
}

/// Sends an urgent byte.
pub(crate) fn send(to: &OwnedFd, byte: u8) -> Result<usize, Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match rustix::net::send(to, &[byte], flags | SendFlags::OOB) {
        // A Unix socket of an older kernel knows nothing urgent.
        Err(Errno::OPNOTSUPP) => rustix::net::send(to, &[byte], flags),
        sent => sent,
    }
}

/// What goes on by a stream that knows no urgent bytes finds them among the others (SO_OOBINLINE, socket(7)).
pub(crate) fn in_line(socket: &AsyncFd<OwnedFd>) {
    // Of a Unix socket none is expected.
    let _ = rustix::net::sockopt::set_socket_oobinline(socket.get_ref(), true);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::pipes::Pipes;

    fn pair() -> (TcpStream, AsyncFd<OwnedFd>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        far.set_nonblocking(true).unwrap();
        (near, sys::watch(far.into(), sys::EVERYTHING).unwrap())
    }

    #[tokio::test]
    async fn a_mark_is_passed_with_its_byte() {
        let (mut near, far) = pair();
        let pipe = Pipes::new(1).take().unwrap();
        near.write_all(b"ab").unwrap();
        let _ready = far.readable().await.unwrap();
        assert!(!is_next(&far, Err(Errno::AGAIN)), "nothing is urgent");
        rustix::net::send(&near, b"!", SendFlags::OOB).unwrap();
        near.write_all(b"cd").unwrap();
        let _ready = far.ready(Interest::PRIORITY).await.unwrap();
        assert!(!is_next(&far, Err(Errno::AGAIN)), "two bytes are before it");
        let mut bytes = [0; 8];
        assert_eq!(rustix::io::read(far.get_ref(), &mut bytes).unwrap(), 2);
        // The announcement was forgotten, and comes with the next event.
        near.write_all(b"e").unwrap();
        let _ready = far.ready(Interest::PRIORITY).await.unwrap();
        assert!(is_next(&far, Err(Errno::AGAIN)));
        assert_eq!(pass(far.get_ref(), &pipe).unwrap(), Some((Some(b'!'), 1)));
        assert!(!is_next(&far, Err(Errno::AGAIN)));
        assert_eq!(rustix::io::read(&pipe.read, &mut bytes).unwrap(), 1);
        assert_eq!(bytes[0], b'c');
        assert_eq!(rustix::io::read(far.get_ref(), &mut bytes).unwrap(), 2);
        assert_eq!(&bytes[..2], b"de");
    }

    #[tokio::test]
    async fn a_mark_with_nothing_behind_it_is_passed() {
        let (near, far) = pair();
        let pipe = Pipes::new(1).take().unwrap();
        rustix::net::send(&near, b"!", SendFlags::OOB).unwrap();
        let _ready = far.ready(Interest::PRIORITY).await.unwrap();
        assert!(is_next(&far, Err(Errno::AGAIN)));
        assert_eq!(pass(far.get_ref(), &pipe).unwrap(), Some((Some(b'!'), 0)));
        let mut near = near;
        near.write_all(b"x").unwrap();
        assert_eq!(send(far.get_ref(), b'?'), Ok(1));
        let mut byte = [0];
        assert_eq!(rustix::net::recv(&near, &mut byte, RecvFlags::OOB).unwrap().1, 1);
        assert_eq!(byte, *b"?");
        near.set_nonblocking(true).unwrap();
        assert!(near.read(&mut byte).is_err(), "it is in the stream no more");
        assert_eq!(rustix::io::read(far.get_ref(), &mut byte).unwrap(), 1);
        // Nothing is behind this one for ever, and it is no end.
        rustix::net::send(&near, b"!", SendFlags::OOB).unwrap();
        near.shutdown(std::net::Shutdown::Write).unwrap();
        while !sys::is_at_mark(far.get_ref()) {
            std::thread::yield_now();
        }
        assert!(is_next(&far, Ok(0)));
        assert_eq!(pass(far.get_ref(), &pipe).unwrap(), Some((Some(b'!'), 0)));
        assert!(!is_next(&far, Ok(0)));
        assert_eq!(pass(far.get_ref(), &pipe).unwrap(), None);
    }
}
