//! How the ends of a relayed connection are seen to: what was written before a reset arrives, an end that is not read is
//! looked at for one, and one that says nothing more is asked whether it is there.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::Shutdown;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// How long the last bytes before a reset may stand still on their way before they are given up.
pub(crate) const STANDSTILL: Duration = Duration::from_millis(500);

/// Waits until what was written has been received, as long as that goes on.
pub(crate) async fn drain(socket: &AsyncFd<OwnedFd>) {
    let mut left = sys::unacknowledged(socket.get_ref());
    let mut since = Instant::now();
    let mut pause = Duration::from_micros(50);
    while left > 0 && since.elapsed() < STANDSTILL {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
        let now = sys::unacknowledged(socket.get_ref());
        if now < left {
            (left, since) = (now, Instant::now());
        }
    }
}

/// From here on closing sends a reset (a linger time of zero, socket(7)), whoever closes: a stream that was cut must not look
/// complete. A Unix socket has none to send. On an error it has been sent.
pub(crate) fn cut_on_close(socket: &impl AsFd) -> io::Result<()> {
    let set = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    set.inspect_err(|_| sys::dissolve(socket))?;
    Ok(())
}

/// Says that nothing more comes. An end that has gone already is no error: its reset, if it is one, comes by itself. On any
/// other the stream has to be cut, since who reads it would wait for ever.
pub(crate) fn tell_end(socket: &impl AsFd) -> io::Result<()> {
    match rustix::net::shutdown(socket, Shutdown::Write) {
        Err(Errno::NOTCONN) => Ok(()),
        told => Ok(told?),
    }
}

/// All has been sent: closing ends the stream.
pub(crate) fn end_on_close(socket: &impl AsFd) {
    // What still looks cut is at least not a lie.
    let _ = rustix::net::sockopt::set_socket_linger(socket, None);
}

/// Asks an end that has sent its FIN whether it is still there: the kernel forgets a closed socket
/// after a minute (tcp(7), tcp_fin_timeout), and then answers with a reset.
pub(crate) fn keep_alive(socket: &AsyncFd<OwnedFd>) {
    use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl};
    let (idle, interval) = (Duration::from_secs(60), Duration::from_secs(10));
    let socket = socket.get_ref();
    let _ = set_tcp_keepidle(socket, idle);
    let _ = set_tcp_keepintvl(socket, interval);
    let _ = set_tcp_keepcnt(socket, 3);
    let _ = set_socket_keepalive(socket, true);
}

/// Whether a reset has arrived at an end that is not read.
pub(crate) fn is_broken(socket: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> bool {
    while let Poll::Ready(Ok(mut guard)) = socket.poll_write_ready(cx) {
        if matches!(rustix::net::sockopt::socket_error(socket.get_ref()), Ok(Err(_)) | Err(_)) {
            return true;
        }
        // Nothing is lost for the direction that writes here: it tries before it waits.
        guard.clear_ready();
        if has_hung_up(socket) {
            return false;
        }
    }
    false
}

/// After a hang-up tokio reports readiness for ever; there is no further event to wait for.
fn has_hung_up(socket: &AsyncFd<OwnedFd>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket.get_ref(), PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_has_gone_is_no_error_and_what_has_none_is() {
        let alone = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        assert!(tell_end(&alone).is_ok());
        assert!(tell_end(&std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
