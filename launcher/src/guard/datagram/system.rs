//! The few calls that rustix has no safe form of.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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

/// A descriptor of the network that a socket is of (SIOCGSKNS), for whom that belongs to.
pub(super) fn network_of(socket: &OwnedFd) -> io::Result<OwnedFd> {
    /// linux/sockios.h
    const SIOCGSKNS: libc::Ioctl = 0x894c as libc::Ioctl;
    // SAFETY: it takes no argument.
    opened(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) })
}

/// A descriptor of the user namespace that owns a namespace (ioctl_ns(2)).
pub(super) fn owner_of(namespace: &OwnedFd) -> io::Result<OwnedFd> {
    /// linux/nsfs.h
    const NS_GET_USERNS: libc::Ioctl = 0xb701 as libc::Ioctl;
    // SAFETY: it takes no argument.
    opened(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) })
}

fn opened(returned: c_int) -> io::Result<OwnedFd> {
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: success is a new descriptor, close-on-exec as all of namespaces are.
    Ok(unsafe { OwnedFd::from_raw_fd(returned) })
}

/// Has a packet socket take UDP alone, of IPv4 and IPv6 (packet(7), SO_ATTACH_FILTER).
pub(super) fn take_datagrams_alone(socket: &OwnedFd) -> io::Result<()> {
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The kind of what is behind the head of 14 bytes; then the protocol, where each has it.
    let code = [
        line(0x28, 0, 0, 12),
        line(0x15, 0, 2, libc::ETH_P_IP as u32),
        line(0x30, 0, 0, 14 + 9),
        line(0x15, 3, 4, libc::IPPROTO_UDP as u32),
        line(0x15, 0, 3, libc::ETH_P_IPV6 as u32),
        line(0x30, 0, 0, 14 + 6),
        line(0x15, 0, 1, libc::IPPROTO_UDP as u32),
        line(0x06, 0, 0, u32::MAX),
        line(0x06, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_ptr().cast_mut() };
    // SAFETY: the program and its instructions outlive the call, which copies them and changes nothing.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
