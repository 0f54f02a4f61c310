//! `SO_ERROR`, `getpeername` and `getsockname`: of a socket that was held the kernel shows the hold, and the agent knows
//! the truth.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use libc::{EFAULT, ENETUNREACH, IPPROTO_TCP, SO_DOMAIN, SO_ERROR, SOL_SOCKET, TCP_MAXSEG, c_int};
use underpass_core::destination::is_local;
use underpass_core::wire::{Reply, Request};

use super::begun::Begun;
use super::connect::{ESTABLISHED, Kind, cookie, is_in, kind};
use super::kept::{self, Found};
use super::link::{Link, Session};
use super::memory;
use super::notification::{Answer, Notification};
use super::sockets::Sockets;
use crate::kernel;

/// A call that waits for what the agent knows.
#[derive(Debug)]
pub(crate) enum Asking {
    /// A copy of the socket, and its cookie.
    Error(OwnedFd, u64),
    /// The same where there is no copy.
    ErrorOf(kept::Begun),
    /// A second connect(2) of such a one.
    Again,
    /// Whom it reaches.
    Peer { ipv6: bool },
    /// The address that it leaves from, with the port that it has here.
    Local { ipv6: bool, port: u16 },
}

/// The kernel's guess at a segment's size, for a socket that was never on its way anywhere (net/tcp.h).
pub(super) const UNROUTED: c_int = 536;

/// `getsockopt(fd, SOL_SOCKET, SO_ERROR, …)`: asked only where an attempt may have failed. The library's attempts are not
/// known here, but leave a trace: the size of a segment stays when a socket is made unconnected.
pub(crate) fn error(
    session: &Session,
    begun: &mut Begun,
    sockets: &mut Sockets,
    call: &Notification,
) -> Result<(Link, Asking), Answer> {
    let copy = match sockets.find(call).map_err(|_| Answer::Continue)? {
        Found::Copy(copy) => copy,
        Found::Begun(known) => {
            let link = session.ask(&Request::Outcome { cookie: known.cookie }, None);
            return link.map(|link| (link, Asking::ErrorOf(known))).map_err(|_| Answer::Continue);
        }
    };
    let Ok(kind @ (Kind::Closed | Kind::Tcp)) = kind(session, &copy) else { return Err(Answer::Continue) };
    let cookie = cookie(&copy).map_err(|_| Answer::Continue)?;
    if kind == Kind::Tcp {
        if is_in(&copy, ESTABLISHED) {
            begun.told(cookie);
        }
        return Err(Answer::Continue);
    }
    if !begun.may_contain(cookie) && kernel::option::<c_int>(&copy, IPPROTO_TCP, TCP_MAXSEG) == Ok(UNROUTED) {
        return Err(Answer::Continue);
    }
    let link = session.ask(&Request::Outcome { cookie }, None).map_err(|_| Answer::Continue)?;
    Ok((link, Asking::Error(copy, cookie)))
}

/// `getpeername(fd, …)` and `getsockname(fd, …)`: asked only where the kernel would show this machine at both ends.
pub(crate) fn name(
    session: &Session,
    sockets: &mut Sockets,
    call: &Notification,
) -> Result<(Link, Asking), Answer> {
    let copy = match sockets.find(call).map_err(|_| Answer::Continue)? {
        Found::Copy(copy) => copy,
        Found::Begun(known) => return ask_name(session, call, known.cookie, known.ipv6, known.port),
    };
    let local = |address: Result<Option<_>, _>| {
        let address = address.ok().flatten().and_then(|address| SocketAddr::try_from(address).ok());
        address.filter(|address| is_local(address.ip())).ok_or(Answer::Continue)
    };
    local(rustix::net::getpeername(&copy))?;
    let here = rustix::net::getsockname(&copy).map_err(|_| Answer::Continue)?;
    let here = SocketAddr::try_from(here).map_err(|_| Answer::Continue)?;
    // One that the program has bound to an address of the machine's shows that.
    if call.number == libc::SYS_getsockname && !is_local(here.ip()) {
        return Err(Answer::Continue);
    }
    if kind(session, &copy) != Ok(Kind::Tcp) {
        return Err(Answer::Continue);
    }
    let ipv6 = kernel::option::<c_int>(&copy, SOL_SOCKET, SO_DOMAIN) == Ok(libc::AF_INET6);
    let cookie = cookie(&copy).map_err(|_| Answer::Continue)?;
    ask_name(session, call, cookie, ipv6, here.port())
}

fn ask_name(
    session: &Session,
    call: &Notification,
    cookie: u64,
    ipv6: bool,
    port: u16,
) -> Result<(Link, Asking), Answer> {
    let link = session.ask(&Request::Peer { cookie }, None).map_err(|_| Answer::Continue)?;
    let asking = match call.number {
        libc::SYS_getsockname => Asking::Local { ipv6, port },
        _ => Asking::Peer { ipv6 },
    };
    Ok((link, asking))
}

impl Asking {
    /// Writes what the agent knows, if it knows something.
    pub(crate) fn replied(
        &self,
        begun: &mut Begun,
        sockets: &mut Sockets,
        call: &Notification,
        reply: Option<Reply<'_>>,
        still_waits: bool,
    ) -> Answer {
        let (value, length) = match self {
            Self::Again => {
                let noted = match reply {
                    Some(Reply::Outcome { errno }) if errno != 0 => errno,
                    _ => ENETUNREACH,
                };
                return Answer::Fail(noted);
            }
            Self::Error(..) | Self::ErrorOf(_) => (call.pointer(3), call.pointer(4)),
            Self::Peer { .. } | Self::Local { .. } => (call.pointer(1), call.pointer(2)),
        };
        // What is wrong with the pointers the kernel says itself.
        let Some(room) = memory::int(call, length).ok().and_then(|len| usize::try_from(len).ok()) else {
            return Answer::Continue;
        };
        if !still_waits {
            return Answer::Later;
        }
        let place = (value, length, room);
        let written = match (self, reply) {
            (Self::Error(copy, cookie), Some(Reply::Outcome { errno })) if errno != 0 => {
                begun.told(*cookie);
                // Told once, as the kernel does.
                let _ = kernel::option::<c_int>(copy, SOL_SOCKET, SO_ERROR);
                memory::write_option(call, place, errno)
            }
            (Self::ErrorOf(known), Some(Reply::Outcome { errno })) if errno != 0 || known.told => {
                sockets.is_told(known.cookie);
                memory::write_option(call, place, errno)
            }
            (Self::Peer { ipv6 }, Some(Reply::Peer { peer, .. })) => {
                memory::write_address(call, place, peer, *ipv6)
            }
            // A socket of IPv4 cannot show that the way out is by IPv6.
            (Self::Local { ipv6, port }, Some(Reply::Peer { local: Some(local), .. }))
                if local.is_ipv4() || *ipv6 =>
            {
                memory::write_address(call, place, SocketAddr::new(local.ip(), *port), *ipv6)
            }
            _ => return Answer::Continue,
        };
        if written.is_ok() { Answer::Done } else { Answer::Fail(EFAULT) }
    }
}
