//! What the library asks the kernel about the program's socket, through the real functions, with
//! errno left as it was.

use std::ffi::c_void;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, socklen_t};
use rustix::event::{PollFd, PollFlags, Timespec};
use underpass_core::destination::{canonical, is_local};
use underpass_core::wire::{Purpose, Reply, Request};

use crate::address::Raw;
use crate::redirect::datagram::Way;
use crate::redirect::{Connected, Kind, Socket, State};
use crate::{ahead, errno, link, paths, real, session};

/// socket(7); the device as a number, which needs no buffer.
const SO_BINDTOIFINDEX: c_int = 62;

/// Whether this process has put a TCP socket into an epoll set before it was connected. Sockets are
/// then held, not handed off: hand-off would report the connection to the proxy as readiness.
static WATCHES_UNCONNECTED: AtomicBool = AtomicBool::new(false);

/// The program's socket `fd`; only borrowed, and never assumed to be one.
pub(crate) struct ProgramSocket(pub(crate) RawFd);

impl ProgramSocket {
    /// Reads an option into a `T`; the errno on failure, which is not left in the thread's errno.
    fn option<T: Copy + Default>(&self, level: c_int, name: c_int) -> Result<T, c_int> {
        let mut value = T::default();
        let mut len = size_of::<T>() as socklen_t;
        let before = errno::get();
        let Some(getsockopt) = real::getsockopt.get() else { return Err(libc::ENOSYS) };
        // SAFETY: `value` and `len` are ours, and `len` is the size of `value`, an integer type.
        let rc = unsafe { getsockopt(self.0, level, name, (&raw mut value).cast::<c_void>(), &mut len) };
        let failed = errno::get();
        errno::set(before);
        if rc == 0 { Ok(value) } else { Err(failed) }
    }

