//! The system calls that no crate has a safe form for. Unsafe code of the agent is here and nowhere
//! else; `many` and `addressed` are parts of it.

mod addressed;
mod many;

pub(crate) use addressed::{Ends, receive_many_from, send_many_to};
pub(crate) use many::{MANY, receive_many, send_many};

use std::ffi::{c_int, c_void};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use libc::socklen_t;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which process this is after [`fork`].
pub(crate) enum Fork {
    Parent,
    Child,
}

/// fork(2), for a process that has no second thread yet.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the agent forks first thing in main, before it starts a thread, so the child may do
    // whatever the parent could.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        _ => Ok(Fork::Parent),
    }
}

/// Closes every descriptor from `first` on, but `keep`.
pub(crate) fn close_from(first: u32, keep: RawFd) -> io::Result<()> {
    let keep = u32::try_from(keep).map_err(io::Error::other)?;
    for (low, high) in [(first, keep.saturating_sub(1)), (keep + 1, u32::MAX)] {
        if low <= high {
            // SAFETY: called before anything but `keep` is owned by a Rust value; what is closed
            // came from the process that started us.
            let rc = unsafe { libc::syscall(libc::SYS_close_range, low, high, 0) };
            if rc != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// An integer option of a socket (socket(7), ip(7), ipv6(7), tcp(7)).
pub(crate) fn option<T: Copy + Default>(socket: &impl AsFd, level: c_int, name: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as socklen_t;
    // SAFETY: `value` has `len` bytes, and T is one of the integer types that this module is used with, or an array.
    let rc = unsafe {
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw mut value).cast::<c_void>(), &mut len)
    };
    if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Who is at the other end of a Unix socket (unix(7), SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// 0: of a process namespace above ours, where it has no number for us.
    pub(crate) pid: i32,
    pub(crate) uid: u32,
}

/// Not by rustix, which has no value for a process without a number.
pub(crate) fn asker(connection: &impl AsFd) -> io::Result<Asker> {
    let [pid, uid, _] = option::<[u32; 3]>(connection, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok(Asker { pid: pid.cast_signed(), uid })
}

/// Sets an integer option of a socket.
pub(crate) fn set_option(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let len = size_of::<c_int>() as socklen_t;
    // SAFETY: the kernel reads `len` bytes of `value`.
    let rc = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast::<c_void>(), len)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a socket may be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Loopback,
    Other,
}

/// The device to which the socket is bound (SO_BINDTODEVICE, socket(7)).
pub(crate) fn bound_device(socket: &impl AsFd) -> Option<Device> {
    let mut name = [0u8; libc::IFNAMSIZ];
    let mut len = name.len() as socklen_t;
    // SAFETY: `name` has `len` bytes.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            name.as_mut_ptr().cast::<c_void>(),
            &mut len,
        )
    };
    match &name[..] {
        _ if rc != 0 || len == 0 || name[0] == 0 => None,
        // The kernel's own name for it, in every network namespace.
        [b'l', b'o', 0, ..] => Some(Device::Loopback),
        _ => Some(Device::Other),
    }
}

/// How long the kernel waits for an answer to the SYNs of this socket: 1 s, then twice as long for each further one
/// (`TCP_SYNCNT` and `tcp_syn_retries`, tcp(7); the first time-out is that of RFC 6298 section 2).
pub(crate) fn syn_patience(socket: &impl AsFd) -> Duration {
    // The option tells the setting of the system where the program has not set it.
    let retries = option::<c_int>(socket, libc::IPPROTO_TCP, libc::TCP_SYNCNT).unwrap_or(c_int::MAX);
    Duration::from_secs((2_u64 << retries.clamp(0, 12)) - 1)
}

/// Whether a send time-out is set (SO_SNDTIMEO), which `connect()` obeys.
pub(crate) fn has_send_timeout(socket: &impl AsFd) -> bool {
    let mut value = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut len = size_of::<libc::timeval>() as socklen_t;
    // SAFETY: `value` has `len` bytes.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw mut value).cast::<c_void>(),
            &mut len,
        )
    };
    rc != 0 || value.tv_sec != 0 || value.tv_usec != 0
}

/// Nobody who runs is interrupted because something has come for us: by the time that it is our turn more has, and
/// it is done in one go (SCHED_BATCH, sched(7)).
pub(crate) fn take_turns() {
    // SAFETY: the structure is plain integers, and the kernel only reads it. This thread alone is meant (0), and those
    // that it makes.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters);
    }
}

/// Has the allocator keep what is freed for the next that ask, up to 16 MiB: records of TLS come and go, and a page
/// that goes to the kernel with each costs more than the record (mallopt(3)). Other allocators than glibc's are as they are.
pub(crate) fn keep_freed_memory() {
    // SAFETY: both are bounds of the allocator's, to be set at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

/// The addresses of all interfaces (getifaddrs(3)).
pub(crate) fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: it writes one pointer.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut next = list;
    // SAFETY: the list is libc's until `freeifaddrs`, and each link of it is null or an entry.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        if entry.ifa_addr.is_null() {
            continue;
        }
        // SAFETY: an address is as long as its family says, and its fields may be read unaligned.
        unsafe {
            match i32::from((*entry.ifa_addr).sa_family) {
                libc::AF_INET => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    found.push(IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()));
                }
                libc::AF_INET6 => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    found.push(IpAddr::from(address.sin6_addr.s6_addr));
                }
                _ => {}
            }
        }
    }
    // SAFETY: it came from `getifaddrs`, and nothing of it is kept.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

