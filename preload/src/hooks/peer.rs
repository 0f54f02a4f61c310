//! What a program reads of its socket: the far end, the near end, and the error.

use std::ffi::c_void;
use std::net::SocketAddr;

use libc::{c_int, sockaddr, socklen_t};
use underpass_core::destination::is_local;
use underpass_core::wire::{Reply, Request};

use super::receive::stands_for;
use super::{hooks, listening};
use crate::address::{Given, Raw};
use crate::fence::fenced;
use crate::redirect::{Kind, Socket, State};
use crate::socket::ProgramSocket;
use crate::{errno, link, paths, real};

hooks! {
    /// getpeername(2): the destination, not the proxy and not the loopback leg.
    fn getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int,
        closed errno::fail(libc::ENOTCONN) => match real::getpeername.get() {
            Some(get) => shown(fd, address, len, get, |socket, real| match at_of_agent(socket, real) {
                Some(at) => stands_for(at),
                None => match listening::behind(socket, real) {
                    Some((peer, _)) => Some(peer),
                    None => peer_of(socket).map(|(peer, _)| peer),
                },
            }),
            None => errno::fail(libc::ENOSYS),
        };

    /// getsockname(2): where it would show the loopback leg, the address that the connection leaves from.
    fn getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int,
        closed errno::fail(libc::EBADF) => match real::getsockname.get() {
            Some(get) => shown(fd, address, len, get, |socket, real| {
                if !is_local(real.ip()) {
                    return None;
                }
                if let Some(exit) = listening::shown_at(socket, real) {
                    return Some(exit);
                }
                // The address is that of the leg that leaves; the port is the program's own, which it
                // may have bound.
                let (_, local) = match datagram_peer(socket) {
                    Some(at) => source(at)?,
                    None => peer_of(socket)?,
                };
                // An IPv4 socket cannot show that the proxy is reached by IPv6.
                let local = local.filter(|local| local.is_ipv4() || real.is_ipv6())?;
                Some(SocketAddr::new(local.ip(), real.port()))
            }),
            None => errno::fail(libc::ENOSYS),
        };

    /// getsockopt(2): SO_ERROR tells the true errno of a held connection that failed.
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int,
        closed errno::fail(libc::EINVAL) => {
            let Some(getsockopt) = real::getsockopt.get() else { return errno::fail(libc::ENOSYS) };
            let rc = getsockopt(fd, level, name, value, len);
            if rc == 0 && level == libc::SOL_SOCKET && name == libc::SO_ERROR {
                // The kernel sets the state before the error, so a zero in state CLOSE is asked about too.
                let socket = ProgramSocket(fd);
                let failed = socket.state() == Ok(State::Closed);
                if let Some(errno) = failed.then(|| socket.noted_failure()).flatten() {
                    let errno = errno.to_ne_bytes();
                    let room = (*len as usize).min(errno.len());
                    std::ptr::copy_nonoverlapping(errno.as_ptr(), value.cast::<u8>(), room);
                }
            }
            rc
        };
}

type NameCall = unsafe extern "C-unwind" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int;

/// Makes the real call, and shows the program what `instead` gives, if anything.
///
/// # Safety
///
/// The arguments are as getpeername(2) requires.
unsafe fn shown(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    real: NameCall,
    instead: impl FnOnce(&ProgramSocket, SocketAddr) -> Option<SocketAddr>,
) -> c_int {
    // What the kernel writes no address to, it refuses by itself, or writes the length alone.
    // SAFETY: a length that is not null is readable, by the contract of the call.
    if address.is_null() || len.is_null() || c_int::try_from(unsafe { *len }).is_err() {
        // SAFETY: the program's own arguments.
        return unsafe { real(fd, address, len) };
    }
    // The program's buffer may be cut short, so the judgement is made on one of our own.
    let mut own = std::mem::MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut own_len = size_of::<libc::sockaddr_storage>() as socklen_t;
    let before = errno::get();
    // SAFETY: `own` has `own_len` bytes.
    let known = unsafe { real(fd, own.as_mut_ptr().cast(), &mut own_len) } == 0;
    errno::set(before);
    // SAFETY: `own` has at least as many bytes as the kernel says that it wrote.
    let shown = known.then(|| unsafe { crate::address::read(own.as_ptr().cast(), own_len) });
    if let Some(Given::Inet(real)) = shown
        && let Some(answer) = instead(&ProgramSocket(fd), real)
    {
        let family = if real.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        let (raw, size) = Raw::new(answer, family);
        // SAFETY: the program's buffer and its length, by the contract of the call.
        unsafe { raw.write(size, address, len) };
        return 0;
    }
    // SAFETY: the program's own arguments.
    unsafe { real(fd, address, len) }
}

/// Whether a socket is connected to one of the agent's that take datagrams.
pub(super) fn is_connected_to_agent(fd: c_int) -> bool {
    fenced(|| datagram_peer(&ProgramSocket(fd)).is_some(), || true)
}

/// Which of the agent's sockets a datagram socket is connected to.
fn datagram_peer(socket: &ProgramSocket) -> Option<SocketAddr> {
    let peer = socket.kernel_peer()?;
    at_of_agent(socket, peer)
}

/// The address if it is one of the agent's for datagrams.
fn at_of_agent(socket: &ProgramSocket, address: SocketAddr) -> Option<SocketAddr> {
    let is_datagram = || socket.kind() == Ok(Kind::Datagram);
    (paths::may_be_at(address) && is_datagram()).then_some(address)
}

/// For whom it stands, and the local address that the kernel would have chosen.
fn source(at: SocketAddr) -> Option<(SocketAddr, Option<SocketAddr>)> {
    link::ask(&Request::Source { at }, |reply| match reply {
        Reply::Peer { peer, local } => Some((peer, local)),
        _ => None,
    })
    .ok()
    .flatten()
}

/// Destination and local address, if the socket is one that the agent carries.
pub(super) fn peer_of(socket: &ProgramSocket) -> Option<(SocketAddr, Option<SocketAddr>)> {
    if socket.state() != Ok(State::Other) && socket.state() != Ok(State::Connecting) {
        return None;
    }
    let cookie = socket.cookie()?;
    link::ask(&Request::Peer { cookie }, |reply| match reply {
        Reply::Peer { peer, local } => Some((peer, local)),
        _ => None,
    })
    .ok()
    .flatten()
}
