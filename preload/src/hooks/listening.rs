//! What a program listens with. Where the session exposes listeners elsewhere, the agent is asked where, and who has come;
//! in all other sessions these are the real calls.

use std::net::SocketAddr;

use libc::{c_int, sockaddr, socklen_t};
use underpass_core::destination::{canonical, is_local};
use underpass_core::wire::{FROM, Reply, Request};

use super::hooks;
use crate::address::{Given, Raw, read};
use crate::fence::fenced;
use crate::redirect::{Socket, State};
use crate::socket::ProgramSocket;
use crate::{errno, link, real, session};

hooks! {
    /// bind(2): what is exposed elsewhere listens on loopback here. Where the agent does not answer, `EACCES`.
    fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int,
        closed errno::fail(libc::EACCES) => match (real::bind.get(), narrowed(fd, if is_on() { read(address, len) } else { Given::Nothing })) {
            (Some(bind), Ok(None)) => bind(fd, address, len),
            (Some(bind), Ok(Some((raw, size)))) => bind(fd, (&raw const raw).cast(), size),
            (_, Err(errno)) => errno::fail(errno),
            (None, _) => errno::fail(libc::ENOSYS),
        };

    /// listen(2): answers when others can connect at the exit, or says why they cannot.
    fn listen(fd: c_int, backlog: c_int) -> c_int,
        closed errno::fail(libc::EACCES) => match real::listen.get() {
            Some(listen) => match before_listening(fd) {
                Ok(()) => match listen(fd, backlog) {
                    0 => listening(fd),
                    failed => failed,
                },
                Err(errno) => errno::fail(errno),
            },
            None => errno::fail(libc::ENOSYS),
        };
}

hooks! {
    /// accept(2).
    fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int,
        open {
            let Some(accept) = real::accept.get() else { return errno::fail(libc::ENOSYS) };
            let room = if address.is_null() || len.is_null() { 0 } else { *len };
            let accepted = accept(fd, address, len);
            if accepted >= 0 && room > 0 {
                show(accepted, address, room, len);
            }
            accepted
        };

    /// accept4(2).
    fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int,
        open {
            let Some(accept4) = real::accept4.get() else { return errno::fail(libc::ENOSYS) };
            let room = if address.is_null() || len.is_null() { 0 } else { *len };
            let accepted = accept4(fd, address, len, flags);
            if accepted >= 0 && room > 0 {
                show(accepted, address, room, len);
            }
            accepted
        };
}

/// Whether listeners may be exposed at all. Under guard they are not: sockets are the supervisor's there.
fn is_on() -> bool {
    session::session().is_some_and(|session| session.listens && !session.supervised)
}

/// The address of loopback to bind instead.
fn narrowed(fd: c_int, given: Given) -> Result<Option<(Raw, socklen_t)>, c_int> {
    let Given::Inet(address) = given else { return Ok(None) };
    let ip = canonical(address).ip();
    let socket = ProgramSocket(fd);
    if !is_on() || is_local(ip) && !ip.is_unspecified() || socket.state() != Ok(State::Closed) {
        return Ok(None);
    }
    let Some(cookie) = socket.cookie() else { return Ok(None) };
    let v6_only = address.is_ipv6() && socket.is_v6_only();
    let at = link::ask(&Request::Bind { cookie, address, v6_only }, |reply| match reply {
        Reply::Via { at, .. } => Ok(Some(at)),
        Reply::Direct => Ok(None),
        _ => Err(libc::EACCES),
    });
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    Ok(at.unwrap_or(Err(libc::EACCES))?.map(|at| Raw::new(at, family)))
}

/// A socket that listens without having been bound would get a port at every address of this machine (ip(7)).
fn before_listening(fd: c_int) -> Result<(), c_int> {
    let socket = ProgramSocket(fd);
    if !is_on() || socket.state() != Ok(State::Closed) {
        return Ok(());
    }
    let Some(unbound) = socket.kernel_name().filter(|name| name.port() == 0) else { return Ok(()) };
    let Some((raw, size)) = narrowed(fd, Given::Inet(unbound))? else { return Ok(()) };
    let Some(bind) = real::bind.get() else { return Err(libc::ENOSYS) };
    // SAFETY: `raw` is an address of `size` bytes.
    match unsafe { bind(fd, (&raw const raw).cast(), size) } {
        0 => Ok(()),
        _ => Err(errno::get()),
    }
}

/// The socket listens here; now it does at the exit, or nowhere.
fn listening(fd: c_int) -> c_int {
    let socket = ProgramSocket(fd);
    let is_local = |name: SocketAddr| is_local(canonical(name).ip());
    if !is_on() || socket.state() != Ok(State::Other) || !socket.kernel_name().is_some_and(is_local) {
        return 0;
    }
    match socket.exposed(true) {
        Ok(_) => 0,
        Err(errno) => {
            socket.stops_listening();
            errno::fail(errno)
        }
    }
}

/// Who is behind a connection, and where they have connected, if it has come from the agent.
pub(super) fn behind(socket: &ProgramSocket, from: SocketAddr) -> Option<(SocketAddr, SocketAddr)> {
    if !is_on() || !is_ours(from) {
        return None;
    }
    let at = socket.kernel_name()?;
    link::ask(&Request::Accepted { from, at }, |reply| match reply {
        Reply::Peer { peer, local: Some(exit) } => Some((peer, exit)),
        _ => None,
    })
    .ok()
    .flatten()
}

/// The agent connects from an address of its own; there is but one of IPv6.
fn is_ours(from: SocketAddr) -> bool {
    let ip = canonical(from).ip();
    ip == FROM || ip.is_ipv6() && ip.is_loopback()
}

/// What a socket that listens, or has been accepted, shows as its own address.
pub(super) fn shown_at(socket: &ProgramSocket, real: SocketAddr) -> Option<SocketAddr> {
    if !is_on() || real.port() == 0 || socket.state().is_err() {
        return None;
    }
    let exit = match socket.kernel_peer() {
        Some(peer) => behind(socket, peer)?.1,
        None => socket.exposed(false).ok()??,
    };
    // A socket of IPv4 has no room for the other.
    (exit.is_ipv4() || real.is_ipv6()).then_some(exit)
}

/// Shows who has connected in place of the agent.
///
/// # Safety
///
/// `address` has `room` bytes, and `len` is what the kernel has written of its length.
unsafe fn show(accepted: c_int, address: *mut sockaddr, room: socklen_t, len: *mut socklen_t) {
    let judge = || {
        if !is_on() {
            return None;
        }
        let socket = ProgramSocket(accepted);
        let from = socket.kernel_peer()?;
        let (peer, _) = behind(&socket, from)?;
        let family = if from.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        (peer.is_ipv4() || from.is_ipv6()).then(|| Raw::new(peer, family))
    };
    if let Some((raw, size)) = fenced(judge, || None) {
        // SAFETY: the caller's promise; the length is set back to that of the buffer.
        unsafe {
            *len = room;
            raw.write(size, address, len);
        }
    }
}
