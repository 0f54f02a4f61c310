//! Several datagrams in one call on a socket that is not connected: each has addresses of its own.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_uint, c_void, mmsghdr, msghdr};
use socket2::{SockAddr, SockAddrStorage};
use underpass_core::destination::canonical;

use super::MANY;

/// Where a datagram was sent from and to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) from: Option<SocketAddr>,
    /// Only where the socket asks for it (IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR).
    pub(crate) to: Option<SocketAddr>,
}

impl Ends {
    /// Both in canonical form, where both are known.
    pub(crate) fn pair(self) -> Option<(SocketAddr, SocketAddr)> {
        Some((canonical(self.from?), canonical(self.to?)))
    }
}

/// Room for a control message with an address, aligned as one.
type Control = [u64; 8];

/// Takes what is there, one datagram for each buffer, and writes their lengths and ends; how many they are. Fewer
/// than there are buffers: nothing more was there. Does not wait.
pub(crate) fn receive_many_from(
    socket: &impl AsFd,
    buffers: &mut [IoSliceMut<'_>; MANY],
    lengths: &mut [usize; MANY],
    ends: &mut [Ends; MANY],
) -> io::Result<usize> {
    // SAFETY: all zero bytes are a valid mmsghdr: null pointers and lengths of zero.
    let mut messages: [mmsghdr; MANY] = unsafe { zeroed() };
    let mut names = [(); MANY].map(|()| SockAddrStorage::zeroed());
    let mut controls: [Control; MANY] = [[0; 8]; MANY];
    let places = buffers.iter_mut().zip(&mut names).zip(&mut controls);
    for (message, ((buffer, name), control)) in messages.iter_mut().zip(places) {
        let header = &mut message.msg_hdr;
        // An IoSliceMut has the layout of an iovec (its documentation says so).
        header.msg_iov = std::ptr::from_mut(buffer).cast();
        header.msg_iovlen = 1;
        header.msg_namelen = name.size_of();
        header.msg_name = std::ptr::from_mut(name).cast();
        header.msg_control = std::ptr::from_mut(control).cast();
        header.msg_controllen = size_of::<Control>() as _;
    }
    let (fd, flags) = (socket.as_fd().as_raw_fd(), libc::MSG_DONTWAIT);
    // SAFETY: each message has one buffer, one room for an address and one for control messages, which outlive the
    // call; no time-out is given.
    let count = unsafe {
        libc::recvmmsg(fd, messages.as_mut_ptr(), MANY as c_uint, flags as _, std::ptr::null_mut())
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (at, (message, name)) in messages[..count.min(MANY)].iter().zip(names).enumerate() {
        lengths[at] = message.msg_len as usize;
        // SAFETY: the kernel has written so many bytes of an address, and a storage of zeros is none.
        let from = unsafe { SockAddr::new(name, message.msg_hdr.msg_namelen) }.as_socket();
        ends[at] = Ends { from, to: original(&message.msg_hdr) };
    }
    Ok(count)
}

/// The address that a datagram was sent to, from its control messages.
fn original(header: &msghdr) -> Option<SocketAddr> {
    // SAFETY: the header has just been filled by recvmmsg(2), and its control messages are still there.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: it is null or the first of the control messages, aligned as one ([`Control`]).
    while let Some(message) = unsafe { next.as_ref() } {
        let length = match (message.cmsg_level, message.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) => size_of::<libc::sockaddr_in>(),
            (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR) => size_of::<libc::sockaddr_in6>(),
            _ => 0,
        };
        // SAFETY: CMSG_LEN and CMSG_DATA calculate alone, and the data are as long as the header says.
        unsafe {
            if length != 0 && message.cmsg_len >= libc::CMSG_LEN(length as c_uint) as _ {
                let mut storage = SockAddrStorage::zeroed();
                let to = std::ptr::from_mut(&mut storage).cast::<u8>();
                std::ptr::copy_nonoverlapping(libc::CMSG_DATA(message), to, length);
                return SockAddr::new(storage, length as libc::socklen_t).as_socket();
            }
            next = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}

/// Sends each datagram to its address, at most [`MANY`]; how many were sent. Does not wait.
pub(crate) fn send_many_to(socket: &impl AsFd, datagrams: &[(IoSlice<'_>, SocketAddr)]) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: as above.
    let mut messages: [mmsghdr; MANY] = unsafe { zeroed() };
    let mut names: [Option<SockAddr>; MANY] = [const { None }; MANY];
    for (message, (name, (buffer, to))) in messages.iter_mut().zip(names.iter_mut().zip(datagrams)) {
        let name = name.insert(SockAddr::from(*to));
        // An IoSlice has the layout of an iovec, which sendmmsg only reads, as it does the address.
        message.msg_hdr.msg_iov = std::ptr::from_ref(buffer).cast_mut().cast();
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = name.as_ptr().cast_mut().cast::<c_void>();
        message.msg_hdr.msg_namelen = name.len();
    }
    let count = datagrams.len().min(MANY) as c_uint;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` messages have one buffer and one address each, which outlive the call.
    let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), count, flags as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn each_datagram_has_its_own_ends() {
        for host in ["127.0.0.1", "::1"] {
            let [a, b, c] = [(); 3].map(|()| UdpSocket::bind((host, 0)).unwrap());
            let [a_at, b_at, c_at] = [&a, &b, &c].map(|socket| socket.local_addr().unwrap());
            let (one, two) = (IoSlice::new(b"one"), IoSlice::new(b""));
            assert_eq!(send_many_to(&a, &[(one, b_at), (two, c_at), (one, b_at)]).unwrap(), 3);
            assert_eq!(send_many_to(&c, &[(two, b_at)]).unwrap(), 1);
            let mut space = vec![0; MANY * 64];
            let mut chunks = space.chunks_exact_mut(64);
            let mut buffers: [IoSliceMut<'_>; MANY] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap()));
            let (mut lengths, mut ends) = ([0; MANY], [Ends::default(); MANY]);
            assert_eq!(receive_many_from(&b, &mut buffers, &mut lengths, &mut ends).unwrap(), 3);
            assert_eq!(lengths[..3], [3, 3, 0]);
            assert_eq!(ends.map(|ends| ends.from)[..3], [Some(a_at), Some(a_at), Some(c_at)]);
            // IP_RECVORIGDSTADDR and IPV6_RECVORIGDSTADDR have the numbers of what they ask for.
            let (level, name) = match b_at {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR),
            };
            super::super::set_option(&b, level, name, 1).unwrap();
            a.send_to(b"x", b_at).unwrap();
            assert_eq!(receive_many_from(&b, &mut buffers, &mut lengths, &mut ends).unwrap(), 1);
            assert_eq!(ends[0], Ends { from: Some(a_at), to: Some(b_at) });
        }
    }
}
