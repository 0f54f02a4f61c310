//! The way to the agent: a fresh connection for each question, closed before the call returns.
//!
//! Everything here is a raw system call (rustix' linux backend): no hook of ours or of another
//! preloaded library is entered, errno is not touched, no lock is taken, nothing is allocated, and
//! no cancellation point can leave a descriptor behind.
#![forbid(unsafe_code)]

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::process::{Resource, Rlimit};
use underpass_core::wire::{self, Frame, MAX_FRAME, Reply, Request, Token};

use crate::redirect::Connected;
use crate::{ahead, session};

/// Why the agent did not answer. Which of the reasons it was makes no difference to the program:
/// nothing can be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// The library was loaded without a session.
    NoSession,
    /// A system call failed, or the agent closed the connection.
    Io(Errno),
    /// The answer was no frame of this version.
    Garbled,
    /// No answer within the time that was given.
    Late,
}

/// Asks one question. `answer` reads the reply where it lies.
pub(crate) fn ask<T>(request: &Request<'_>, answer: impl FnOnce(Reply<'_>) -> T) -> Result<T, LinkError> {
    ask_within(request, None, answer)
}

/// Asks one question, and waits so long for the answer ([`LinkError::Late`]).
pub(crate) fn ask_within<T>(
    request: &Request<'_>,
    patience: Option<Duration>,
    answer: impl FnOnce(Reply<'_>) -> T,
) -> Result<T, LinkError> {
    let link = Link::open()?;
    if patience.is_some() {
        set_socket_timeout(&link.fd, Timeout::Recv, patience).map_err(LinkError::Io)?;
    }
    link.send(request, None)?;
    let mut buffer = [0; MAX_FRAME];
    loop {
        match link.receive(&mut buffer) {
            Err(LinkError::Io(Errno::INTR)) => {}
            Err(LinkError::Io(Errno::AGAIN)) => return Err(LinkError::Late),
            other => return other.map(answer),
        }
    }
}

/// Asks a DNS question. The answer is written to the caller's buffer, as much as it holds; its whole
/// length is given.
pub(crate) fn query(message: &[u8], answer: &mut [u8]) -> Result<usize, LinkError> {
    let link = Link::open()?;
    link.send(&Request::Query { message }, None)?;
    let mut kind = [0];
    let mut ancillary = RecvAncillaryBuffer::default();
    let received = retry(|| {
        let mut parts = [IoSliceMut::new(&mut kind), IoSliceMut::new(answer)];
        rustix::net::recvmsg(&link.fd, &mut parts, &mut ancillary, RecvFlags::TRUNC)
    })?;
    let good = received.bytes > 1 && wire::is_answer(kind[0]);
    if good { Ok(received.bytes - 1) } else { Err(LinkError::Garbled) }
}

/// Tells the agent where a socket that is held already wants to go; the outcome comes to the socket.
pub(crate) fn tell(socket: BorrowedFd<'_>, address: SocketAddr, held_at: u16) -> Result<(), LinkError> {
    Link::open()?.send(&Request::Connect { address, watched: false, held_at }, Some(socket))
}

/// Asks the agent to connect `socket`, and waits as `connect(2)` does: a signal whose handler was
/// installed without SA_RESTART ends the wait, not the attempt.
pub(crate) fn connect(socket: BorrowedFd<'_>, address: SocketAddr, watched: bool) -> Connected {
    let asked = Link::open().and_then(|link| {
        link.send(&Request::Connect { address, watched, held_at: 0 }, Some(socket))?;
        Ok(link)
    });
    let Ok(link) = asked else { return Connected::Lost };
    let mut buffer = [0; MAX_FRAME];
    let (mut interrupted, mut reset) = (false, false);
    loop {
        return match link.receive(&mut buffer) {
            Err(LinkError::Io(Errno::INTR)) => {
                if !interrupted {
                    interrupted = true;
                    // The answer may be on its way already, and the agent gone: it is read all the same.
                    let _ = link.send(&Request::Convert, None);
                }
                continue;
            }
            // The agent has closed without reading our Convert; its answer is behind this error.
            Err(LinkError::Io(Errno::CONNRESET)) if interrupted && !reset => {
                reset = true;
                continue;
            }
            Ok(Reply::Held { blocking: true, .. }) if interrupted => Connected::Interrupted,
            Ok(Reply::Held { blocking, port }) => {
                ahead::learn(port);
                Connected::Held { blocking }
            }
            Ok(Reply::HandedOff) => Connected::HandedOff,
            Ok(Reply::Direct) => Connected::Direct,
            Ok(Reply::Refuse { errno }) => Connected::Failed(errno),
            Ok(_) | Err(_) => Connected::Lost,
        };
    }
}

struct Link {
    fd: OwnedFd,
    token: Token,
}

impl Link {
    fn open() -> Result<Self, LinkError> {
        let session = session::session().ok_or(LinkError::NoSession)?;
        let address = address_of(session.socket)?;
        let fd = seqpacket().map_err(LinkError::Io)?;
        retry(|| rustix::net::connect(&fd, &address))?;
        Ok(Self { fd, token: session.token })
    }

    fn send(&self, request: &Request<'_>, socket: Option<BorrowedFd<'_>>) -> Result<(), LinkError> {
        let frame: Frame = request.encode(&self.token);
        let bytes = [std::io::IoSlice::new(frame.as_bytes())];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let passed = socket.as_slice();
        if !passed.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(passed));
        }
        retry(|| rustix::net::sendmsg(&self.fd, &bytes, &mut ancillary, SendFlags::NOSIGNAL)).map(drop)
    }

    fn receive<'b>(&self, buffer: &'b mut [u8; MAX_FRAME]) -> Result<Reply<'b>, LinkError> {
        let (len, _) = rustix::net::recv(self.fd.as_fd(), buffer.as_mut_slice(), RecvFlags::empty())
            .map_err(LinkError::Io)?;
        let bytes = buffer.get(..len).unwrap_or_default();
        // A length of zero is the agent's end of the connection, and no reply either.
        Reply::decode(bytes).map_err(|_| LinkError::Garbled)
    }
}

fn address_of(path: &[u8]) -> Result<SocketAddrUnix, LinkError> {
    use std::os::unix::ffi::OsStrExt;
    SocketAddrUnix::new(Path::new(std::ffi::OsStr::from_bytes(path))).map_err(LinkError::Io)
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, LinkError> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(LinkError::Io),
        }
    }
}

/// Whether a thread has raised the limit on descriptors at this moment.
static RAISED: AtomicBool = AtomicBool::new(false);

/// How often a thread that has no descriptor looks whether another's raised limit serves it too.
const PATIENCE: usize = 1000;

/// A socket for the way to the agent, also when the program has used up its descriptors: natively
/// its `connect` would need none. The soft limit is then raised for the moment of one call.
fn seqpacket() -> Result<OwnedFd, Errno> {
    let open =
        || rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let mut opened = open();
    for _ in 0..PATIENCE {
        if opened.as_ref().err() != Some(&Errno::MFILE) {
            break;
        }
        // One thread at a time, so that the limit that is put back is the program's own.
        if RAISED.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            let limit = rustix::process::getrlimit(Resource::Nofile);
            let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
            if rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
                opened = open();
                let _ = rustix::process::setrlimit(Resource::Nofile, limit);
            }
            RAISED.store(false, Ordering::Release);
            break;
        }
        rustix::thread::sched_yield();
        opened = open();
    }
    opened
}