/// Where a connection was going before the kernel redirected it to us (SO_ORIGINAL_DST of netfilter, linux/netfilter_ipv4.h;
/// IP6T_SO_ORIGINAL_DST has the same number).
pub(crate) fn original_destination(socket: &impl AsFd) -> Option<SocketAddr> {
    const ORIGINAL_DESTINATION: c_int = 80;
    for (level, length) in [
        (libc::IPPROTO_IP, size_of::<libc::sockaddr_in>()),
        (libc::IPPROTO_IPV6, size_of::<libc::sockaddr_in6>()),
    ] {
        let mut storage = socket2::SockAddrStorage::zeroed();
        let (mut len, fd) = (length as socklen_t, socket.as_fd().as_raw_fd());
        let place = (&raw mut storage).cast::<c_void>();
        // SAFETY: the storage has room for every address, so for `len` bytes.
        if unsafe { libc::getsockopt(fd, level, ORIGINAL_DESTINATION, place, &mut len) } == 0 {
            // SAFETY: the kernel has written an address of `len` bytes.
            return unsafe { socket2::SockAddr::new(storage, len) }.as_socket();
        }
    }
    None
}

/// Bytes that the far end has not acknowledged yet (SIOCOUTQ, tcp(7)).
pub(crate) fn unacknowledged(socket: &impl AsFd) -> usize {
    let mut bytes: c_int = 0;
    // SAFETY: SIOCOUTQ (the number of TIOCOUTQ) writes one int.
    let rc = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if rc == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Whether the next byte to be read is an urgent one (SIOCATMARK, tcp(7)).
pub(crate) fn is_at_mark(socket: &impl AsFd) -> bool {
    let mut at_mark: c_int = 0;
    // SAFETY: SIOCATMARK writes one int.
    let rc = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCATMARK, &raw mut at_mark) };
    rc == 0 && at_mark != 0
}

/// asm-generic/sockios.h, which x86-64 and aarch64 have.
const SIOCATMARK: libc::Ioctl = 0x8905;

/// `tcpi_bytes_acked` and `tcpi_bytes_received` of `struct tcp_info` (linux/tcp.h, since Linux 4.1): what
/// the far end has acknowledged, and what it has sent. SYN and FIN count as one byte each where they are
/// acknowledged, FIN also where it arrives.
#[cfg(test)]
pub(crate) fn tcp_bytes(socket: &impl AsFd) -> io::Result<(u64, u64)> {
    let mut info = [0u64; 17];
    let mut len = size_of_val(&info) as socklen_t;
    // SAFETY: `info` has `len` bytes, and any bytes are integers.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast::<c_void>(),
            &mut len,
        )
    };
    if rc == 0 { Ok((info[TCP_ACKED / 8], info[TCP_RECEIVED / 8])) } else { Err(io::Error::last_os_error()) }
}

/// Offsets in `struct tcp_info`, in bytes.
pub(crate) const TCP_ACKED: usize = 120;
pub(crate) const TCP_RECEIVED: usize = 128;

/// `connect(AF_UNSPEC)`: makes the socket unconnected again (connect(2)).
pub(crate) fn dissolve(socket: &impl AsFd) {
    let family = libc::AF_UNSPEC as libc::sa_family_t;
    let len = size_of::<libc::sockaddr>() as socklen_t;
    let unspecified = libc::sockaddr { sa_family: family, sa_data: [0; 14] };
    // SAFETY: the kernel reads `len` bytes of the address. It cannot fail on a TCP socket.
    unsafe { libc::connect(socket.as_fd().as_raw_fd(), &raw const unspecified, len) };
}

/// The state of a TCP socket: the first byte of tcp_info (tcp(7)).
pub(crate) fn tcp_state(socket: &impl AsFd) -> io::Result<u8> {
    option::<u8>(socket, libc::IPPROTO_TCP, libc::TCP_INFO)
}

/// `TCP_ESTABLISHED` of net/tcp_states.h.
pub(crate) const ESTABLISHED: u8 = 1;
/// `TCP_SYN_SENT`.
pub(crate) const SYN_SENT: u8 = 2;
/// `TCP_FIN_WAIT2`: the other end has acknowledged our FIN.
pub(crate) const FIN_WAIT2: u8 = 5;
/// `TCP_CLOSE_WAIT`: its FIN has arrived.
pub(crate) const CLOSE_WAIT: u8 = 8;
/// `TCP_CLOSE`.
pub(crate) const CLOSE: u8 = 7;

/// A descriptor that stays open, and the same, as long as the value lives.
pub(crate) trait Open: AsRawFd + AsFd {}
impl Open for std::os::fd::OwnedFd {}
impl Open for std::os::fd::BorrowedFd<'_> {}

/// All that can happen to a connection; with what is urgent comes EPOLLPRI.
pub(crate) const EVERYTHING: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// Registers a descriptor with the runtime.
pub(crate) fn watch<T: Open>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: both kinds of `Open` give one descriptor, which stays open and the same for their life.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(Into::into)
}
