//! The few calls that rustix has no safe form of.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{AF_PACKET, c_int, c_long, sockaddr_ll, socklen_t};
use rustix::process::Pid;

/// A copy of this process, without its threads, in namespaces of its own. The parent is not told of its end (no signal,
/// and wait(2) does not see it but with `__WCLONE`).
pub(super) enum Copy {
    /// This is the copy.
    This,
    /// This is the process that was there before.
    Made(Pid),
}

/// Makes one.
///
/// # Safety
///
/// The copy may have been made while another thread held a lock: until it ends it allocates nothing, and calls nothing
/// that takes a lock.
pub(super) unsafe fn copy(namespaces: c_int) -> io::Result<Copy> {
    let none: c_long = 0;
    // SAFETY: without CLONE_VM the copy has its own memory, and without a stack of its own goes on with a copy of this
    // one; what it may do is the caller's promise.
    let made = unsafe { libc::syscall(libc::SYS_clone, c_long::from(namespaces), none, none, none, none) };
    match Pid::from_raw(made as c_int) {
        Some(pid) if made > 0 => Ok(Copy::Made(pid)),
        _ if made == 0 => Ok(Copy::This),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes every descriptor from `first` on.
pub(super) fn close_from(first: u32) -> bool {
    // SAFETY: only a copy calls it, which uses none of them any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) == 0 }
}

/// Binds a packet socket to a card: from now on it has every packet that passes there, but for its own.
pub(crate) fn bind_to_card(socket: &OwnedFd, index: u32) -> io::Result<()> {
    /// linux/if_packet.h
    const PACKET_QDISC_BYPASS: c_int = 20;
    const PACKET_IGNORE_OUTGOING: c_int = 23;
    set(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
    // Of a pair the card that is up first gets its queue some time after the other is up (net/core/link_watch.c), and
    // loses what is sent there before.
    set(socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, 1)?;
    // SAFETY: all zero bytes are a sockaddr_ll.
    let mut address: sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as c_int;
    // SAFETY: the address is whole, and of this length.
    let bound = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<sockaddr_ll>() as socklen_t)
    };
    if bound == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// setsockopt(2) of a number.
pub(super) fn set(socket: &OwnedFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the value is of this length.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<c_int>() as socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
