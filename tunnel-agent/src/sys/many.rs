//! Several datagrams in one call (recvmmsg(2), sendmmsg(2)), which no crate here has a form for that
//! neither allocates nor adds control messages. Flags and lengths have other types of integers with musl.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_uint, mmsghdr};

/// The most in one call.
pub(crate) const MANY: usize = 16;

/// Takes what is there, one datagram for each buffer, and writes their lengths; how many they are. Fewer
/// than there are buffers: nothing more was there. Does not wait.
pub(crate) fn receive_many(
    socket: &impl AsFd,
    buffers: &mut [IoSliceMut<'_>; MANY],
    lengths: &mut [usize; MANY],
) -> io::Result<usize> {
    // SAFETY: all zero bytes are a valid mmsghdr: null pointers and lengths of zero.
    let mut messages: [mmsghdr; MANY] = unsafe { zeroed() };
    for (message, buffer) in messages.iter_mut().zip(buffers) {
        // An IoSliceMut has the layout of an iovec (its documentation says so).
        message.msg_hdr.msg_iov = std::ptr::from_mut(buffer).cast();
        message.msg_hdr.msg_iovlen = 1;
    }
    let (fd, flags) = (socket.as_fd().as_raw_fd(), libc::MSG_DONTWAIT);
    // SAFETY: each message has one buffer, which outlives the call; no address and no control message is
    // asked for, and no time-out is given.
    let count = unsafe {
        libc::recvmmsg(fd, messages.as_mut_ptr(), MANY as c_uint, flags as _, std::ptr::null_mut())
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (length, message) in lengths.iter_mut().zip(&messages[..count.min(MANY)]) {
        *length = message.msg_len as usize;
    }
    Ok(count)
}

/// Sends one datagram for each buffer, to where the socket is connected; how many were sent. Does not wait.
pub(crate) fn send_many(socket: &impl AsFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    if let [only] = buffers {
        // SAFETY: the buffer outlives the call.
        let sent = unsafe { libc::send(fd, only.as_ptr().cast(), only.len(), flags) };
        return if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(1) };
    }
    // SAFETY: as above.
    let mut messages: [mmsghdr; MANY] = unsafe { zeroed() };
    for (message, buffer) in messages.iter_mut().zip(buffers) {
        // An IoSlice has the layout of an iovec, which sendmmsg only reads.
        message.msg_hdr.msg_iov = std::ptr::from_ref(buffer).cast_mut().cast();
        message.msg_hdr.msg_iovlen = 1;
    }
    let count = buffers.len().min(MANY) as c_uint;
    // SAFETY: the first `count` messages have one buffer each, which outlives the call, and no address.
    let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), count, flags as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn datagrams_arrive_whole_in_order_and_with_their_lengths() {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        a.connect(b.local_addr().unwrap()).unwrap();
        let sizes: [usize; 5] = [0, 1, 1200, 65_507, 2];
        let data: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![size as u8; size]).collect();
        let slices: Vec<_> = data.iter().map(|data| IoSlice::new(data)).collect();
        assert_eq!(send_many(&a, &slices).unwrap(), 5);
        assert_eq!(send_many(&a, &slices[1..2]).unwrap(), 1);
        let mut space = vec![0; MANY * 65_536];
        let mut lengths = [0; MANY];
        let mut chunks = space.chunks_exact_mut(65_536);
        let mut buffers: [IoSliceMut<'_>; MANY] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap()));
        assert_eq!(receive_many(&b, &mut buffers, &mut lengths).unwrap(), 6);
        assert_eq!(lengths[..6], [0, 1, 1200, 65_507, 2, 1]);
        for (data, (buffer, length)) in data.iter().zip(buffers.iter().zip(lengths)) {
            assert_eq!(data, &buffer[..length]);
        }
        let empty = receive_many(&b, &mut buffers, &mut lengths).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }
}
