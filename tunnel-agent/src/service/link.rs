//! What two processes say to each other, one of which takes the place of the other: messages with descriptors, over a
//! pair of Unix sockets that keep them apart (SOCK_SEQPACKET, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use tokio::io::unix::AsyncFd;

/// No message is longer, in bytes.
pub(crate) const LONGEST: usize = 16 * 1024;
/// Nor has more descriptors.
const MOST: usize = 3;

/// What has come.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sockets: Vec<OwnedFd>,
}

impl Message {
    /// As text; what is none is empty.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }
}

/// Both ends. Neither waits in a call.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Sends one message; `WouldBlock` where the other end does not read.
pub(crate) fn send(link: &impl AsFd, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL;
    rustix::net::sendmsg(link, &[IoSlice::new(bytes)], &mut ancillary, flags)?;
    Ok(())
}

/// The next message, if there is one; `UnexpectedEof` where the other end has gone.
pub(crate) fn try_receive(link: &impl AsFd) -> io::Result<Option<Message>> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = match rustix::net::recvmsg(link, &mut parts, &mut ancillary, flags) {
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        received => received?,
    };
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            sockets.extend(some);
        }
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(received.bytes);
    Ok(Some(Message { bytes, sockets }))
}

/// Waits for the next message no longer than `patience`, in a process that does nothing else meanwhile.
pub(crate) fn receive(link: &impl AsFd, patience: Duration) -> io::Result<Message> {
    let begun = Instant::now();
    loop {
        if let Some(message) = try_receive(link)? {
            return Ok(message);
        }
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(link, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The next message, whenever it comes.
pub(crate) async fn next(link: &AsyncFd<OwnedFd>) -> io::Result<Message> {
    loop {
        let mut ready = link.readable().await?;
        match try_receive(link.get_ref())? {
            Some(message) => return Ok(message),
            None => ready.clear_ready(),
        }
    }
}
