//! What the library asks the kernel about the program's socket, through the real functions, with
//! errno left as it was.

use std::ffi::c_void;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, socklen_t};
use underpass_core::wire::{Reply, Request};

use crate::redirect::{Connected, Kind, Socket, State};
use crate::{errno, link, real};

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
        let before = errno::get();
        let Some(connect) = real::connect.get() else { return Err(libc::ENOSYS) };
        let len = size_of::<libc::sa_family_t>() as socklen_t;
        // SAFETY: the kernel reads `len` bytes at the address, which is what `family` has.
        let rc = unsafe { connect(self.0, (&raw const family).cast(), len) };
        let failed = errno::get();
        errno::set(before);
        if rc == 0 { Ok(()) } else { Err(failed) }
    }

    /// Notes an addition to an epoll set.
    pub(crate) fn watched(&self) {
        if !WATCHES_UNCONNECTED.load(Ordering::Relaxed) && self.state() == Ok(State::Closed) {
            WATCHES_UNCONNECTED.store(true, Ordering::Relaxed);
        }
    }
}

impl Socket for ProgramSocket {
    fn state(&self) -> Result<State, c_int> {
        // tcp_info begins with one byte of state; Linux accepts any length (tcp(7)).
        self.option::<u8>(libc::IPPROTO_TCP, libc::TCP_INFO).map(State::from_kernel)
    }

    fn kind(&self) -> Result<Kind, c_int> {
        let domain = self.option::<c_int>(libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        Ok(if matches!(domain, libc::AF_INET | libc::AF_INET6) { Kind::OtherInet } else { Kind::NotInet })
    }

    fn is_blocking(&self) -> bool {
        // SAFETY: the descriptor is the program's open socket for the length of its own call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    fn ask(&self, address: std::net::SocketAddr) -> Connected {
        // SAFETY: as above; the descriptor is passed on, never closed.
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        link::connect(fd, address, WATCHES_UNCONNECTED.load(Ordering::Relaxed))
    }

    fn wait(&self) -> Result<(), c_int> {
        // On a connecting socket the kernel ignores the address and waits, by its own rules for
        // signals, SA_RESTART and SO_SNDTIMEO; on any other it fails with EINVAL and does nothing.
        self.short_connect(libc::AF_INET as libc::sa_family_t)
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