    /// Whether there is anything of this number.
    pub(crate) fn is_open(&self) -> bool {
        // SAFETY: not -1. Of a number that is not open the kernel says so (EBADF), and nothing is changed.
        self.0 >= 0 && rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(self.0) }).is_ok()
    }

    /// The kernel's name for the open socket, equal across dup, fork and exec (SO_COOKIE, socket(7)).
    pub(crate) fn cookie(&self) -> Option<u64> {
        self.option::<u64>(libc::SOL_SOCKET, libc::SO_COOKIE).ok()
    }

    /// Reads and so clears the pending error.
    pub(crate) fn take_error(&self) -> c_int {
        self.option::<c_int>(libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0)
    }

    /// The errno that the agent has noted for this socket's failed attempt; it is told once.
    pub(crate) fn noted_failure(&self) -> Option<c_int> {
        let cookie = self.cookie()?;
        link::ask(&Request::Outcome { cookie }, |reply| match reply {
            Reply::Outcome { errno } if errno != 0 => Some(errno),
            _ => None,
        })
        .ok()
        .flatten()
    }

    /// `connect()` with an address of which the kernel reads only the family.
    fn short_connect(&self, family: libc::sa_family_t) -> Result<(), c_int> {
        self.real_connect((&raw const family).cast(), size_of::<libc::sa_family_t>() as socklen_t)
    }

    /// The real `connect()`; `address` has `len` bytes and lives in this library.
    fn real_connect(&self, address: *const libc::sockaddr, len: socklen_t) -> Result<(), c_int> {
        let before = errno::get();
        let Some(connect) = real::connect.get() else { return Err(libc::ENOSYS) };
        // SAFETY: both callers pass a value of their own and its size.
        let rc = unsafe { connect(self.0, address, len) };
        let failed = errno::get();
        errno::set(before);
        if rc == 0 { Ok(()) } else { Err(failed) }
    }

    /// Waits for a connecting socket in the kernel, which ignores the address and goes by its own rules
    /// for signals, SA_RESTART and SO_SNDTIMEO. On any other socket it fails and does nothing. A
    /// cancellation point.
    pub(crate) fn wait(&self) -> Result<(), c_int> {
        self.short_connect(libc::AF_INET as libc::sa_family_t)
    }

    /// The other end as the kernel has it.
    pub(crate) fn kernel_peer(&self) -> Option<SocketAddr> {
        // SAFETY: the descriptor is the program's open socket for the length of its own call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        rustix::net::getpeername(fd).ok()??.try_into().ok()
    }

    /// Its own end as the kernel has it.
    pub(crate) fn kernel_name(&self) -> Option<SocketAddr> {
        // SAFETY: as above.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        rustix::net::getsockname(fd).ok()?.try_into().ok()
    }

    /// Whether it is for IPv6 alone.
    pub(crate) fn is_v6_only(&self) -> bool {
        self.option::<c_int>(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY).is_ok_and(|only| only != 0)
    }

    /// Where the agent has it exposed, or does from now on.
    pub(crate) fn exposed(&self, listens: bool) -> Result<Option<SocketAddr>, c_int> {
        // SAFETY: as above; the descriptor is passed on, never closed.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        let asked = link::ask_about(fd, &Request::Listen { listens }, |reply| match reply {
            Reply::Peer { peer, .. } => Ok(Some(peer)),
            Reply::Refuse { errno } => Err(errno),
            _ => Ok(None),
        });
        asked.unwrap_or(Err(libc::EACCES))
    }

    /// Makes it listen no longer; it stays bound.
    pub(crate) fn stops_listening(&self) {
        // SAFETY: as above.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        let _ = rustix::net::shutdown(fd, rustix::net::Shutdown::Both);
    }

    /// Connects a datagram socket to one of the agent's.
    pub(crate) fn connect_to(&self, at: SocketAddr) -> Result<(), c_int> {
        let family = self.option::<c_int>(libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        let (raw, len) = Raw::new(at, family);
        self.real_connect((&raw const raw).cast(), len)
    }

    /// Puts a non-blocking socket into `SYN_SENT` at `hold`, for an address; whether it is there now. If not, nothing
    /// has happened to it, or another thread was first: then its errno.
    fn hold_ahead(&self, hold: SocketAddr, address: SocketAddr) -> Result<bool, c_int> {
        let none = |level, name| self.option::<c_int>(level, name) == Ok(0);
        // A pending error is that of a failed attempt, which has to be reported first; from a socket
        // that is bound to a device the SYN would leave the machine.
        if self.is_blocking()
            || !none(libc::SOL_SOCKET, SO_BINDTOIFINDEX)
            || !none(libc::SOL_SOCKET, libc::SO_ERROR)
        {
            return Ok(false);
        }
        let Ok(family) = self.option::<c_int>(libc::SOL_SOCKET, libc::SO_DOMAIN) else { return Ok(false) };
        // The kernel refuses an address of another family.
        if (family == libc::AF_INET6) != address.is_ipv6() {
            return Ok(false);
        }
        let (raw, len) = Raw::new(hold, family);
        match self.real_connect((&raw const raw).cast(), len) {
            // Anything but the agent's listener would have answered at once.
            Err(libc::EINPROGRESS) if self.state() == Ok(State::Connecting) => Ok(true),
            Ok(()) | Err(libc::EINPROGRESS) => {
                self.dissolve();
                Ok(false)
            }
            Err(errno @ (libc::EALREADY | libc::EISCONN)) => Err(errno),
            Err(_) => {
                self.take_error();
                Ok(false)
            }
        }
    }

    /// Notes an addition to an epoll set.
    pub(crate) fn watched(&self) {
        if !WATCHES_UNCONNECTED.load(Ordering::Relaxed) && self.may_be_unconnected() {
            WATCHES_UNCONNECTED.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is a TCP socket in state CLOSE, or might be one that was connected before. The kernel is asked for options only
    /// of what looks like a new one: programs that confine themselves (Chromium) are ended by such a question, not by poll(2).
    fn may_be_unconnected(&self) -> bool {
        // SAFETY: as above.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP)];
        if rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
            return false;
        }
        let [now] = polled.map(|fd| fd.revents());
        if !now.contains(PollFlags::OUT | PollFlags::HUP) {
            return false;
        }
        // Both directions of a socket have ended, of whatever kind it is.
        now.contains(PollFlags::RDHUP) || self.state() == Ok(State::Closed)
    }
}

impl Socket for ProgramSocket {
    fn state(&self) -> Result<State, c_int> {
        // tcp_info begins with one byte of state; Linux accepts any length (tcp(7)).
        self.option::<u8>(libc::IPPROTO_TCP, libc::TCP_INFO).map(State::from_kernel)
    }

    fn kind(&self) -> Result<Kind, c_int> {
        let domain = self.option::<c_int>(libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        if !matches!(domain, libc::AF_INET | libc::AF_INET6) {
            return Ok(Kind::NotInet);
        }
        let protocol = self.option::<c_int>(libc::SOL_SOCKET, libc::SO_PROTOCOL)?;
        Ok(match protocol {
            // It is the supervisor's, who carries what is sent by it.
            libc::IPPROTO_UDP if session::session().is_some_and(|session| session.supervised) => {
                Kind::NotInet
            }
            libc::IPPROTO_UDP => Kind::Datagram,
            _ => Kind::OtherInet,
        })
    }

    fn is_blocking(&self) -> bool {
        // SAFETY: the descriptor is the program's open socket for the length of its own call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    fn loopback_is_routed(&self) -> bool {
        session::session().is_some_and(|session| session.loopback)
    }

    fn asks_resolver(&self) -> bool {
        session::session().is_some_and(|session| session.asks_resolver)
    }

    fn ask(&self, address: SocketAddr) -> Connected {
        // SAFETY: as above; the descriptor is passed on, never closed.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        let watched = WATCHES_UNCONNECTED.load(Ordering::Relaxed);
        // Most of loopback is direct, which the agent cannot say of a socket that is held already.
        let asks_first = watched || is_local(canonical(address).ip());
        let ahead = if asks_first { None } else { ahead::listener() };
        match ahead.map(|hold| (hold, self.hold_ahead(hold, address))) {
            Some((hold, Ok(true))) => match link::tell(fd, address, hold.port()) {
                Ok(()) => Connected::Held { blocking: false },
                Err(_) => Connected::Lost,
            },
            Some((_, Err(errno))) => Connected::Failed(errno),
            _ => {
                let connected = link::connect(fd, address, watched);
                // A supervisor may have a copy, which it lets go when it sees a call.
                if connected == Connected::HandedOff
                    && session::session().is_some_and(|session| session.supervised)
                    && self.state() == Ok(State::Other)
                {
                    let _ = self.wait();
                }
                connected
            }
        }
    }

    fn known_way(&self, address: SocketAddr) -> Option<Way> {
        paths::way(address, || self.cookie())
    }

    fn way(&self, address: SocketAddr, purpose: Purpose) -> Way {
        // SAFETY: as above.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        let request = Request::Datagram { address, purpose };
        let asked = link::ask_about(fd, &request, |reply| match reply {
            Reply::Direct => (Way::Direct, true),
            Reply::Via { at, ready } => (Way::Via(at), ready),
            Reply::Refuse { errno } => (Way::Refused(errno), false),
            _ => (Way::Refused(libc::ENETUNREACH), false),
        });
        let (way, ready) = asked.unwrap_or((Way::Refused(libc::ENETUNREACH), false));
        match (self.cookie(), way) {
            (Some(cookie), _) if ready => paths::learn(cookie, address, way),
            // The next datagram asks again; but whose answers come from there is known.
            (_, Way::Via(at)) => paths::learn_source(at, Some(address)),
            _ => {}
        }
        way
    }

    fn dissolve(&self) {
        let _ = self.short_connect(libc::AF_UNSPEC as libc::sa_family_t);
        self.take_error();
    }

    fn clear_error(&self) {
        self.take_error();
    }

    fn failure(&self) -> Option<c_int> {
        self.noted_failure()
    }
}
