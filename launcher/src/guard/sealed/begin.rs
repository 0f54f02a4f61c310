//! `connect()` of a sealed program, judged.

use std::os::fd::{AsFd, OwnedFd};

use libc::{AF_INET6, AF_UNIX, EACCES, EBADF, EFAULT, EINVAL, ENETUNREACH, SO_DOMAIN, SOL_SOCKET, c_int};
use rustix::io::Errno;
use underpass_core::destination::{DNS_PORT, canonical, is_local};
use underpass_core::wire::Request;

use super::{Here, Sealed};
use crate::guard::connect::{self, Connecting, Kind};
use crate::guard::datagram::namespace::Namespace;
use crate::guard::link::{Link, Session};
use crate::guard::memory::{self, Given};
use crate::guard::notification::{Answer, Notification};
use crate::guard::sockets;
use crate::kernel;

/// Nobody can be asked.
const UNREACHABLE: Answer = Answer::Fail(ENETUNREACH);

/// What waits for the agent has a link; all else is answered here.
pub(crate) fn begin(
    sealed: &mut Sealed,
    namespace: &Namespace,
    session: &Session,
    call: &Notification,
    still_waits: impl Fn() -> bool,
) -> Result<(Link, Connecting), Answer> {
    let copy = sockets::copy(call, call.int(0)).map_err(|answer| match answer {
        // By now it may be the number of another one.
        Answer::Continue => Answer::Fail(EBADF),
        other => other,
    })?;
    let address = memory::address_bytes(call, call.pointer(1), call.int(2)).map_err(|error| match error {
        Errno::FAULT => Answer::Fail(EFAULT),
        Errno::INVAL => Answer::Fail(EINVAL),
        _ => Answer::Fail(EACCES),
    })?;
    if !still_waits() {
        return Err(Answer::Later);
    }
    // Without a word of the kernel's it might be a Unix socket.
    let domain = kernel::option::<c_int>(&copy, SOL_SOCKET, SO_DOMAIN);
    let domain = domain.map_err(|error| Answer::Fail(error.raw_os_error()))?;
    if domain == AF_UNIX {
        return Err(sealed.sockets.judge(call.thread, copy, address));
    }
    let Given::Inet(to) = memory::parse(&address) else {
        return Err(Answer::Here(Here::new(copy, address)));
    };
    let is_ours = is_local(canonical(to).ip()) && !session.loopback && to.port() != DNS_PORT;
    let is_the_agents = match connect::kind(session, &copy).map_err(|_| UNREACHABLE)? {
        Kind::Closed => !is_ours,
        // A signal has ended a wait, and it goes on.
        Kind::Tcp => !is_ours && connect::waits(&copy),
        Kind::Foreign | Kind::Other => false,
    };
    // EALREADY, EISCONN or a wait; what is no TCP cannot leave by being connected.
    if !is_the_agents {
        return Err(Answer::Here(Here::new(copy, address)));
    }
    let ipv6 = domain == AF_INET6 && needs_ipv6(&copy);
    let completing = sealed.holds.completing(namespace, ipv6).map_err(|_| UNREACHABLE)?;
    let process = call.thread.as_raw_nonzero().get().unsigned_abs();
    let request = Request::Sealed { process, address: to };
    // Before the agent has it: what it was until then is looked at.
    let connecting = Connecting::new(copy, Some(address));
    match session.ask_with(&request, &[connecting.copy.as_fd(), completing.as_fd()]) {
        Ok(link) => Ok((link, connecting)),
        Err(_) => Err(UNREACHABLE),
    }
}

/// Whether a socket of IPv6 cannot be held at an address of IPv4.
fn needs_ipv6(socket: &OwnedFd) -> bool {
    let v6_only = kernel::option::<c_int>(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
    let bound = rustix::net::getsockname(socket).ok();
    let bound = bound.and_then(|bound| std::net::SocketAddr::try_from(bound).ok()).map(canonical);
    v6_only.is_ok_and(|only| only != 0)
        || bound.is_some_and(|bound| bound.is_ipv6() && !bound.ip().is_unspecified())
}
