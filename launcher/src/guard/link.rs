//! The way to the agent: a fresh connection for each question, as the library has it. Nothing here waits but for
//! the agent to take the connection.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use underpass_core::session_env::SessionEnv;
use underpass_core::wire::{MAX_FRAME, Reply, Request, Token};

use crate::kernel;

/// How long an agent whose queue is full is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// socket(7); since Linux 5.14, `None` before.
fn network_of(socket: &OwnedFd) -> Result<Option<u64>, Errno> {
    const SO_NETNS_COOKIE: i32 = 71;
    match kernel::option(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE) {
        Ok(network) => Ok(Some(network)),
        Err(Errno::NOPROTOOPT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The session of the programs that are supervised.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    token: Token,
    address: SocketAddrUnix,
    /// The kernel's name for the network namespace of the programs, where it has one.
    network: Option<u64>,
    /// Routes say something of loopback.
    pub(crate) loopback: bool,
    /// Names are for this machine's resolver, and the programs may ask it.
    pub(crate) asks_resolver: bool,
}

impl Session {
    /// From the value of the session's variable.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let session = SessionEnv::parse(value)?;
        let path = Path::new(std::ffi::OsStr::from_bytes(session.socket));
        let address = SocketAddrUnix::new(path).ok()?;
        let ours =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let network = ours.and_then(|ours| network_of(&ours)).ok().flatten();
        let SessionEnv { token, loopback, asks_resolver, .. } = session;
        Some(Self { token, address, network, loopback, asks_resolver })
    }

    /// The session of programs in the network of this socket.
    pub(crate) fn within(self, socket: &OwnedFd, loopback: bool) -> Self {
        Self { network: network_of(socket).ok().flatten(), loopback, ..self }
    }

    /// Whether the socket is of the programs' network namespace. What is of another is held by that.
    pub(crate) fn is_here(&self, socket: &OwnedFd) -> Result<bool, Errno> {
        Ok(network_of(socket)? == self.network)
    }

    /// Tells the agent that we go on, though the launcher that has opened the session has ended: any question does.
    pub(crate) fn stay(&self) {
        let _ = self.ask(&Request::NameOf { ip: Ipv4Addr::LOCALHOST.into() }, None);
    }

    /// Asks, with a socket of the program's where the question is about it.
    pub(crate) fn ask(&self, request: &Request<'_>, socket: Option<BorrowedFd<'_>>) -> Result<Link, Errno> {
        self.ask_with(request, socket.as_slice())
    }

    pub(crate) fn ask_with(&self, request: &Request<'_>, passed: &[BorrowedFd<'_>]) -> Result<Link, Errno> {
        let fd =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&fd, Timeout::Send, Some(PATIENCE))?;
        rustix::net::connect(&fd, &self.address)?;
        let frame = request.encode(&self.token);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !passed.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(passed));
        }
        rustix::net::sendmsg(&fd, &[IoSlice::new(frame.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(Link(fd))
    }
}

impl Session {
    /// The program does not wait for this answer any more, but in the kernel.
    pub(crate) fn convert(&self, link: &Link) {
        let frame = Request::Convert.encode(&self.token);
        // The answer may be on its way already.
        let _ = rustix::net::send(&link.0, frame.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

/// A question that waits for its answer.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Link {
    /// What the agent has said, once the link is readable; `None` if it has gone, or says what nobody knows.
    pub(crate) fn reply<'b>(&self, buffer: &'b mut [u8; MAX_FRAME]) -> Option<Reply<'b>> {
        let (len, _) = rustix::net::recv(&self.0, buffer.as_mut_slice(), RecvFlags::DONTWAIT).ok()?;
        Reply::decode(buffer.get(..len)?).ok()
    }
}
