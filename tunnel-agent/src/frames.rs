//! Frames of [`underpass_core::wire`] over one accepted connection.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags,
};
use tokio::io::Interest;
use underpass_core::wire::{MAX_FRAME, Reply};

/// How long an accepted connection may say nothing.
pub(crate) const FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// What one `recvmsg` brought.
pub(crate) struct Received {
    /// One byte longer than any frame, so that a longer one is seen to be.
    bytes: [u8; MAX_FRAME + 1],
    len: usize,
    /// The descriptor that came with it.
    pub(crate) socket: Option<OwnedFd>,
    /// A second one.
    pub(crate) second: Option<OwnedFd>,
}

impl Received {
    /// What somebody else has received; `None` if it is longer than any frame.
    pub(crate) fn of(frame: &[u8], socket: Option<OwnedFd>, second: Option<OwnedFd>) -> Option<Self> {
        let mut bytes = [0; MAX_FRAME + 1];
        bytes.get_mut(..frame.len()).filter(|_| frame.len() <= MAX_FRAME)?.copy_from_slice(frame);
        Some(Self { bytes, len: frame.len(), socket, second })
    }

    pub(crate) fn frame(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Why there is no frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoFrame {
    NotYet,
    /// Closed, an error, or something that no frame has: too many bytes or descriptors.
    Never,
    /// It brings a descriptor for which there is no place, or the kernel has no memory; it is still there.
    NoPlace,
}

/// Descriptors that a message may bring: more than one, so that too many are received, and closed, rather than cut off.
const MOST: usize = 4;

/// Takes a frame if one is there. It is looked at before it is taken: a descriptor for which there is no place is thrown away
/// by the kernel (unix(7)), and a socket that is held already would wait for ever.
pub(crate) fn try_receive(connection: &impl AsFd) -> Result<Received, NoFrame> {
    let mut received = Received { bytes: [0; MAX_FRAME + 1], len: 0, socket: None, second: None };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC | RecvFlags::PEEK;
    let result = loop {
        let mut iov = [IoSliceMut::new(&mut received.bytes)];
        match rustix::net::recvmsg(connection, &mut iov, &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            sockets.extend(fds);
        }
    }
    match result {
        Err(Errno::AGAIN) => Err(NoFrame::NotYet),
        Err(Errno::NOMEM | Errno::NOBUFS | Errno::MFILE | Errno::NFILE) => Err(NoFrame::NoPlace),
        Err(_) => Err(NoFrame::Never),
        Ok(message) => {
            if message.flags.contains(ReturnFlags::CTRUNC) && sockets.len() < MOST {
                return Err(NoFrame::NoPlace);
            }
            // Its descriptors are ours; what is in the queue still goes with it.
            let _ = rustix::net::recv(connection, &mut [0; 1][..], RecvFlags::DONTWAIT);
            let cut = message.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
            if message.bytes == 0 || message.bytes > MAX_FRAME || cut || sockets.len() > 2 {
                return Err(NoFrame::Never);
            }
            received.len = message.bytes;
            let mut sockets = sockets.into_iter();
            (received.socket, received.second) = (sockets.next(), sockets.next());
            Ok(received)
        }
    }
}

/// Waits for a frame, no longer than [`FRAME_DEADLINE`].
pub(crate) async fn receive(connection: &OwnedFd) -> Result<Received, NoFrame> {
    let received = tokio::time::timeout(FRAME_DEADLINE, next(connection)).await;
    received.unwrap_or(Err(NoFrame::Never))
}

/// Waits for a frame, or for the other end to close.
pub(crate) async fn wait(connection: &OwnedFd) -> Option<Received> {
    next(connection).await.ok()
}

async fn next(connection: &OwnedFd) -> Result<Received, NoFrame> {
    let watched = crate::sys::watch(connection.as_fd(), Interest::READABLE).map_err(|_| NoFrame::NoPlace)?;
    loop {
        let mut ready = watched.readable().await.map_err(|_| NoFrame::Never)?;
        match try_receive(connection) {
            Err(NoFrame::NotYet) => ready.clear_ready(),
            other => return other,
        }
    }
}

/// Answers. A client that has gone, or that has filled the connection, gets nothing.
pub(crate) fn reply(connection: &impl AsFd, reply: &Reply<'_>) {
    send(connection, reply.encode().as_bytes());
}

/// Sends one message, which may be longer than a frame: a DNS answer.
pub(crate) fn send(connection: &impl AsFd, message: &[u8]) {
    let iov = [IoSlice::new(message)];
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let _ = rustix::net::sendmsg(connection, &iov, &mut SendAncillaryBuffer::default(), flags);
}
